// The vocabularies of GGUF that are not merged from pairs: BERT's WordPiece and T5's Unigram, as llama.cpp means them.

extension TokenizerDefinition {
  /// - Throws: `TokenizerError` for a vocabulary that contradicts itself.
  init(_ vocabulary: TokenizerVocabulary) throws {
    let vocabulary = try vocabulary.completed(), count = vocabulary.pieces.count
    let index = try PieceIndex(vocabulary.pieces)
    var kinds = vocabulary.kinds
    let isWordPiece = vocabulary.model == .wordPiece
    let ends = WellKnownTokens.resolve(vocabulary, index: index, kinds: &kinds)
    for id in ends where id < 0 || id >= count {
      throw TokenizerError.idOutOfRange(field: "end of generation", id: id, count: count)
    }
    guard let unknown = vocabulary.unknown else {
      throw TokenizerError.missingID(field: "unknown", neededBy: "text beyond the vocabulary")
    }

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
    if isWordPiece {
      normalizer = .bert(
        BERTNormalizer(stripsAccents: vocabulary.stripsAccents ?? true, lowercases: vocabulary.lowercases ?? true))
      stages = SplitStage.bert
      encoder = WordPieceEncoder(
        index: index, unknown: unknown, continuingPrefix: WordPieceSpelling.continuation,
        characterLimit: WordPieceSpelling.characterLimit)
      decoder = .wordPiece(prefix: WordPieceSpelling.continuation, cleansUp: true)
    } else {
      var steps = SentencePieceNormalizer()
      do {
        if !vocabulary.characterMap.isEmpty { steps.map = try CharacterMap(vocabulary.characterMap) }
      } catch {
        throw TokenizerError.malformedFile("tokenizer", field: "precompiled_charsmap", reason: error.message)
      }
      steps.addsSpace = vocabulary.addsSpacePrefix == true
      steps.mergesSpaces = vocabulary.removesExtraSpaces == true
      normalizer = .sentencePiece(steps)
      if UnigramEncoder.encodesWordByWord(vocabulary.pieces, kinds) { stages = [.beforeMarks] }
      let isText = { (id: Int) in kinds[id] == .normal || kinds[id] == .userDefined || kinds[id] == .unused }
      encoder = try UnigramEncoder(
        index: index, scores: vocabulary.scores.enumerated().map { kinds[$0] == .userDefined ? 0 : Double($1) },
        pieces: (0..<count).filter(isText), unknown: unknown, fallsBackToBytes: false)
      decoder = .metaspace(SentencePieceEncoder.space, dropsFirst: steps.addsSpace)
    }

    self.init(
      pieces: vocabulary.pieces, kinds: kinds, model: vocabulary.model,
      pipeline: TextPipeline(
        added: try AddedTokens(added, normalizer: nil), normalizer: normalizer, stages: stages, encoder: encoder),
      decoder: TokenDecoder(stages: [decoder]))
    beginningOfSequence = vocabulary.beginningOfSequence
    endOfSequence = vocabulary.endOfSequence
    self.unknown = unknown
    padding = vocabulary.padding
    endOfGeneration = ends
    addsSpacePrefix = vocabulary.addsSpacePrefix == true && !isWordPiece
    let before = vocabulary.addsBeginningOfSequence == true ? [beginningOfSequence].compactMap(\.self) : []
    let after = vocabulary.addsEndOfSequence == true ? [endOfSequence].compactMap(\.self) : []
    let single: [PostProcessor.Piece] = [
      .tokens(before, typeID: 0), .text(0, typeID: 0), .tokens(after, typeID: 0),
    ]
    // Of those whose vocabularies are Unigram's none tells two texts apart by a type.
    let second: Int32 = isWordPiece ? 1 : 0
    postProcessor = .template(
      single: single, pair: single + [.text(1, typeID: second), .tokens(after, typeID: second)])
  }
}
