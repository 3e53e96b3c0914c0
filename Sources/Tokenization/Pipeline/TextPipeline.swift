// Text to tokens in the stages of Hugging Face's `tokenizer.json`: added tokens, normalizer, cuts, model.

/// The stages before post-processing.
struct TextPipeline: Sendable {
  /// A token and the text that it stands for.
  struct Token {
    var id: Int32
    /// In bytes of the original text.
    var start: Int
    var end: Int
    /// The number of the word, or of the added token, from which it comes.
    var word: Int
    /// How many white-space characters its spelling begins and ends with; only known where offsets are to be trimmed.
    var leadingSpaces = 0
    var trailingSpaces = 0
  }

  let added: AddedTokens
  let normalizer: Normalizer?
  let stages: [SplitStage]
  let encoder: any WordEncoder
  /// Takes the place of stages and encoder where only ids are asked for.
  private let shortcut: Shortcut?
  /// Whether a stage asks where in the original text it is.
  private let needsAlignment: Bool

  /// Byte-level text goes from bytes to ids without a copy.
  private struct Shortcut: Sendable {
    let encoder: ByteLevelEncoder
    let prefixesSpace: Bool
  }

  /// - Parameter byteLevel: makes the encoder for a byte-level vocabulary, given how it is to cut text; nil for others.
  init(
    added: AddedTokens, normalizer: Normalizer?, stages: [SplitStage],
    encoder: any WordEncoder, byteLevel: ((PreTokenizer) -> ByteLevelEncoder)? = nil
  ) {
    self.added = added
    self.normalizer = normalizer
    var isChanged = normalizer != nil
    var needsAlignment = false
    for stage in stages {
      if case .metaspace(_, .first, _) = stage, isChanged { needsAlignment = true }
      isChanged = isChanged || stage.changesText
    }
    self.needsAlignment = needsAlignment

    // The model spells bytes itself, which saves doing it in the text.
    guard let byteLevel, case .spellBytes? = stages.last else {
      self.stages = stages
      self.encoder = encoder
      shortcut = nil
      return
    }
    self.stages = Array(stages.dropLast())
    self.encoder = byteLevel(PreTokenizer(stages: []))
    var cuts: [PreTokenizer.Stage] = []
    var prefixesSpace = false
    var isPlain = true
    for (number, stage) in self.stages.enumerated() {
      switch stage {
      case .split(.rule(let rule), .isolated, isInverted: false): cuts.append(rule)
      case .split(.expression(let pattern), .isolated, isInverted: false): cuts.append(.expression(pattern))
      case .prefixSpace where number == 0: prefixesSpace = true
      default: isPlain = false
      }
    }
    shortcut = isPlain ? Shortcut(encoder: byteLevel(PreTokenizer(stages: cuts)), prefixesSpace: prefixesSpace) : nil
  }

  /// Appends the ids of well-formed UTF-8.
  func encode(
    _ bytes: UnsafeBufferPointer<UInt8>, _ parsing: SpecialTokenParsing, _ scratch: EncoderScratch,
    into output: inout TokenBuffer
  ) {
    let allowed = AllowedRanges(parsing)
    let isAligned = needsAlignment || added.hasNormalizedSpecial && parsing != .all && parsing != .none
    added.forEachWritten(in: bytes, allowed) { section in
      if let id = section.id { return output.append(id) }
      let part = UnsafeBufferPointer(rebasing: bytes[section.range])
      if let shortcut, !added.hasNormalized, normalizer?.leaves(part) ?? true {
        return encode(part, shortcut, scratch, into: &output)
      }
      var text = AlignedText(part, origin: section.range.lowerBound, isAligned: isAligned)
      normalizer?.normalize(&text)
      forEachPart(of: text, allowed) { part, id in
        if let id { return output.append(id) }
        if let shortcut {
          return part.bytes.withUnsafeBufferPointer { encode($0, shortcut, scratch, into: &output) }
        }
        var words = TextWords(part)
        for stage in stages { stage.apply(&words) }
        encode(words, scratch, into: &output)
      }
    }
  }

  private func encode(
    _ bytes: UnsafeBufferPointer<UInt8>, _ shortcut: Shortcut, _ scratch: EncoderScratch,
    into output: inout TokenBuffer
  ) {
    guard shortcut.prefixesSpace, let first = bytes.first, first != 0x20 else {
      return shortcut.encoder.encode(bytes, scratch, into: &output)
    }
    let prefixed = [0x20] + bytes
    prefixed.withUnsafeBufferPointer { shortcut.encoder.encode($0, scratch, into: &output) }
  }

  private func encode(_ words: TextWords, _ scratch: EncoderScratch, into output: inout TokenBuffer) {
    let cache = scratch.cache
    words.text.bytes.withUnsafeBufferPointer { bytes in
      guard let base = bytes.baseAddress else { return }
      for range in words.ranges {
        guard range.count <= WordCache.longestWord else {
          encoder.encodeWord(base + range.lowerBound, range.count, scratch) { id, _, _ in output.append(id) }
          continue
        }
        let key = WordCache.key(
          base + range.lowerBound, length: range.count, readable: bytes.count - range.lowerBound)
        if cache.append(key, to: &output) { continue }
        let before = output.count
        encoder.encodeWord(base + range.lowerBound, range.count, scratch) { id, _, _ in output.append(id) }
        cache.remember(key, output, from: before)
      }
    }
  }

  /// Calls `body` with the added tokens in normalized text and the text between them.
  private func forEachPart(
    of text: AlignedText, _ parsing: AllowedRanges, _ body: (AlignedText, Int32?) -> Void
  ) {
    guard added.hasNormalized else { return body(text, nil) }
    added.forEachNormalized(in: text, parsing) { section in
      if section.range.count == text.bytes.count { return body(text, section.id) }
      // Where nothing is recorded nobody asks, but whether a part begins the text still shows in its origin.
      let origin = text.original(of: section.range)?.start
        ?? text.origin &+ UInt32(truncatingIfNeeded: section.range.lowerBound)
      var part = AlignedText(like: text, capacity: section.range.count, origin: origin)
      part.append(section.range, of: text)
      body(part, section.id)
    }
  }

  /// The tokens of well-formed UTF-8 with the places they come from.
  func tokens(
    _ bytes: UnsafeBufferPointer<UInt8>, _ parsing: SpecialTokenParsing, _ scratch: EncoderScratch
  ) -> [Token] {
    var tokens: [Token] = []
    var word = 0
    let allowed = AllowedRanges(parsing)
    added.forEachWritten(in: bytes, allowed) { section in
      let part = UnsafeBufferPointer(rebasing: bytes[section.range])
      if let id = section.id {
        tokens.append(token(id, part, start: section.range.lowerBound, end: section.range.upperBound, word))
        word += 1
        return
      }
      var text = AlignedText(part, origin: section.range.lowerBound, isAligned: true)
      normalizer?.normalize(&text)
      forEachPart(of: text, allowed) { part, id in
        if let id {
          let place = part.original(of: 0..<part.bytes.count) ?? Alignment(start: 0, end: 0)
          part.bytes.withUnsafeBufferPointer {
            tokens.append(token(id, $0, start: Int(place.start), end: Int(place.end), word))
          }
          word += 1
          return
        }
        var words = TextWords(part)
        for stage in stages { stage.apply(&words) }
        words.text.bytes.withUnsafeBufferPointer { bytes in
          guard let base = bytes.baseAddress else { return }
          for range in words.ranges {
            encoder.encodeWord(base + range.lowerBound, range.count, scratch) { id, start, end in
              let place = words.text.original(of: range.lowerBound + start..<range.lowerBound + end)
              let start = place.map { Int($0.start) } ?? 0
              tokens.append(Token(id: id, start: start, end: place.map { Int($0.end) } ?? start, word: word))
            }
            word += 1
          }
        }
      }
    }
    return tokens
  }

  /// An added token, whose text may have white space around it.
  private func token(
    _ id: Int32, _ text: UnsafeBufferPointer<UInt8>, start: Int, end: Int, _ word: Int
  ) -> Token {
    let spaces = Self.outerSpaces(of: text)
    return Token(
      id: id, start: start, end: end, word: word, leadingSpaces: spaces.leading, trailingSpaces: spaces.trailing)
  }

  /// How many characters of white space a spelling begins and ends with; `Ġ` is one too.
  static func outerSpaces(of text: UnsafeBufferPointer<UInt8>) -> (leading: Int, trailing: Int) {
    var leading = 0
    var trailing = 0
    var count = 0
    var reader = ScalarReader(text)
    while let (code, _) = reader.next() {
      let isSpace = code == 0x120 || TextClasses(of: code).contains(.whiteSpace)
      if isSpace, leading == count { leading += 1 }
      trailing = isSpace ? trailing + 1 : 0
      count += 1
    }
    return (leading, trailing)
  }
}
