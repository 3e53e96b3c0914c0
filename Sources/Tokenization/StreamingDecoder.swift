// Token ids back to text, all at once or as they come. Tokens may end in the middle of a character.

extension Tokenizer {
  /// Appends the bytes of token `id` to `result`: nothing for an unused token, for an id outside the vocabulary (models
  /// pad their output), and for control and unknown tokens if `skipSpecialTokens`.
  public func appendBytes(of id: Int32, skipSpecialTokens: Bool = false, to result: inout [UInt8]) {
    var state = TokenDecoder.State(continuesText: true)
    appendBytes(of: id, skipSpecialTokens: skipSpecialTokens, &state, to: &result)
  }

  func appendBytes(
    of id: Int32, skipSpecialTokens: Bool, _ state: inout TokenDecoder.State, to result: inout [UInt8]
  ) {
    guard id >= 0, Int(id) < kinds.count else { return }
    let piece = index.pieces[Int(id)]
    if let decoder {
      if kinds[Int(id)] == .unused || skipSpecialTokens && kinds[Int(id)] == .control { return }
      return decoder.append(piece, &state, to: &result)
    }
    switch kinds[Int(id)] {
    case .control, .unknown:
      if !skipSpecialTokens { result.append(contentsOf: piece) }
    case .userDefined:
      result.append(contentsOf: piece)
    case .unused:
      break
    case .byte:
      if let byte = ByteToken.byte(piece) { result.append(byte) }
    case .normal:
      switch model {
      case .byteLevelBPE:
        if !ByteAlphabet.shared.appendBytes(of: piece, to: &result) { result.append(contentsOf: piece) }
      default:
        appendUnescaped(piece, to: &result)
      }
    }
  }

  private func appendUnescaped(_ piece: ArraySlice<UInt8>, to result: inout [UInt8]) {
    var at = piece.startIndex
    while at < piece.endIndex {
      if piece[at] == 0xE2, piece[at...].starts(with: SentencePieceEncoder.space) {
        result.append(0x20)
        at += SentencePieceEncoder.space.count
      } else {
        result.append(piece[at])
        at += 1
      }
    }
  }

  /// The bytes that token `id` stands for.
  public func bytes(of id: Int32) -> [UInt8] {
    var result: [UInt8] = []
    appendBytes(of: id, to: &result)
    return result
  }

  /// The text of `ids`. A character cut off at the end is left out; bytes that can never be UTF-8 become U+FFFD.
  public func decode(_ ids: some Sequence<Int32>, skipSpecialTokens: Bool = true) -> String {
    var decoder = StreamingDecoder(self, skipSpecialTokens: skipSpecialTokens)
    let text = decoder.append(contentsOf: ids)
    return text + decoder.finish()
  }
}

/// Turns tokens into text as they arrive. What it returns is always whole characters: the bytes of an unfinished one
/// wait for the next token. The pieces returned, joined, are what `Tokenizer.decode` returns.
public struct StreamingDecoder: Sendable {
  private let tokenizer: Tokenizer
  private let skipSpecialTokens: Bool
  private var removesSpace: Bool
  private var state: TokenDecoder.State
  private var pending: [UInt8] = []

  /// - Parameter continuesText: whether text precedes the first token. If not, the space that the tokenizer put before
  ///   the text when it was encoded is left out.
  public init(_ tokenizer: Tokenizer, skipSpecialTokens: Bool = true, continuesText: Bool = false) {
    self.tokenizer = tokenizer
    self.skipSpecialTokens = skipSpecialTokens
    removesSpace = tokenizer.decoder == nil && tokenizer.addsSpacePrefix && !continuesText
    state = TokenDecoder.State(continuesText: continuesText)
  }

  /// The text that is complete with token `id`; may be empty.
  public mutating func append(_ id: Int32) -> String {
    append(contentsOf: CollectionOfOne(id))
  }

  /// The text that is complete with these tokens.
  public mutating func append(contentsOf ids: some Sequence<Int32>) -> String {
    for id in ids {
      let before = pending.count
      tokenizer.appendBytes(of: id, skipSpecialTokens: skipSpecialTokens, &state, to: &pending)
      if removesSpace, pending.count > before {
        if pending[before] == 0x20 { pending.remove(at: before) }
        removesSpace = false
      }
    }
    let complete = pending.count - Self.unfinishedLength(pending)
    let text = String(decoding: pending[..<complete], as: UTF8.self)
    pending.removeSubrange(..<complete)
    return text
  }

  /// Ends the text. An unfinished character is dropped: it is no text yet, and never will be.
  public mutating func finish() -> String {
    pending.removeAll()
    return ""
  }

  /// How many bytes at the end of `bytes` are the beginning of a character that further bytes could complete.
  private static func unfinishedLength(_ bytes: [UInt8]) -> Int {
    for length in 1...3 where length <= bytes.count {
      let lead = bytes[bytes.count - length]
      if lead & 0xC0 == 0x80 { continue }
      guard lead >= 0xC2, lead < 0xF5, utf8Length(lead: lead) > length else { return 0 }
      guard length > 1 else { return 1 }
      // Not every second byte may follow these leads; what cannot become a character is not waited for.
      let second = bytes[bytes.count - length + 1]
      let mayFollow: ClosedRange<UInt8> =
        switch lead {
        case 0xE0: 0xA0...0xBF
        case 0xED: 0x80...0x9F
        case 0xF0: 0x90...0xBF
        case 0xF4: 0x80...0x8F
        default: 0x80...0xBF
        }
      return mayFollow.contains(second) ? length : 0
    }
    return 0
  }
}
