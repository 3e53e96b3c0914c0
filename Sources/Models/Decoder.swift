// The decoder skeleton that all families of decoders share.
import Layers
import Tensors

/// One layer: attention, then feed-forward, each added to what came in (Xiong et al. 2020: norms before).
public struct DecoderLayer: Module {
  public var attentionNorm, feedForwardNorm: RMSNorm
  public var postAttentionNorm, postFeedForwardNorm: RMSNorm?
  public var attention: Attention
  public var feedForward: GatedMLP

  public init(_ configuration: DecoderConfiguration, index: Int, backend: any Backend) {
    let norm = { RMSNorm(width: configuration.width, epsilon: configuration.normEpsilon, backend: backend) }
    let positions = configuration.positions[index]
    attentionNorm = norm()
    attention = Attention(
      width: configuration.width, heads: configuration.heads, keyValueHeads: configuration.keyValueHeads,
      headWidth: configuration.headWidth, rotation: positions.rotation,
      headNormEpsilon: configuration.hasHeadNorms ? configuration.normEpsilon : nil,
      layer: AttentionLayer(index: index, scale: configuration.attentionScale, window: positions.window),
      backend: backend)
    postAttentionNorm = configuration.hasPostNorms ? norm() : nil
    feedForwardNorm = norm()
    feedForward = GatedMLP(
      width: configuration.width, hiddenWidth: configuration.hiddenWidth, activation: configuration.activation,
      backend: backend)
    postFeedForwardNorm = configuration.hasPostNorms ? norm() : nil
  }

  /// `[T, width]` → `[T, width]`
  public func callAsFunction(_ x: Tensor, _ context: some AttentionContext) -> Tensor {
    var attended = attention(attentionNorm(x), context)
    if let postAttentionNorm { attended = postAttentionNorm(attended) }
    let middle = x + attended
    var fed = feedForward(feedForwardNorm(middle))
    if let postFeedForwardNorm { fed = postFeedForwardNorm(fed) }
    return middle + fed
  }

  public mutating func visit(_ visitor: any ModuleVisitor, at path: ModulePath) throws {
    try attentionNorm.visit(visitor, at: path / "attentionNorm")
    try attention.visit(visitor, at: path / "attention")
    try visitor.visit(&postAttentionNorm, at: path / "postAttentionNorm")
    try feedForwardNorm.visit(visitor, at: path / "feedForwardNorm")
    try feedForward.visit(visitor, at: path / "feedForward")
    try visitor.visit(&postFeedForwardNorm, at: path / "postFeedForwardNorm")
  }
}

/// A language model that continues text: embedding, layers, a norm, and a score for every token.
public struct Decoder: Module {
  public let configuration: DecoderConfiguration
  public let backend: any Backend
  public var embedding: Embedding
  public var layers: [DecoderLayer]
  public var norm: RMSNorm
  /// Nil where the embedding matrix serves.
  public var head: (any Projection)?

  /// A model of this shape whose parameters hold nothing yet.
  public init(_ configuration: DecoderConfiguration, backend: any Backend) {
    self.configuration = configuration
    self.backend = backend
    embedding = Embedding(
      vocabulary: configuration.vocabulary, width: configuration.width, isTied: configuration.isHeadTied,
      backend: backend)
    layers = (0..<configuration.layers).map { DecoderLayer(configuration, index: $0, backend: backend) }
    norm = RMSNorm(width: configuration.width, epsilon: configuration.normEpsilon, backend: backend)
    head = configuration.isHeadTied
      ? nil : Linear(inputs: configuration.width, outputs: configuration.vocabulary, backend: backend)
  }

  /// What the last layer says of each token: `[T]` → `[T, width]`.
  ///
  /// - Parameters:
  ///   - tokens: of any number of sequences, end to end; each in `0 ..< configuration.vocabulary`.
  ///   - context: knows the sequences; its cache takes the tokens up.
  public func callAsFunction(_ tokens: [Int32], _ context: some AttentionContext) -> Tensor {
    var x = embedding(tokens)
    if configuration.embeddingScale != 1 { x = x * configuration.embeddingScale }
    for index in layers.indices { x = layers[index](x, context) }
    return x
  }

  /// A score for every token of the vocabulary: `[rows, width]` → `[rows, vocabulary]`.
  public func logits(_ x: Tensor) -> Tensor {
    let normalized = norm(x)
    return head?(normalized) ?? embedding.scores(normalized)
  }

  public mutating func visit(_ visitor: any ModuleVisitor, at path: ModulePath) throws {
    try embedding.visit(visitor, at: path / "embedding")
    for index in layers.indices { try layers[index].visit(visitor, at: path / "layers" / String(index)) }
    try norm.visit(visitor, at: path / "norm")
    if var present = head {
      try visitor.visit(&present, at: path / "head")
      head = present
    }
  }
}
