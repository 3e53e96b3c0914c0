// Tokens that are found in text before it is cut into words, in the two rounds of Hugging Face's library: some as they
// are written, the rest in normalized text.

/// A token that was added to a vocabulary.
struct AddedToken: Sendable {
  var content: [UInt8]
  var id: Int32
  /// Only where no word character is before or after.
  var isSingleWord = false
  /// Takes the white space before, or after, with it.
  var stripsLeft = false
  var stripsRight = false
  /// Looked for in normalized text, in its normalized spelling.
  var isNormalized = true
  /// Steers the model and is no text.
  var isSpecial = false
}

/// All added tokens of a tokenizer.
struct AddedTokens: Sendable {
  /// Part of a text: a token, or text between tokens.
  struct Section {
    let range: Range<Int>
    /// nil for text.
    let id: Int32?
  }

  private let tokens: [Int32: AddedToken]
  private let written: SpecialTokens
  private let normalized: SpecialTokens
  let hasNormalized: Bool
  /// Whether tokens that count only in allowed places are looked for in normalized text.
  let hasNormalizedSpecial: Bool

  /// - Throws: `TokenizerError.pieceTooLong`.
  init(_ tokens: [AddedToken], normalizer: Normalizer?) throws {
    self.tokens = Dictionary(tokens.map { ($0.id, $0) }, uniquingKeysWith: { $1 })
    func entries(normalized: Bool) -> [SpecialTokens.Entry] {
      tokens.filter { $0.isNormalized == normalized }.map { token in
        var spelling = token.content
        if normalized, let normalizer {
          var text = spelling.withUnsafeBufferPointer { AlignedText($0, origin: 0, isAligned: false) }
          normalizer.normalize(&text)
          spelling = text.bytes
        }
        return SpecialTokens.Entry(spelling: spelling[...], id: token.id, isUserDefined: !token.isSpecial)
      }
    }
    written = try SpecialTokens(entries(normalized: false))
    normalized = try SpecialTokens(entries(normalized: true))
    hasNormalized = !normalized.isEmpty
    hasNormalizedSpecial = tokens.contains { $0.isNormalized && $0.isSpecial }
  }

  /// Calls `body` with the parts of a text as it is written.
  func forEachWritten(
    in bytes: UnsafeBufferPointer<UInt8>, _ parsing: AllowedRanges, _ body: (Section) -> Void
  ) {
    sections(of: bytes, written, parsing, isAllowed: { _, _ in true }, body)
  }

  /// Calls `body` with the parts of a text that has been normalized.
  func forEachNormalized(in text: AlignedText, _ parsing: AllowedRanges, _ body: (Section) -> Void) {
    text.bytes.withUnsafeBufferPointer { bytes in
      let everywhere = AllowedRanges(parsing.allowsAny ? .all : .none)
      sections(of: bytes, normalized, everywhere, isAllowed: { id, range in
        guard tokens[id]?.isSpecial ?? false, let original = text.original(of: range) else { return true }
        return Int(original.end) <= parsing.end(of: Int(original.start))
      }, body)
    }
  }

  private func sections(
    of bytes: UnsafeBufferPointer<UInt8>, _ finder: SpecialTokens, _ parsing: AllowedRanges,
    isAllowed: (Int32, Range<Int>) -> Bool, _ body: (Section) -> Void
  ) {
    var last = 0
    var position = 0
    while position < bytes.count, let match = finder.next(in: bytes, from: position, parsing: parsing) {
      position = match.end
      guard let token = tokens[match.id], isAllowed(match.id, match.start..<match.end) else { continue }
      if token.isSingleWord, isWord(bytes, before: match.start) || isWord(bytes, after: match.end) { continue }
      var start = max(match.start, last)
      var end = match.end
      if token.stripsLeft { start = max(last, spaceStart(bytes, before: match.start)) }
      if token.stripsRight { end = spaceEnd(bytes, after: match.end) }
      guard start < end else { continue }
      if last < start { body(Section(range: last..<start, id: nil)) }
      body(Section(range: start..<end, id: match.id))
      last = end
    }
    if last < bytes.count { body(Section(range: last..<bytes.count, id: nil)) }
  }

  private func previous(_ bytes: UnsafeBufferPointer<UInt8>, _ at: Int) -> Int {
    var start = at - 1
    while start > 0, bytes[start] & 0xC0 == 0x80 { start -= 1 }
    return start
  }

  private func isWord(_ bytes: UnsafeBufferPointer<UInt8>, before at: Int) -> Bool {
    at > 0 && TextClasses(of: scalar(in: bytes, at: previous(bytes, at)).code).contains(.word)
  }

  private func isWord(_ bytes: UnsafeBufferPointer<UInt8>, after at: Int) -> Bool {
    at < bytes.count && TextClasses(of: scalar(in: bytes, at: at).code).contains(.word)
  }

  private func spaceStart(_ bytes: UnsafeBufferPointer<UInt8>, before at: Int) -> Int {
    var start = at
    while start > 0 {
      let before = previous(bytes, start)
      if !TextClasses(of: scalar(in: bytes, at: before).code).contains(.whiteSpace) { break }
      start = before
    }
    return start
  }

  private func spaceEnd(_ bytes: UnsafeBufferPointer<UInt8>, after at: Int) -> Int {
    var end = at
    while end < bytes.count {
      let (code, length) = scalar(in: bytes, at: end)
      if !TextClasses(of: code).contains(.whiteSpace) { break }
      end += length
    }
    return end
  }
}
