// The layer of all three shapes of transformers: decoders, encoders, and decoders that look at an encoder.
import Tensors

/// What a decoder looks at beside its own tokens: keys and values of an encoder's result, for each of its layers.
public struct EncoderMemory: Sendable {
  /// `[S, kvHeads, headWidth]` each, layer by layer.
  public var layers: [(keys: Tensor, values: Tensor)]
  /// Which of them each token of the pass may see.
  public var spans: [DenseAttention.Span]

  public init(layers: [(keys: Tensor, values: Tensor)], spans: [DenseAttention.Span]) {
    self.layers = layers
    self.spans = spans
  }
}

/// Attention, then feed-forward, each added to what came in; norms where the family has them.
public struct TransformerLayer: Module {
  /// A branch with the norms about it; which of them there are is the family's ``LayerConfiguration/NormPlacement``.
  public struct Norms: Module {
    public var before, after, afterSum: Norm?

    init(_ configuration: LayerConfiguration, hasFirst: Bool = true, backend: any Backend) {
      let placement = configuration.normPlacement, norm = { configuration.norm(backend: backend) }
      before = hasFirst && (placement == .before || placement == .around) ? norm() : nil
      after = placement == .around || placement == .after ? norm() : nil
      afterSum = placement == .afterSum ? norm() : nil
    }

    func callAsFunction(_ x: Tensor, _ branch: (Tensor) -> Tensor) -> Tensor {
      var y = branch(before?(x) ?? x)
      if let after { y = after(y) }
      y = x + y
      return afterSum?(y) ?? y
    }

    public mutating func visit(_ visitor: any ModuleVisitor, at path: ModulePath) throws {
      try visitor.visit(&before, at: path / "before")
      try visitor.visit(&after, at: path / "after")
      try visitor.visit(&afterSum, at: path / "afterSum")
    }
  }

  public var attentionNorms, feedForwardNorms: Norms
  public var attention: Attention
  public var crossNorms: Norms?
  public var crossAttention: Attention?
  public var feedForward: any FeedForward
  public let index: Int
  private let isParallel: Bool

  public init(_ configuration: LayerConfiguration, _ positions: LayerPositions, index: Int, backend: any Backend) {
    self.index = index
    isParallel = configuration.isParallel
    let layer = AttentionLayer(
      index: index, scale: configuration.attentionScale, window: positions.window,
      softCap: configuration.attentionSoftCap)
    attentionNorms = Norms(configuration, backend: backend)
    attention = Attention(configuration, rotation: positions.rotation, layer: layer, backend: backend)
    if configuration.hasCrossAttention {
      crossNorms = Norms(configuration, backend: backend)
      crossAttention = Attention(configuration, rotation: nil, layer: layer, backend: backend)
    }
    feedForwardNorms = Norms(
      configuration, hasFirst: !configuration.isParallel || configuration.hasParallelNorm, backend: backend)
    if let experts = configuration.experts {
      feedForward = Experts(configuration, experts, backend: backend)
    } else {
      feedForward = configuration.isGated
        ? GatedMLP(configuration, backend: backend) : MLP(configuration, backend: backend)
    }
  }

  /// `[T, width]` → `[T, width]`
  public func callAsFunction(
    _ x: Tensor, _ context: some AttentionContext, memory: EncoderMemory? = nil
  ) -> Tensor {
    // What an encoder said has a history of its own, which must not be walked once for every layer.
    guard context.recomputation == .layers, memory == nil else { return compute(x, context, memory: memory) }
    nonisolated(unsafe) let context: any AttentionContext = context
    return x.recomputing { compute($0, context, memory: nil) }
  }

  private func compute(_ x: Tensor, _ context: some AttentionContext, memory: EncoderMemory?) -> Tensor {
    let recomputes = context.recomputation == .feedForward
    if isParallel {
      let normalized = attentionNorms.before?(x) ?? x
      let fed = feedForward(feedForwardNorms.before?(x) ?? normalized, recomputes: recomputes)
      return x + attention(normalized, context) + fed
    }
    var y = attentionNorms(x) { attention($0, context) }
    if let crossNorms, let crossAttention, let memory {
      y = crossNorms(y) { crossAttention($0, over: memory.layers[index], spans: memory.spans) }
    }
    return feedForwardNorms(y) { feedForward($0, recomputes: recomputes) }
  }

  public mutating func visit(_ visitor: any ModuleVisitor, at path: ModulePath) throws {
    try attentionNorms.visit(visitor, at: path / "attentionNorm")
    try attention.visit(visitor, at: path / "attention")
    try visitor.visit(&crossNorms, at: path / "crossNorm")
    try visitor.visit(&crossAttention, at: path / "crossAttention")
    try feedForwardNorms.visit(visitor, at: path / "feedForwardNorm")
    try feedForward.visit(visitor, at: path / "feedForward")
  }
}
