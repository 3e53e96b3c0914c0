// The way in: text to token ids. Decoding is in StreamingDecoder.swift.

/// A tokenizer.
///
/// Made from the vocabulary of a GGUF file it gives the token ids that llama.cpp gives, made from a Hugging Face folder
/// those that Hugging Face's library gives: so models see the tokens they were made and tested with. Safe to use from
/// any number of threads at once.
public final class Tokenizer: Sendable {
  private enum Encoder: Sendable {
    case byteLevel(ByteLevelEncoder)
    case sentencePiece(SentencePieceEncoder)
    case pipeline(TextPipeline)
  }

  /// The algorithm; nil for one that GGUF has no name for.
  public let model: TokenizerModel?
  /// What each token is for, by id; well-known spellings have been corrected where the checkpoint mislabels them.
  public let kinds: [TokenKind]
  /// The tokens after which a model has finished, ascending.
  public let endOfGeneration: [Int32]
  public let beginningOfSequence: Int32?
  public let endOfSequence: Int32?
  public let unknown: Int32?
  public let padding: Int32?
  public let addsBeginningOfSequence: Bool
  public let addsEndOfSequence: Bool
  /// Whether SentencePiece text is given a space to begin with.
  public let addsSpacePrefix: Bool

  /// How the tokenizer's own file says that texts for encoders are to be truncated and padded; applied on request only.
  public let truncation: EncodingTruncation?
  public let batchPadding: EncodingPadding?

  let index: PieceIndex
  /// nil for a tokenizer from a GGUF file, whose tokens are decoded by their kinds.
  let decoder: TokenDecoder?
  let postProcessor: PostProcessor?
  private let boundary: (before: [Int32], after: [Int32])
  private let specials: SpecialTokens
  private let swallowsSpaceBefore: Set<Int32>
  private let swallowsSpaceAfter: Set<Int32>
  private let encoder: Encoder
  private let scratch = ScratchPool()

  /// - Throws: `TokenizerError` for a vocabulary that contradicts itself or needs what is not supported.
  public convenience init(_ vocabulary: TokenizerVocabulary) throws {
    switch vocabulary.model {
    case .byteLevelBPE, .sentencePiece: try self.init(merging: vocabulary)
    case .wordPiece, .unigram: try self.init(TokenizerDefinition(vocabulary))
    }
  }

  init(_ definition: TokenizerDefinition) throws {
    index = try PieceIndex(definition.pieces)
    model = definition.model
    kinds = definition.kinds
    endOfGeneration = definition.endOfGeneration
    beginningOfSequence = definition.beginningOfSequence
    endOfSequence = definition.endOfSequence
    unknown = definition.unknown
    padding = definition.padding
    let boundary = definition.postProcessor?.boundary ?? (before: [], after: [])
    self.boundary = boundary
    addsBeginningOfSequence = definition.beginningOfSequence.map { boundary.before.contains($0) } ?? false
    addsEndOfSequence = definition.endOfSequence.map { boundary.after.contains($0) } ?? false
    addsSpacePrefix = definition.addsSpacePrefix
    truncation = definition.truncation
    batchPadding = definition.batchPadding
    decoder = definition.decoder
    postProcessor = definition.postProcessor
    encoder = .pipeline(definition.pipeline)
    specials = try SpecialTokens([])
    swallowsSpaceBefore = []
    swallowsSpaceAfter = []
  }

  private init(merging vocabulary: TokenizerVocabulary) throws {
    let count = vocabulary.pieces.count
    let index = try PieceIndex(vocabulary.pieces)
    var kinds = vocabulary.kinds
    if kinds.isEmpty { kinds = Array(repeating: .normal, count: count) }
    guard kinds.count == count else {
      throw TokenizerError.countMismatch(field: "token kinds", count: kinds.count, expected: count)
    }
    func checked(_ field: String, _ id: Int32?) throws -> Int32? {
      guard let id else { return nil }
      guard id >= 0, id < count else { throw TokenizerError.idOutOfRange(field: field, id: id, count: count) }
      return id
    }
    // SentencePiece files that name no ids mean its own defaults.
    func fallback(_ id: Int32) -> Int32? { vocabulary.model == .sentencePiece && id < count ? id : nil }
    beginningOfSequence = try checked("beginning of sequence", vocabulary.beginningOfSequence) ?? fallback(1)
    endOfSequence = try checked("end of sequence", vocabulary.endOfSequence) ?? fallback(2)
    unknown = try checked("unknown", vocabulary.unknown) ?? fallback(0)
    padding = try checked("padding", vocabulary.padding)
    _ = try checked("end of turn", vocabulary.endOfTurn)
    _ = try checked("end of message", vocabulary.endOfMessage)
    for id in vocabulary.furtherEndOfGeneration { _ = try checked("end of generation", id) }

    var endOfGeneration = WellKnownTokens.resolve(vocabulary, index: index, kinds: &kinds)
    if let end = endOfSequence, vocabulary.endOfSequence == nil, !endOfGeneration.contains(end) {
      endOfGeneration = (endOfGeneration + [end]).sorted()
    }
    for (id, kind) in kinds.enumerated() where kind == .byte {
      guard ByteToken.byte(vocabulary.pieces[id]) != nil else {
        throw TokenizerError.malformedByteToken(id: Int32(id), vocabulary.pieces.string(at: id))
      }
    }

    let addsByDefault: Bool
    switch vocabulary.model {
    case .byteLevelBPE:
      guard let preTokenizer = PreTokenizer.named(vocabulary.preTokenizer) else {
        throw TokenizerError.unknownPreTokenizer(vocabulary.preTokenizer, supported: PreTokenizer.names)
      }
      encoder = .byteLevel(try ByteLevelEncoder(vocabulary, index: index, preTokenizer: preTokenizer))
      addsByDefault = preTokenizer.addsBeginningOfSequence
      addsSpacePrefix = false
    case .sentencePiece:
      encoder = .sentencePiece(try SentencePieceEncoder(vocabulary, index: index))
      addsByDefault = true
      addsSpacePrefix = vocabulary.addsSpacePrefix ?? true
    case .wordPiece, .unigram:
      throw TokenizerError.missingMerges
    }
    addsBeginningOfSequence = vocabulary.addsBeginningOfSequence ?? (addsByDefault && beginningOfSequence != nil)
    addsEndOfSequence = vocabulary.addsEndOfSequence ?? false
    if addsBeginningOfSequence, beginningOfSequence == nil {
      throw TokenizerError.missingID(field: "beginning of sequence", neededBy: "adding it")
    }
    if addsEndOfSequence, endOfSequence == nil {
      throw TokenizerError.missingID(field: "end of sequence", neededBy: "adding it")
    }

    model = vocabulary.model
    decoder = nil
    truncation = nil
    batchPadding = nil
    boundary = (
      addsBeginningOfSequence ? [beginningOfSequence].compactMap(\.self) : [],
      addsEndOfSequence ? [endOfSequence].compactMap(\.self) : []
    )
    postProcessor = .template(
      single: [.tokens(boundary.before, typeID: 0), .text(0, typeID: 0), .tokens(boundary.after, typeID: 0)],
      pair: [
        .tokens(boundary.before, typeID: 0), .text(0, typeID: 0), .tokens(boundary.after, typeID: 0),
        .text(1, typeID: 1), .tokens(boundary.after, typeID: 1),
      ])
    specials = try SpecialTokens(pieces: vocabulary.pieces, kinds: kinds)
    swallowsSpaceBefore = Set(vocabulary.swallowsSpaceBefore)
    swallowsSpaceAfter = Set(vocabulary.swallowsSpaceAfter)
    self.kinds = kinds
    self.endOfGeneration = endOfGeneration
    self.index = index
  }

  /// The pre-tokenizer names that byte-level vocabularies may carry.
  public static var supportedPreTokenizers: [String] { PreTokenizer.names }

  /// The number of token ids; ids are `0..<vocabularyCount`.
  public var vocabularyCount: Int { kinds.count }

  /// The id of the token spelled exactly `piece`, in the spelling of the file.
  public func id(ofPiece piece: String) -> Int32? { index.id(of: piece.utf8) }

  /// The spelling of token `id` as in the file, or nil for an id outside the vocabulary.
  public func piece(of id: Int32) -> String? {
    id >= 0 && Int(id) < kinds.count ? index.pieces.string(at: Int(id)) : nil
  }

  /// Whether a model that gave token `id` has finished.
  public func endsGeneration(_ id: Int32) -> Bool { endOfGeneration.contains(id) }

  /// The token ids of `text`.
  /// - Parameters:
  ///   - specialTokens: which spellings of control tokens in the text become these tokens; user-defined ones always do.
  ///   - addsBoundaryTokens: whether to add the beginning- and end-of-sequence tokens that the vocabulary asks for.
  public func encode(
    _ text: String, specialTokens: SpecialTokenParsing = .none, addsBoundaryTokens: Bool = true
  ) -> [Int32] {
    var text = text
    return text.withUTF8 {
      encode(utf8: $0, specialTokens: specialTokens, addsBoundaryTokens: addsBoundaryTokens)
    }
  }

  /// The token ids of text as bytes; see `encode(utf8:specialTokens:addsBoundaryTokens:)` on a buffer.
  public func encode(
    utf8 bytes: [UInt8], specialTokens: SpecialTokenParsing = .none, addsBoundaryTokens: Bool = true
  ) -> [Int32] {
    bytes.withUnsafeBufferPointer {
      encode(utf8: $0, specialTokens: specialTokens, addsBoundaryTokens: addsBoundaryTokens)
    }
  }

  /// The token ids of text as bytes. Bytes that are not UTF-8 are treated as llama.cpp treats them: SentencePiece keeps
  /// each as its byte token; a byte-level tokenizer reads surrogates and overlong forms as the code points they spell
  /// and every other such byte as U+FFFD.
  public func encode(
    utf8 bytes: UnsafeBufferPointer<UInt8>, specialTokens: SpecialTokenParsing = .none, addsBoundaryTokens: Bool = true
  ) -> [Int32] {
    scratch.lend { scratch in
      var output = TokenBuffer(capacity: bytes.count / 3 + 16)
      if addsBoundaryTokens { for id in boundary.before { output.append(id) } }
      if case .pipeline(let pipeline) = encoder {
        WellFormedText.with(bytes) { text in
          let bytes = UnsafeBufferPointer(start: text.base, count: text.count)
          pipeline.encode(bytes, specialTokens, scratch, into: &output)
        }
        if addsBoundaryTokens { for id in boundary.after { output.append(id) } }
        return output.tokens
      }
      let allowed = AllowedRanges(specialTokens)
      var position = 0
      var isAfterSpecial = true
      while position < bytes.count {
        let match = specials.next(in: bytes, from: position, parsing: allowed)
        var end = match?.start ?? bytes.count
        if let match, swallowsSpaceBefore.contains(match.id) {
          while end > position, isASCIISpace(bytes[end - 1]) { end -= 1 }
        }
        if end > position {
          encodePlain(
            UnsafeBufferPointer(rebasing: bytes[position..<end]), isAfterSpecial: isAfterSpecial, scratch, into: &output
          )
          isAfterSpecial = false
        }
        guard let match else { break }
        output.append(match.id)
        isAfterSpecial = true
        position = match.end
        if swallowsSpaceAfter.contains(match.id) {
          while position < bytes.count, isASCIISpace(bytes[position]) { position += 1 }
        }
      }
      if addsBoundaryTokens { for id in boundary.after { output.append(id) } }
      return output.tokens
    }
  }

  /// The tokens of a text with their places in it, without boundary tokens.
  func tokens(_ text: String, _ specialTokens: SpecialTokenParsing) -> [TextPipeline.Token] {
    if case .pipeline(let pipeline) = encoder {
      var text = text
      return text.withUTF8 { bytes in
        scratch.lend { scratch in pipeline.tokens(bytes, specialTokens, scratch) }
      }
    }
    // These lose nothing of a text but the white space that some special tokens swallow, so each token stands for as
    // many bytes as it decodes to; the space that is put before a text, again after each special token, is not there.
    let bytes = Array(text.utf8)
    var position = 0, word = -1, isAfterSpecial = true
    return encode(text, specialTokens: specialTokens, addsBoundaryTokens: false).map { id in
      let isSpecial = [.control, .userDefined, .unknown].contains(kinds[Int(id)])
      if swallowsSpaceBefore.contains(id) { position = afterSpace(in: bytes, from: position) }
      let start = position
      position += self.bytes(of: id).count
      if addsSpacePrefix, isAfterSpecial, !isSpecial { position -= 1 }
      isAfterSpecial = isSpecial
      let end = min(max(start, position), bytes.count)
      position = swallowsSpaceAfter.contains(id) ? afterSpace(in: bytes, from: end) : end
      word += 1
      return TextPipeline.Token(id: id, start: min(start, end), end: end, word: word)
    }
  }

  private func afterSpace(in bytes: [UInt8], from position: Int) -> Int {
    var position = position
    while position < bytes.count, isASCIISpace(bytes[position]) { position += 1 }
    return position
  }

  /// The tokens of a text, without boundary tokens, each with the bytes of the text that it stands for.
  package func placedTokens(
    _ text: String, specialTokens: SpecialTokenParsing = .none
  ) -> [(id: Int32, bytes: Range<Int>)] {
    tokens(text, specialTokens).map { ($0.id, $0.start..<max($0.start, $0.end)) }
  }

  private func encodePlain(
    _ bytes: UnsafeBufferPointer<UInt8>, isAfterSpecial: Bool, _ scratch: EncoderScratch,
    into output: inout TokenBuffer
  ) {
    switch encoder {
    case .pipeline: break
    case .byteLevel(let encoder):
      encoder.encode(bytes, scratch, into: &output)
    case .sentencePiece(let encoder):
      guard addsSpacePrefix, isAfterSpecial else { return encoder.encode(bytes, scratch, into: &output) }
      let prefixed = [0x20] + bytes
      prefixed.withUnsafeBufferPointer { encoder.encode($0, scratch, into: &output) }
    }
  }
}

private func isASCIISpace(_ byte: UInt8) -> Bool { byte == 0x20 || (0x09...0x0D).contains(byte) }
