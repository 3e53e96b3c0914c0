// The encoder–decoder skeleton (Vaswani et al. 2017): one half reads a text, the other writes while it looks at what
// was read.
import Checkpoints
import Layers
import Tensors

/// What is different between one encoder–decoder family and another, as data.
public struct EncoderDecoderConfiguration: Sendable {
  /// The family's name in GGUF, such as `t5`.
  public var architecture: String
  public var vocabulary: Int
  /// Positions that a half was trained for; nil where positions are distances and nothing ends.
  public var contextLength: Int?
  public var encoder, decoder: Half
  /// What token vectors are multiplied with before the first layer.
  public var embeddingScale: Float = 1
  public var isHeadTied: Bool
  public var headHasBias: Bool
  /// What the decoder's result is multiplied with before scores are taken.
  public var scoreScale: Float = 1
  /// The token with which every answer begins.
  public var startToken: Int32

  /// One of the halves.
  public struct Half: Sendable {
    public var layer: LayerConfiguration
    public var layers: Int
    /// Positions with vectors of their own.
    public var positions: Int?
    public var hasEmbeddingNorm: Bool
    public var hasFinalNorm: Bool
    /// Numbers for distances, and the distance from which all are alike.
    public var relative: (buckets: Int, maximumDistance: Int)?
  }
}

/// A model that writes a text from another: translation, summaries.
public struct EncoderDecoder: Module {
  public let configuration: EncoderDecoderConfiguration
  public let backend: any Backend
  public var embedding: Embedding
  public var encoder, decoder: Half
  /// Nil where the embedding matrix serves.
  public var head: (any Projection)?
  public var headBias: Tensor?

  /// One of the halves.
  public struct Half: Module {
    public var positionEmbedding: Embedding?
    public var embeddingNorm, norm: Norm?
    public var layers: [TransformerLayer]
    /// Of all layers.
    public var relativeBias: RelativeBias?
    /// Learnt keys and values before each text (prefix tuning).
    public var prefix: Prefix?

    init(_ configuration: EncoderDecoderConfiguration.Half, isEncoder: Bool, backend: any Backend) {
      let layer = configuration.layer
      positionEmbedding = configuration.positions.map {
        Embedding(vocabulary: $0, width: layer.width, isTied: false, backend: backend)
      }
      embeddingNorm = configuration.hasEmbeddingNorm ? layer.norm(backend: backend) : nil
      norm = configuration.hasFinalNorm ? layer.norm(backend: backend) : nil
      layers = (0..<configuration.layers).map {
        TransformerLayer(layer, LayerPositions(), index: $0, backend: backend)
      }
      relativeBias = configuration.relative.map {
        RelativeBias(
          buckets: $0.buckets, heads: layer.heads, isBidirectional: isEncoder, maximumDistance: $0.maximumDistance,
          backend: backend)
      }
    }

    fileprivate func callAsFunction(
      _ tokens: [Int32], _ embedding: Embedding, _ configuration: EncoderDecoderConfiguration, _ context: DenseContext,
      memory: EncoderMemory? = nil
    ) -> Tensor {
      let vocabulary = configuration.vocabulary, scale = configuration.embeddingScale
      guard let prefixed = PrefixContext(prefix, tokens: tokens, vocabulary: vocabulary, over: context) else {
        return states(embedding(tokens, scale: scale), context, memory)
      }
      return states(embedding(tokens.map { $0 < vocabulary ? $0 : 0 }, scale: scale), prefixed, memory)
    }

    private func states(_ vectors: Tensor, _ context: some AttentionContext, _ memory: EncoderMemory?) -> Tensor {
      var x = vectors
      if let positionEmbedding { x = x + positionEmbedding(context.positions) }
      if let embeddingNorm { x = embeddingNorm(x) }
      for index in layers.indices { x = layers[index](x, context, memory: memory) }
      return norm?(x) ?? x
    }

    public mutating func visit(_ visitor: any ModuleVisitor, at path: ModulePath) throws {
      try visitor.visit(&positionEmbedding, at: path / "positionEmbedding")
      try visitor.visit(&embeddingNorm, at: path / "embeddingNorm")
      try visitor.visit(&relativeBias, at: path / "layers" / "0" / "relativeBias")
      for index in layers.indices { try layers[index].visit(visitor, at: path / "layers" / String(index)) }
      try visitor.visit(&norm, at: path / "norm")
      try visitor.visit(&prefix, at: path / "prefix")
    }
  }

  /// A model of this shape whose parameters hold nothing yet.
  public init(_ configuration: EncoderDecoderConfiguration, backend: any Backend) {
    self.configuration = configuration
    self.backend = backend
    let width = configuration.encoder.layer.width
    embedding = Embedding(
      vocabulary: configuration.vocabulary, width: width, isTied: configuration.isHeadTied, backend: backend)
    encoder = Half(configuration.encoder, isEncoder: true, backend: backend)
    decoder = Half(configuration.decoder, isEncoder: false, backend: backend)
    head = configuration.isHeadTied
      ? nil : Linear(inputs: width, outputs: configuration.vocabulary, backend: backend)
    headBias = configuration.headHasBias ? .parameter([configuration.vocabulary], on: backend) : nil
  }

  /// What the encoder says of each token: `[S]` → `[S, width]`.
  /// - Parameters:
  ///   - lengths: tokens of each text.
  ///   - recomputation: see `AttentionContext`.
  public func encode(_ tokens: [Int32], lengths: [Int], recomputation: Recomputation = .nothing) -> Tensor {
    encoder(
      tokens, embedding, configuration,
      DenseContext(
        lengths: lengths, isCausal: false, relativeBias: encoder.relativeBias, recomputation: recomputation))
  }

  /// What the decoder's cross-attention reads of an encoder's result, `[S, width]`.
  public func memory(_ encoded: Tensor) -> [(keys: Tensor, values: Tensor)] {
    decoder.layers.compactMap { $0.crossAttention?.keysAndValues(of: encoded) }
  }

  /// What the decoder says of each token: `[T]` → `[T, width]`.
  /// - Parameter context: causal, with ``Half/relativeBias`` of the decoder.
  public func callAsFunction(_ tokens: [Int32], _ context: DenseContext, memory: EncoderMemory) -> Tensor {
    decoder(tokens, embedding, configuration, context, memory: memory)
  }

  /// What stands before every text that is read, of a model whose prompt was tuned.
  public var virtualTokens: [Int32] {
    Embedding.virtualTokens(after: configuration.vocabulary, prompt: embedding.prompt, prefix: encoder.prefix)
  }

  /// What stands before every text that is written, of a model whose prefix was tuned; the start token follows.
  public var virtualDecoderTokens: [Int32] {
    Embedding.virtualTokens(after: configuration.vocabulary, prompt: nil, prefix: decoder.prefix)
  }

  /// A score for every token of the vocabulary: `[rows, width]` → `[rows, vocabulary]`.
  public func logits(_ x: Tensor) -> Tensor {
    let scaled = configuration.scoreScale == 1 ? x : x * configuration.scoreScale
    let scores = head?(scaled) ?? embedding.scores(scaled)
    return headBias.map { scores.adding(bias: $0) } ?? scores
  }

  public mutating func visit(_ visitor: any ModuleVisitor, at path: ModulePath) throws {
    try embedding.visit(visitor, at: path / "embedding")
    try encoder.visit(visitor, at: path / "encoder")
    try decoder.visit(visitor, at: path / "decoder")
    if var present = head {
      try visitor.visit(&present, at: path / "head")
      head = present
    }
    try visitor.visit(&headBias, role: .vector, at: path / "head" / "bias")
  }
}

extension EncoderDecoder {
  /// A model with the checkpoint's weights, repacked for the backend.
  /// - Throws: `CheckpointError` that names the tensor which is missing or has another shape.
  public init(_ checkpoint: any Checkpoint, backend: any Backend = CPUBackend.shared) throws {
    self.init(try ModelRegistry.encoderDecoderConfiguration(checkpoint), backend: backend)
    try visit(CheckpointLoader(checkpoint, backend: backend), at: ModulePath())
  }
}
