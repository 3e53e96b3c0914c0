// The vocabularies of GGUF that are not merged from pairs: BERT's WordPiece and T5's Unigram, as llama.cpp means them.

extension TokenizerDefinition {
  /// - Throws: `TokenizerError` for a vocabulary that contradicts itself.
  init(_ vocabulary: TokenizerVocabulary) throws {
    let count = vocabulary.pieces.count
    let index = try PieceIndex(vocabulary.pieces)
    var kinds = vocabulary.kinds
    if kinds.isEmpty { kinds = Array(repeating: .normal, count: count) }
    guard kinds.count == count else {
      throw TokenizerError.countMismatch(field: "token kinds", count: kinds.count, expected: count)
    }
    func checked(_ field: String, _ id: Int32?, default fallback: Int32?) throws -> Int32? {
      guard let id else { return fallback.flatMap { $0 < count ? $0 : nil } }
      guard id >= 0, id < count else { throw TokenizerError.idOutOfRange(field: field, id: id, count: count) }
      return id
    }
    let isWordPiece = vocabulary.model == .wordPiece
    let beginning = try checked(
      "beginning of sequence", vocabulary.beginningOfSequence, default: isWordPiece ? 101 : nil)
    let end = try checked("end of sequence", vocabulary.endOfSequence, default: isWordPiece ? 102 : 1)
    let unknown = try checked("unknown", vocabulary.unknown, default: isWordPiece ? 100 : 2)
    let padding = try checked("padding", vocabulary.padding, default: 0)
    let ends = WellKnownTokens.resolve(vocabulary, index: index, kinds: &kinds)
    for id in ends { _ = try checked("end of generation", id, default: nil) }
    guard let unknown else { throw TokenizerError.missingID(field: "unknown", neededBy: "text beyond the vocabulary") }

    var added: [AddedToken] = []
    for (id, kind) in kinds.enumerated() where kind == .control || kind == .userDefined || kind == .unknown {
      var token = AddedToken(content: Array(vocabulary.pieces[id]), id: Int32(id))
      token.isNormalized = false
      token.isSpecial = kind != .userDefined
      added.append(token)
    }

    let normalizer: Normalizer
    var stages: [SplitStage] = []
    let encoder: any WordEncoder
    let decoder: TokenDecoder.Stage
    let mark = SentencePieceEncoder.space
    if isWordPiece {
      normalizer = .bert(BERTNormalizer())
      stages = SplitStage.bert
      encoder = WordPieceEncoder(
        index: index, unknown: unknown, initialPrefix: mark, continuingPrefix: [], characterLimit: .max)
      decoder = .wordPiece(prefix: [], initialMark: mark, cleansUp: false)
    } else {
      var steps = SentencePieceNormalizer()
      do {
        if !vocabulary.characterMap.isEmpty { steps.map = try CharacterMap(vocabulary.characterMap) }
      } catch {
        throw TokenizerError.malformedFile("tokenizer", field: "precompiled_charsmap", reason: error.message)
      }
      steps.addsSpace = vocabulary.addsSpacePrefix ?? true
      steps.mergesSpaces = vocabulary.removesExtraSpaces ?? true
      normalizer = .sentencePiece(steps)
      let isText = { (id: Int) in kinds[id] == .normal || kinds[id] == .userDefined || kinds[id] == .unused }
      encoder = try UnigramEncoder(
        index: index, scores: vocabulary.scores.enumerated().map { kinds[$0] == .userDefined ? 0 : Double($1) },
        pieces: (0..<count).filter(isText), unknown: unknown, fallsBackToBytes: false)
      decoder = .metaspace(mark, dropsFirst: steps.addsSpace)
    }

    self.init(
      pieces: vocabulary.pieces, kinds: kinds, model: vocabulary.model,
      pipeline: TextPipeline(
        added: try AddedTokens(added, normalizer: nil), normalizer: normalizer, stages: stages, encoder: encoder),
      decoder: TokenDecoder(stages: [decoder]))
    beginningOfSequence = beginning
    endOfSequence = end
    self.unknown = unknown
    self.padding = padding
    endOfGeneration = ends
    addsSpacePrefix = !isWordPiece && (vocabulary.addsSpacePrefix ?? true)
    let before = vocabulary.addsBeginningOfSequence ?? isWordPiece ? [beginning].compactMap(\.self) : []
    let after = vocabulary.addsEndOfSequence ?? true ? [end].compactMap(\.self) : []
    let single: [PostProcessor.Piece] = [
      .tokens(before, typeID: 0), .text(0, typeID: 0), .tokens(after, typeID: 0),
    ]
    postProcessor = .template(single: single, pair: single + [.text(1, typeID: 1), .tokens(after, typeID: 1)])
  }
}
