// Texts for encoders: ids with their places, special tokens around them, truncated and padded.

extension Tokenizer {
  /// A text, or two that belong together, as a model for texts takes it.
  /// - Parameters:
  ///   - addsSpecialTokens: whether to put the tokens around the texts that the tokenizer asks for.
  ///   - specialTokens: which spellings of special tokens in the texts become these tokens.
  ///   - truncation: nil to keep everything.
  /// - Throws: ``EncodingError`` for a truncation that cannot be done.
  public func encoding(
    of text: String, pair: String? = nil, addsSpecialTokens: Bool = true,
    specialTokens: SpecialTokenParsing = .all, truncation: EncodingTruncation? = nil
  ) throws(EncodingError) -> TokenEncoding {
    var encodings = [encoding(of: text, number: 0, specialTokens)]
    if let pair { encodings.append(encoding(of: pair, number: 1, specialTokens)) }
    if let truncation {
      let added = addsSpecialTokens ? postProcessor?.addedCount(isPair: pair != nil) ?? 0 : 0
      guard truncation.limit >= added else {
        throw .limitTooSmall(truncation.limit, specialTokens: added)
      }
      try truncation.apply(to: &encodings, room: truncation.limit - added)
    }
    let processed = postProcessor?.process(encodings, addsSpecialTokens: addsSpecialTokens) ?? encodings
    var result = TokenEncoding()
    for encoding in processed { result.append(encoding) }
    return result
  }

  /// Several texts, each as `encoding(of:)` gives it, padded to one length.
  /// - Parameter padding: nil to leave them as long as they are.
  /// - Throws: ``EncodingError`` for a truncation that cannot be done.
  public func encodings(
    of texts: [(text: String, pair: String?)], addsSpecialTokens: Bool = true,
    specialTokens: SpecialTokenParsing = .all, truncation: EncodingTruncation? = nil,
    padding: EncodingPadding? = EncodingPadding()
  ) throws(EncodingError) -> [TokenEncoding] {
    var result: [TokenEncoding] = []
    for (text, pair) in texts {
      result.append(
        try encoding(
          of: text, pair: pair, addsSpecialTokens: addsSpecialTokens, specialTokens: specialTokens,
          truncation: truncation))
    }
    padding?.apply(to: &result)
    return result
  }

  /// The spellings of an encoding's tokens.
  public func pieces(of encoding: TokenEncoding) -> [String] { encoding.ids.map { piece(of: $0) ?? "" } }

  private func encoding(of text: String, number: Int, _ specialTokens: SpecialTokenParsing) -> TokenEncoding {
    let tokens = tokens(text, specialTokens)
    let scalars = ScalarOffsets(text)
    let count = tokens.count
    var encoding = TokenEncoding()
    encoding.ids = tokens.map(\.id)
    encoding.typeIDs = Array(repeating: Int32(number), count: count)
    encoding.attentionMask = Array(repeating: 1, count: count)
    encoding.specialTokensMask = Array(repeating: 0, count: count)
    encoding.offsets = tokens.map { scalars.range($0.start, $0.end) }
    encoding.words = tokens.map(\.word)
    encoding.sequences = Array(repeating: number, count: count)
    if postProcessor?.trimsOffsets ?? false {
      encoding.outerSpaces = tokens.map { token in
        var spaces = (leading: token.leadingSpaces, trailing: token.trailingSpaces)
        if spaces == (0, 0) {
          let piece = Array(index.pieces[Int(token.id)])
          spaces = piece.withUnsafeBufferPointer(TextPipeline.outerSpaces)
        }
        return SIMD2(UInt16(clamping: spaces.leading), UInt16(clamping: spaces.trailing))
      }
    }
    return encoding
  }
}

/// From places in UTF-8 to places among the Unicode scalars of a text.
private struct ScalarOffsets {
  /// The scalar that each byte belongs to, and their number; nil for ASCII, where both are the same.
  private var scalars: [Int32]?

  init(_ text: String) {
    if text.utf8.allSatisfy({ $0 < 0x80 }) { return }
    var scalars: [Int32] = []
    scalars.reserveCapacity(text.utf8.count + 1)
    var number: Int32 = -1
    for byte in text.utf8 {
      if byte & 0xC0 != 0x80 { number += 1 }
      scalars.append(number)
    }
    scalars.append(number + 1)
    self.scalars = scalars
  }

  /// The scalars that the bytes from `start` to `end` belong to.
  func range(_ start: Int, _ end: Int) -> Range<Int> {
    guard let scalars else { return start..<max(start, end) }
    let first = Int(scalars[min(start, scalars.count - 1)])
    guard end > start else { return first..<first }
    return first..<Int(scalars[min(end, scalars.count - 1) - 1]) + 1
  }
}
