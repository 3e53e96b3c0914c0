// Byte-pair encoding that starts from characters: Llama 2's and Gemma's with byte fallback, and the older kinds.

/// Encodes words by merging pairs of characters and pieces by rank.
struct CharacterPairEncoder: WordEncoder {
  struct Options: Sendable {
    var unknown: Int32?
    /// Whether neighbouring unknown characters become one unknown token.
    var fusesUnknown = false
    /// Whether characters that are in no piece become the tokens of their bytes.
    var fallsBackToBytes = false
    /// Whether a word that is itself a piece is taken whole, whatever the merges say.
    var ignoresMerges = false
    /// Spelled before every character of a word but the first.
    var continuingPrefix: [UInt8] = []
    /// Spelled after the last character of a word.
    var endOfWordSuffix: [UInt8] = []
  }

  private let index: PieceIndex
  private let merges: MergeTable
  private let options: Options
  /// The token of each byte, -1 where the vocabulary has none.
  private let byteTokens: [Int32]
  /// One bit per pair of bytes that some piece holds side by side; text is cut where none does.
  private let joints: FlatTable<UInt64>?

  init(index: PieceIndex, merges: MergeTable, options: Options) {
    self.index = index
    self.merges = merges
    self.options = options
    byteTokens = (0..<256).map { index.id(of: ByteToken.spelling(of: UInt8($0))) ?? -1 }
    // Prefixes and suffixes depend on where a word begins and ends, so then it has to stay whole.
    let isPlain = options.continuingPrefix.isEmpty && options.endOfWordSuffix.isEmpty && !options.ignoresMerges
      && options.fallsBackToBytes && byteTokens.allSatisfy { $0 >= 0 }
    joints = isPlain ? SentencePieceEncoder.joints(of: index.pieces) : nil
  }

  func encodeWord(
    _ word: UnsafePointer<UInt8>, _ length: Int, _ scratch: EncoderScratch, _ emit: (Int32, Int, Int) -> Void
  ) {
    index.withUnsafeView { view in
      if options.ignoresMerges {
        let id = view.id(word, length)
        if id >= 0 { return emit(id, 0, length) }
      }
      guard let joints, length > WordCache.longestWord else {
        return encodePart(word, 0, length, view, scratch, emit)
      }
      var start = 0
      while start < length {
        let end = Self.partEnd(word, from: start, to: length, joints)
        encodeCached(word, start, end, length, view, scratch, emit)
        start = end
      }
    }
  }

  /// The next place after `start` where no piece joins the characters on either side. A ▁ counts as a space: its bytes
  /// begin many other characters, which would join it to nearly everything.
  private static func partEnd(
    _ word: UnsafePointer<UInt8>, from start: Int, to end: Int, _ joints: FlatTable<UInt64>
  ) -> Int {
    func unit(_ at: Int) -> (code: Int, size: Int) {
      let isMark = word[at] == 0xE2 && at + 2 < end && word[at + 1] == 0x96 && word[at + 2] == 0x81
      return isMark ? (0x20, 3) : (Int(word[at]), 1)
    }
    var at = start
    var left = unit(start)
    while at + left.size < end {
      at += left.size
      let right = unit(at)
      let pair = left.code << 8 | right.code
      if joints.start[pair >> 6] >> UInt64(pair & 63) & 1 == 0, word[at] & 0xC0 != 0x80 { return at }
      left = right
    }
    return end
  }

  private func encodeCached(
    _ word: UnsafePointer<UInt8>, _ start: Int, _ end: Int, _ length: Int, _ view: PieceIndex.View,
    _ scratch: EncoderScratch, _ emit: (Int32, Int, Int) -> Void
  ) {
    guard end - start <= WordCache.longestWord else { return encodePart(word, start, end, view, scratch, emit) }
    let key = WordCache.key(word + start, length: end - start, readable: length - start)
    if scratch.parts.forEach(key, { id, tokenStart, tokenEnd in emit(id, start + tokenStart, start + tokenEnd) }) {
      return
    }
    var tokens = PartCache.Tokens()
    encodePart(word, start, end, view, scratch) { id, tokenStart, tokenEnd in
      tokens.append(id, tokenEnd - start)
      emit(id, tokenStart, tokenEnd)
    }
    scratch.parts.remember(key, tokens)
  }

  private func encodePart(
    _ word: UnsafePointer<UInt8>, _ partStart: Int, _ partEnd: Int, _ view: PieceIndex.View,
    _ scratch: EncoderScratch, _ emit: (Int32, Int, Int) -> Void
  ) {
    var at = partStart
    // Unknown characters that wait to be joined by more of their kind.
    var unknownStart: Int?
    var unknownEnd = 0
    while at < partEnd {
      let base = at
      scratch.merger.removeAll()
      while at < partEnd, scratch.merger.count < SymbolMerger.symbolLimit {
        let size = min(utf8Length(lead: word[at]), partEnd - at)
        let isLast = at + size == partEnd
        let id = symbol(word + at, size, isFirst: at == 0, isLast: isLast, view, scratch)
        if id >= 0 {
          scratch.merger.append(id: id, length: size)
        } else if options.fallsBackToBytes, isByteSpelled(word + at, size, isFirst: at == 0, isLast: isLast) {
          for offset in 0..<size { scratch.merger.append(id: byteTokens[Int(word[at + offset])], length: 1) }
        } else if options.unknown != nil {
          scratch.merger.append(id: -1, length: size)
        }  // else it is lost, and its neighbours meet
        at += size
      }
      scratch.merger.merge(by: merges) { id, start, length in
        let start = base + start
        if id < 0, let unknown = options.unknown {
          if !options.fusesUnknown { return emit(unknown, start, start + length) }
          if unknownStart == nil { unknownStart = start }
          unknownEnd = start + length
          return
        }
        if let from = unknownStart, let unknown = options.unknown { emit(unknown, from, unknownEnd) }
        unknownStart = nil
        if id >= 0 { emit(id, start, start + length) }
      }
    }
    if let from = unknownStart, let unknown = options.unknown { emit(unknown, from, unknownEnd) }
  }

  private func isByteSpelled(_ start: UnsafePointer<UInt8>, _ size: Int, isFirst: Bool, isLast: Bool) -> Bool {
    if !isFirst && !options.continuingPrefix.isEmpty || isLast && !options.endOfWordSuffix.isEmpty { return false }
    return (0..<size).allSatisfy { byteTokens[Int(start[$0])] >= 0 }
  }

  private func symbol(
    _ start: UnsafePointer<UInt8>, _ size: Int, isFirst: Bool, isLast: Bool, _ view: PieceIndex.View,
    _ scratch: EncoderScratch
  ) -> Int32 {
    let prefix = isFirst ? [] : options.continuingPrefix
    let suffix = isLast ? options.endOfWordSuffix : []
    if prefix.isEmpty, suffix.isEmpty { return view.id(start, size) }
    scratch.bytes.removeAll(keepingCapacity: true)
    scratch.bytes += prefix
    scratch.bytes.append(contentsOf: UnsafeBufferPointer(start: start, count: size))
    scratch.bytes += suffix
    return scratch.bytes.withUnsafeBufferPointer { bytes in
      bytes.baseAddress.map { view.id($0, bytes.count) } ?? -1
    }
  }
}
