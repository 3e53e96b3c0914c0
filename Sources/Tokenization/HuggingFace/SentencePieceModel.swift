// SentencePiece's own model file, a protocol buffer (sentencepiece_model.proto).

/// The parts of `tokenizer.model` that matter for encoding.
struct SentencePieceModel {
  private enum Kind: Int { case normal = 1, unknown, control, userDefined, unused, byte }
  private enum Algorithm: Int { case unigram = 1, pairs, word, character }

  private let file: String
  private var pieces = PackedStrings()
  private var scores: [Double] = []
  private var kinds: [TokenKind] = []
  private var algorithm = Algorithm.unigram
  private var fallsBackToBytes = false
  private var marksAtEnd = false
  private var map: [UInt8] = []
  private var addsPrefix = true
  private var mergesSpaces = true
  private var escapesSpaces = true
  private var unknown: Int32?
  private var beginning: Int32?
  private var end: Int32?
  private var padding: Int32?

  /// - Throws: `TokenizerError.malformedFile`.
  init(_ bytes: [UInt8], file: String) throws {
    self.file = file
    do {
      var reader = ProtobufReader(bytes[...])
      while let field = try reader.next() {
        switch (field.number, field.value) {
        case (1, .bytes(let piece)): try readPiece(piece)
        case (2, .bytes(let trainer)): try readTrainer(trainer)
        case (3, .bytes(let normalizer)): try readNormalizer(normalizer)
        default: break
        }
      }
    } catch let error as ProtobufReader.ReadError {
      throw TokenizerError.malformedFile(file, field: nil, reason: error.message)
    }
    guard !pieces.isEmpty else { throw TokenizerError.emptyVocabulary }
    unknown = kinds.firstIndex(of: .unknown).map { Int32($0) }
    let count = Int32(pieces.count)
    beginning = beginning.flatMap { $0 >= 0 && $0 < count ? $0 : nil }
    end = end.flatMap { $0 >= 0 && $0 < count ? $0 : nil }
    padding = padding.flatMap { $0 >= 0 && $0 < count ? $0 : nil }
  }

  private mutating func readPiece(_ bytes: ArraySlice<UInt8>) throws {
    var reader = ProtobufReader(bytes)
    var piece: ArraySlice<UInt8> = []
    var score: Float = 0
    var kind = Kind.normal
    while let field = try reader.next() {
      switch (field.number, field.value) {
      case (1, .bytes(let bytes)): piece = bytes
      case (2, .fixed32(let bits)): score = Float(bitPattern: bits)
      case (3, .integer(let value)):
        guard let known = Kind(rawValue: Int(clamping: value)) else {
          throw ProtobufReader.ReadError(message: "piece \(pieces.count) has the type \(value); expected 1 to 6")
        }
        kind = known
      default: break
      }
    }
    guard score.isFinite else { throw TokenizerError.invalidScore(id: Int32(clamping: pieces.count)) }
    guard piece.withUnsafeBufferPointer(isStrictUTF8) else {
      throw ProtobufReader.ReadError(message: "piece \(pieces.count) is not UTF-8")
    }
    guard pieces.count < ModelVocabulary.idLimit else {
      throw TokenizerError.tooManyPieces(pieces.count, limit: ModelVocabulary.idLimit)
    }
    pieces.append(piece)
    scores.append(Double(score))
    kinds.append(TokenKind(rawValue: UInt8(kind.rawValue)) ?? .normal)
  }

  private mutating func readTrainer(_ bytes: ArraySlice<UInt8>) throws {
    var reader = ProtobufReader(bytes)
    beginning = 1
    end = 2
    while let field = try reader.next() {
      guard case .integer(let value) = field.value else { continue }
      // Negative ids are written in ten bytes.
      let id = Int32(truncatingIfNeeded: value)
      switch field.number {
      case 3:
        guard let known = Algorithm(rawValue: Int(clamping: value)) else {
          throw ProtobufReader.ReadError(message: "model_type is \(value); expected 1 to 4")
        }
        algorithm = known
      case 24: marksAtEnd = value != 0
      case 35: fallsBackToBytes = value != 0
      case 41: beginning = id
      case 42: end = id
      case 43: padding = id
      default: break
      }
    }
  }

  private mutating func readNormalizer(_ bytes: ArraySlice<UInt8>) throws {
    var reader = ProtobufReader(bytes)
    while let field = try reader.next() {
      switch (field.number, field.value) {
      case (2, .bytes(let bytes)): map = Array(bytes)
      case (3, .integer(let value)): addsPrefix = value != 0
      case (4, .integer(let value)): mergesSpaces = value != 0
      case (5, .integer(let value)): escapesSpaces = value != 0
      default: break
      }
    }
  }
}

extension SentencePieceModel {
  /// - Throws: `TokenizerError` for a model that contradicts itself.
  func definition(_ configuration: TokenizerConfiguration) throws -> TokenizerDefinition {
    let index = try PieceIndex(pieces)
    for (id, kind) in self.kinds.enumerated() where kind == .byte {
      guard ByteToken.byte(pieces[id]) != nil else {
        throw TokenizerError.malformedByteToken(id: Int32(id), pieces.string(at: id))
      }
    }
    guard let unknown else { throw TokenizerError.missingID(field: "an unknown piece", neededBy: "SentencePiece") }
    var steps = SentencePieceNormalizer()
    do {
      if !map.isEmpty { steps.map = try CharacterMap(map) }
    } catch {
      throw TokenizerError.malformedFile(file, field: "precompiled_charsmap", reason: error.message)
    }
    let verbatim = self.kinds.indices.filter { self.kinds[$0] == .userDefined }
    steps.verbatim = ByteTrie(pieces, ids: verbatim)
    steps.addsSpace = configuration.addsPrefixSpace ?? addsPrefix
    steps.addsSpaceAtEnd = marksAtEnd
    steps.mergesSpaces = mergesSpaces
    if !escapesSpaces { steps.mark = [0x20] }

    let (added, all, allKinds) = try TokenizerDefinition.addTokens(
      configuration, to: pieces, index: index, roles: [:], unknown: unknown, file: file)
    var kinds = allKinds
    for (id, kind) in self.kinds.enumerated() where kind != .normal && kinds[id] == .normal { kinds[id] = kind }
    var tokens = added
    let known = Set(tokens.map(\.id))
    for (id, kind) in self.kinds.enumerated() where kind == .control && !known.contains(Int32(id)) {
      var token = AddedToken(content: Array(pieces[id]), id: Int32(id))
      token.isSpecial = true
      token.isNormalized = false
      tokens.append(token)
    }

    let stages: [SplitStage] = algorithm == .unigram && !marksAtEnd && escapesSpaces
      && UnigramEncoder.encodesWordByWord(pieces, self.kinds) ? [.beforeMarks] : []
    var definition = TokenizerDefinition(
      pieces: all, kinds: kinds, model: model,
      pipeline: TextPipeline(
        added: try AddedTokens(tokens, normalizer: nil), normalizer: .sentencePiece(steps), stages: stages,
        encoder: try encoder(index, unknown)),
      decoder: TokenDecoder(stages: decoder(steps)))
    definition.unknown = unknown
    definition.beginningOfSequence = beginning
    definition.endOfSequence = end
    definition.padding = padding
    definition.addsSpacePrefix = steps.addsSpace
    definition.scores = scores.map { Float($0) }
    definition.characterMap = map
    definition.removesExtraSpaces = mergesSpaces
    let isT5 = ["T5", "MT5"].contains { configuration.className.hasPrefix($0) }
    let before = configuration.addsBeginning ?? (algorithm == .pairs) ? [beginning].compactMap(\.self) : []
    let after = configuration.addsEnd ?? isT5 ? [end].compactMap(\.self) : []
    let single: [PostProcessor.Piece] = [
      .tokens(before, typeID: 0), .text(0, typeID: 0), .tokens(after, typeID: 0),
    ]
    definition.postProcessor = .template(
      single: single, pair: single + [.tokens(before, typeID: 1), .text(1, typeID: 1), .tokens(after, typeID: 1)])
    return definition
  }

  private var model: TokenizerModel? {
    switch algorithm {
    case .unigram: .unigram
    case .pairs: .sentencePiece
    case .word, .character: nil
    }
  }

  private func encoder(_ index: PieceIndex, _ unknown: Int32) throws -> any WordEncoder {
    let isText = { (id: Int) in kinds[id] == .normal || kinds[id] == .userDefined || kinds[id] == .unused }
    switch algorithm {
    case .unigram:
      let least = scores.indices.filter { kinds[$0] == .normal }.map { scores[$0] }.min() ?? 0
      let most = scores.indices.filter { kinds[$0] == .normal }.map { scores[$0] }.max() ?? 0
      // What the user defined wins against any sequence of pieces of the same text.
      let weights = scores.enumerated().map { id, score in
        kinds[id] == .userDefined ? Double(pieces[id].count) * most - 0.1 : score
      }
      let found = kinds.indices.filter { kinds[$0] == .normal || kinds[$0] == .userDefined }
      return try UnigramEncoder(
        index: index, scores: weights, pieces: found,
        unknown: unknown, fallsBackToBytes: fallsBackToBytes, leastScore: least)
    case .pairs:
      var vocabulary = TokenizerVocabulary(model: .sentencePiece, pieces: pieces)
      vocabulary.scores = scores.map { Float($0) }
      return try ScoredPairEncoder(
        index: index, scores: vocabulary.scores, isText: kinds.indices.map(isText),
        isWhole: kinds.map { $0 == .userDefined }, unknown: unknown, fallsBackToBytes: fallsBackToBytes)
    case .word:
      let mark = escapesSpaces ? SentencePieceEncoder.space : [0x20]
      return MarkedWordEncoder(index: index, unknown: unknown, mark: mark)
    case .character:
      let merges = try MergeTable(PackedStrings(), index: index)
      var options = CharacterPairEncoder.Options()
      options.unknown = unknown
      options.fusesUnknown = true
      options.fallsBackToBytes = fallsBackToBytes
      return CharacterPairEncoder(index: index, merges: merges, options: options)
    }
  }

  private func decoder(_ steps: SentencePieceNormalizer) -> [TokenDecoder.Stage] {
    let toSpace: [TokenDecoder.Stage] = [.replace(.literal(steps.mark), [0x20])]
    let bytes: [TokenDecoder.Stage] = fallsBackToBytes ? [.byteTokens] : []
    let strip: [TokenDecoder.Stage] = steps.addsSpace
      ? [.strip([0x20], start: marksAtEnd ? 0 : 1, end: marksAtEnd ? 1 : 0, isWholeText: true)] : []
    return toSpace + bytes + strip
  }
}
