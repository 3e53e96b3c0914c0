// Everything that a tokenizer is made of, whichever files it came from.

/// The parts of a tokenizer that works in stages.
struct TokenizerDefinition {
  /// The spelling of each token; empty for ids that none has.
  var pieces: PackedStrings
  var kinds: [TokenKind]
  /// What GGUF calls the algorithm; nil where it has no name for it.
  var model: TokenizerModel?
  var pipeline: TextPipeline
  var decoder: TokenDecoder
  var postProcessor: PostProcessor?

  var beginningOfSequence: Int32?
  var endOfSequence: Int32?
  var unknown: Int32?
  var padding: Int32?
  var endOfGeneration: [Int32] = []
  var addsSpacePrefix = false

  /// What GGUF wants to know of the files besides; see ``TokenizerVocabulary``.
  var merges = PackedStrings()
  var scores: [Float] = []
  var characterMap: [UInt8] = []
  var removesExtraSpaces: Bool?
  var wordPieceSteps: BERTNormalizer?
  /// Whether text is changed in a way that GGUF has no words for.
  var normalizesOtherwise = false
  /// How text is cut, one line for each step.
  var cuts: [String] = []

  var truncation: EncodingTruncation?
  var batchPadding: EncodingPadding?
}
