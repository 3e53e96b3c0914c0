// How text is cut into words: the pre-tokenizers of Hugging Face's `tokenizer.json`.

/// What becomes of the matches at which text is cut.
enum SplitBehavior: String, Sendable, CaseIterable {
  case removed = "Removed"
  case isolated = "Isolated"
  case mergedWithPrevious = "MergedWithPrevious"
  case mergedWithNext = "MergedWithNext"
  case contiguous = "Contiguous"
}

/// When a word is given a mark for the space before it.
enum PrependScheme: String, Sendable, CaseIterable {
  case first, always, never
}

/// A section of text and the words that it has been cut into so far.
struct TextWords {
  var text: AlignedText
  var ranges: [Range<Int>]

  init(_ text: AlignedText) {
    self.text = text
    ranges = text.bytes.isEmpty ? [] : [0..<text.bytes.count]
  }
}

/// One cut; each stage cuts the words that the one before it made.
enum SplitStage: Sendable {
  case split(TextPattern, SplitBehavior, isInverted: Bool)
  /// Writes spaces as `mark`, puts one before words that lack it, and cuts before each.
  case metaspace(mark: [UInt8], PrependScheme, splits: Bool)
  /// Puts a space before words that lack one.
  case prefixSpace
  /// Spells bytes in GPT-2's alphabet.
  case spellBytes
  case scripts
  case fixedLength(Int)

  /// Whether words may be other text afterwards.
  var changesText: Bool {
    switch self {
    case .split, .scripts, .fixedLength: false
    case .metaspace, .prefixSpace, .spellBytes: true
    }
  }

  func apply(_ words: inout TextWords) {
    switch self {
    case .split(let pattern, let behavior, let isInverted): words.split(pattern, behavior, isInverted: isInverted)
    case .metaspace(let mark, let scheme, let splits): words.markSpaces(mark, scheme, splits: splits)
    case .prefixSpace:
      words.rewriteEach { word in if word.bytes.first != 0x20 { word.prepend([0x20]) } }
    case .spellBytes: words.rewriteEach { word in word.spellBytes() }
    case .scripts: words.splitScripts()
    case .fixedLength(let length): words.split(every: length)
    }
  }
}

extension TextWords {
  private mutating func cut(_ body: (UnsafeBufferPointer<UInt8>, Range<Int>, inout [Range<Int>]) -> Void) {
    var result: [Range<Int>] = []
    result.reserveCapacity(max(ranges.count, text.bytes.count / 5))
    text.bytes.withUnsafeBufferPointer { bytes in for range in ranges { body(bytes, range, &result) } }
    ranges = result
  }

  mutating func split(_ pattern: TextPattern, _ behavior: SplitBehavior, isInverted: Bool) {
    cut { bytes, range, result in
      let first = result.count
      var previous = false
      pattern.forEachPart(in: bytes, range) { start, end, found in
        let isMatch = found != isInverted
        switch behavior {
        case .removed:
          if !isMatch, start < end { result.append(start..<end) }
        case .isolated:
          if start < end { result.append(start..<end) }
        case .contiguous:
          if isMatch == previous, result.count > first {
            result[result.count - 1] = result[result.count - 1].lowerBound..<end
          } else {
            result.append(start..<end)
          }
        case .mergedWithPrevious:
          if isMatch, !previous, result.count > first {
            result[result.count - 1] = result[result.count - 1].lowerBound..<end
          } else {
            result.append(start..<end)
          }
        case .mergedWithNext:
          // A match that another follows stands alone; the last of a row goes with what comes after it.
          if !isMatch, previous, result.count > first {
            result[result.count - 1] = result[result.count - 1].lowerBound..<end
          } else {
            result.append(start..<end)
          }
        }
        previous = isMatch
      }
    }
    if behavior != .removed && behavior != .isolated { ranges.removeAll(where: \.isEmpty) }
  }

  mutating func split(every length: Int) {
    cut { bytes, range, result in
      var start = range.lowerBound
      var at = start
      var count = 0
      while at < range.upperBound {
        at += utf8Length(lead: bytes[at])
        count += 1
        if count == length || at == range.upperBound {
          result.append(start..<at)
          start = at
          count = 0
        }
      }
    }
  }

  /// Cuts where the writing system changes. Spaces and characters of no script join what is before them.
  mutating func splitScripts() {
    cut { bytes, range, result in
      var start: Int?
      var last: UInt8?
      var at = range.lowerBound
      while at < range.upperBound {
        let (code, length) = scalar(in: bytes, at: at)
        let script = UnicodeScript.identifier(of: code)
        if script != UnicodeScript.any {
          // Text before the first character of a script is lost, as it is in Hugging Face's library.
          if last != script {
            if let start { result.append(start..<at) }
            start = at
          }
          last = script
        }
        at += length
      }
      if let start { result.append(start..<range.upperBound) }
    }
  }

  /// Replaces each word by what `body` makes of it.
  mutating func rewriteEach(_ body: (inout AlignedText) -> Void) {
    var result = AlignedText(like: text, capacity: text.bytes.count + ranges.count * 3)
    var words: [Range<Int>] = []
    words.reserveCapacity(ranges.count)
    for range in ranges {
      var word = AlignedText(like: text, capacity: range.count * 2)
      word.append(range, of: text)
      body(&word)
      guard !word.bytes.isEmpty else { continue }
      let start = result.bytes.count
      result.append(0..<word.bytes.count, of: word)
      words.append(start..<result.bytes.count)
    }
    text = result
    ranges = words
  }

  private func beginsOriginal(_ range: Range<Int>) -> Bool {
    guard text.isAligned else { return Int(text.origin) + range.lowerBound == 0 }
    return text.original(of: range)?.start == 0
  }

  mutating func markSpaces(_ mark: [UInt8], _ scheme: PrependScheme, splits: Bool) {
    var result = AlignedText(like: text, capacity: text.bytes.count + text.bytes.count / 2 + 8)
    var words: [Range<Int>] = []
    words.reserveCapacity(text.bytes.count / 5)
    text.bytes.withUnsafeBufferPointer { bytes in
      for range in ranges {
        var start = result.bytes.count
        let startsWithMark = bytes[range.lowerBound] == 0x20
          || range.count >= mark.count && bytes[range.lowerBound..<range.lowerBound + mark.count].elementsEqual(mark)
        let prepends = scheme == .always || scheme == .first && beginsOriginal(range)
        func alignment(_ index: Int) -> Alignment {
          text.isAligned ? text.alignments[index] : Alignment(start: 0, end: 0)
        }
        if prepends, !startsWithMark { result.append(mark, aligned: alignment(range.lowerBound)) }
        var at = range.lowerBound
        while at < range.upperBound {
          let isSpace = bytes[at] == 0x20
          let isMark = bytes[at] == mark[0] && at + mark.count <= range.upperBound
            && (1..<mark.count).allSatisfy { bytes[at + $0] == mark[$0] }
          if splits, isSpace || isMark, result.bytes.count > start {
            words.append(start..<result.bytes.count)
            start = result.bytes.count
          }
          if isSpace {
            result.append(mark, aligned: alignment(at))
            at += 1
          } else {
            let from = at
            at += isMark ? mark.count : 1
            while at < range.upperBound, bytes[at] != 0x20, bytes[at] != mark[0] { at += 1 }
            result.append(from..<at, of: text)
          }
        }
        if result.bytes.count > start { words.append(start..<result.bytes.count) }
      }
    }
    text = result
    ranges = words
  }
}
