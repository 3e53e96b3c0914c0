// The decoder skeleton that all families of decoders share.
import Layers
import Tensors

/// A language model that continues text: embedding, layers, a norm, and a score for every token.
public struct Decoder: Module {
  public let configuration: DecoderConfiguration
  public let backend: any Backend
  public var embedding: Embedding
  public var positionEmbedding: Embedding?
  public var layers: [TransformerLayer]
  public var norm: Norm
  /// Nil where the embedding matrix serves.
  public var head: (any Projection)?
  /// Learnt keys and values before each text (prefix tuning).
  public var prefix: Prefix?

  /// A model of this shape whose parameters hold nothing yet.
  public init(_ configuration: DecoderConfiguration, backend: any Backend) {
    self.configuration = configuration
    self.backend = backend
    embedding = Embedding(
      vocabulary: configuration.vocabulary, width: configuration.width, isTied: configuration.isHeadTied,
      backend: backend)
    positionEmbedding = configuration.hasPositionEmbedding
      ? Embedding(
        vocabulary: configuration.contextLength, width: configuration.width, isTied: false, backend: backend) : nil
    layers = configuration.positions.enumerated().map { index, positions in
      TransformerLayer(configuration.layer(index), positions, index: index, backend: backend)
    }
    norm = configuration.layer.norm(backend: backend)
    head = configuration.isHeadTied
      ? nil
      : Linear(
        inputs: configuration.width, outputs: configuration.vocabulary, hasBias: configuration.headHasBias,
        backend: backend)
  }

  /// What the last layer says of each token: `[T]` → `[T, width]`.
  ///
  /// - Parameters:
  ///   - tokens: of any number of sequences, end to end; each in `0 ..< configuration.vocabulary` or one of
  ///     ``virtualTokens``.
  ///   - context: knows the sequences; its cache takes the tokens up.
  public func callAsFunction(_ tokens: [Int32], _ context: some AttentionContext) -> Tensor {
    let vocabulary = configuration.vocabulary
    guard let prefixed = PrefixContext(prefix, tokens: tokens, vocabulary: vocabulary, over: context) else {
      return states(tokens, context)
    }
    return states(tokens.map { $0 < vocabulary ? $0 : 0 }, prefixed)
  }

  /// What stands before every text: the numbers that follow the vocabulary's, of tokens that were learnt.
  public var virtualTokens: [Int32] {
    Embedding.virtualTokens(after: configuration.vocabulary, prompt: embedding.prompt, prefix: prefix)
  }

  private func states(_ tokens: [Int32], _ context: some AttentionContext) -> Tensor {
    var x = embedding(tokens, scale: configuration.embeddingScale)
    if let positionEmbedding { x = x + positionEmbedding(context.positions) }
    for index in layers.indices { x = layers[index](x, context) }
    return x
  }

  /// A score for every token of the vocabulary: `[rows, width]` → `[rows, vocabulary]`.
  public func logits(_ x: Tensor) -> Tensor {
    let normalized = norm(x)
    let scores = head?(normalized) ?? embedding.scores(normalized)
    return configuration.scoreSoftCap.map { scores.softCapped($0) } ?? scores
  }

  public mutating func visit(_ visitor: any ModuleVisitor, at path: ModulePath) throws {
    try embedding.visit(visitor, at: path / "embedding")
    try visitor.visit(&positionEmbedding, at: path / "positionEmbedding")
    for index in layers.indices { try layers[index].visit(visitor, at: path / "layers" / String(index)) }
    try norm.visit(visitor, at: path / "norm")
    if var present = head {
      try visitor.visit(&present, at: path / "head")
      head = present
    }
    try visitor.visit(&prefix, at: path / "prefix")
  }
}
