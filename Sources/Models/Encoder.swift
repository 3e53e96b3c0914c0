// The encoder skeleton: every token sees its whole sequence (Devlin et al. 2019).
import Checkpoints
import Layers
import Tensors
import Tokenization

/// What is different between one encoder family and another, as data.
public struct EncoderConfiguration: Sendable {
  /// The family's name in GGUF, such as `bert`.
  public var architecture: String
  public var vocabulary: Int
  /// The most tokens of a text.
  public var contextLength: Int
  public var layer: LayerConfiguration
  public var positions: [LayerPositions]
  /// Whether a vector for each position is added to the token's.
  public var hasPositionEmbedding: Bool
  /// Kinds of segments, such as question and passage; 0 where the model knows none.
  public var tokenTypes: Int
  public var hasEmbeddingNorm: Bool
  public var hasFinalNorm: Bool
  /// Of the first layer nothing is normalised before attention, since the embedding was (ModernBERT).
  public var skipsFirstNorm = false
  public var maskHead: MaskHead.Configuration?
  public var classifier: Classifier.Configuration?
}

/// A model that reads: embedding, layers, and whichever heads the checkpoint has.
public struct Encoder: Module {
  public let configuration: EncoderConfiguration
  public let backend: any Backend
  public var embedding: Embedding
  public var positionEmbedding, typeEmbedding: Embedding?
  public var embeddingNorm, norm: Norm?
  public var layers: [TransformerLayer]
  public var maskHead: MaskHead?
  public var classifier: Classifier?
  /// Learnt keys and values before each text (prefix tuning).
  public var prefix: Prefix?

  /// A model of this shape whose parameters hold nothing yet.
  public init(_ configuration: EncoderConfiguration, backend: any Backend) {
    self.configuration = configuration
    self.backend = backend
    let layer = configuration.layer
    let table = { (rows: Int, isTied: Bool) in
      Embedding(vocabulary: rows, width: layer.width, isTied: isTied, backend: backend)
    }
    embedding = table(configuration.vocabulary, configuration.maskHead?.isTied ?? false)
    positionEmbedding = configuration.hasPositionEmbedding ? table(configuration.contextLength, false) : nil
    typeEmbedding = configuration.tokenTypes > 0 ? table(configuration.tokenTypes, false) : nil
    embeddingNorm = configuration.hasEmbeddingNorm ? layer.norm(backend: backend) : nil
    norm = configuration.hasFinalNorm ? layer.norm(backend: backend) : nil
    layers = configuration.positions.enumerated().map { index, positions in
      TransformerLayer(layer, positions, index: index, backend: backend)
    }
    if configuration.skipsFirstNorm { layers[0].attentionNorms.before = nil }
    maskHead = configuration.maskHead.map {
      MaskHead(layer, $0, vocabulary: configuration.vocabulary, backend: backend)
    }
    classifier = configuration.classifier.map { Classifier(layer, $0, backend: backend) }
  }

  /// What the last layer says of each token: `[T]` → `[T, width]`.
  ///
  /// - Parameters:
  ///   - tokens: of any number of texts, end to end; each in `0 ..< configuration.vocabulary`, or one of
  ///     ``virtualTokens``, with all of which each text of an adapted model begins.
  ///   - types: the segment of each token; nil for 0.
  ///   - lengths: tokens of each text, at most `configuration.contextLength`.
  ///   - recomputation: see `AttentionContext`.
  public func callAsFunction(
    _ tokens: [Int32], types: [Int32]? = nil, lengths: [Int], recomputation: Recomputation = .nothing
  ) -> Tensor {
    let context = DenseContext(lengths: lengths, isCausal: false, recomputation: recomputation)
    let vocabulary = configuration.vocabulary
    guard let prefixed = PrefixContext(prefix, tokens: tokens, vocabulary: vocabulary, over: context) else {
      return states(tokens, types, context)
    }
    return states(tokens.map { $0 < vocabulary ? $0 : 0 }, types, prefixed)
  }

  /// What stands before every text: the numbers that follow the vocabulary's, of tokens that were learnt.
  public var virtualTokens: [Int32] {
    Embedding.virtualTokens(after: configuration.vocabulary, prompt: embedding.prompt, prefix: prefix)
  }

  private func states(_ tokens: [Int32], _ types: [Int32]?, _ context: some AttentionContext) -> Tensor {
    var x = embedding(tokens)
    if let positionEmbedding { x = x + positionEmbedding(context.positions) }
    if let typeEmbedding { x = x + typeEmbedding(types ?? Array(repeating: 0, count: tokens.count)) }
    if let embeddingNorm { x = embeddingNorm(x) }
    for index in layers.indices { x = layers[index](x, context) }
    return norm?(x) ?? x
  }

  /// A score for every token of the vocabulary at each row: `[rows, width]` → `[rows, vocabulary]`; nil for a model that
  /// was not trained to fill masks.
  public func maskScores(_ x: Tensor) -> Tensor? {
    maskHead.map { head in
      let transformed = head(x)
      return head.output(transformed, embedding)
    }
  }

  /// A score for every label: `[T, width]` of texts of these lengths → `[texts, labels]`; nil for a model without.
  public func labelScores(_ x: Tensor, lengths: [Int]) -> Tensor? {
    // A prefix gives keys and values, and its tokens' own rows say nothing.
    classifier.flatMap { $0($0.pooling.pool(x, lengths: lengths, skipping: prefix?.count ?? 0)) }
  }

  public mutating func visit(_ visitor: any ModuleVisitor, at path: ModulePath) throws {
    try embedding.visit(visitor, at: path / "embedding")
    try visitor.visit(&positionEmbedding, at: path / "positionEmbedding")
    try visitor.visit(&typeEmbedding, at: path / "typeEmbedding")
    try visitor.visit(&embeddingNorm, at: path / "embeddingNorm")
    for index in layers.indices { try layers[index].visit(visitor, at: path / "layers" / String(index)) }
    try visitor.visit(&norm, at: path / "norm")
    try visitor.visit(&maskHead, at: path / "maskHead")
    try visitor.visit(&classifier, at: path / "classifier")
    try visitor.visit(&prefix, at: path / "prefix")
  }
}

extension Encoder {
  /// An encoder with the checkpoint's weights, repacked for the backend.
  /// - Throws: `CheckpointError` that names the tensor which is missing or has another shape.
  public init(_ checkpoint: any Checkpoint, backend: any Backend = CPUBackend.shared) throws {
    self.init(try ModelRegistry.encoderConfiguration(checkpoint), backend: backend)
    try visit(CheckpointLoader(checkpoint, backend: backend), at: ModulePath())
  }
}
