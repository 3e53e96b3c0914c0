// What stands on an encoder: filling masks, labels for texts, one vector for a text.
import Layers
import Tensors

/// From the vectors of a text's tokens to one.
public enum Pooling: String, Sendable, CaseIterable {
  case mean
  /// The first token's.
  case cls
  /// The last token's.
  case last

  /// `[T, width]` of texts of these lengths → `[texts, width]`
  /// - Parameter unused: tokens at the beginning of each text that do not count; fewer than it has.
  public func pool(_ x: Tensor, lengths all: [Int], skipping unused: Int = 0) -> Tensor {
    var firsts: [Int32] = [], next = Int32(unused)
    for length in all {
      firsts.append(next)
      next += Int32(length)
    }
    let lengths = all.map { $0 - unused }
    switch self {
    case .cls: return x.rows(at: firsts)
    case .last: return x.rows(at: zip(firsts, lengths).map { $0 + Int32($1) - 1 })
    case .mean:
      // Texts of one length are averaged as rows of weights; their order is restored at the end.
      var places = [Int32](repeating: 0, count: lengths.count), parts: [Tensor] = [], placed: Int32 = 0
      for (length, texts) in Dictionary(grouping: lengths.indices, by: { lengths[$0] }).sorted(by: { $0.key < $1.key }) {
        for text in texts {
          places[text] = placed
          placed += 1
        }
        let weights = Tensor(
          [Float](repeating: 1 / Float(length), count: texts.count * length), shape: [texts.count, length],
          backend: x.backend)
        parts.append(
          x.weightedRows(at: texts.flatMap { firsts[$0]..<firsts[$0] + Int32(length) }.map { $0 }, weights: weights))
      }
      return Tensor.concatenated(parts).rows(at: places)
    }
  }
}

/// output(norm(activation(dense(x)))), a score for every token.
public struct MaskHead: Module {
  public struct Configuration: Sendable {
    /// Whether the scores are products with the embedding.
    public var isTied: Bool
    public var hasDenseBias: Bool
    public var activation: Activation
  }

  public var dense: any Projection
  public var norm: Norm
  /// Nil where the embedding matrix serves.
  public var head: (any Projection)?
  public var bias: Tensor?
  private let activation: Activation

  init(_ layer: LayerConfiguration, _ configuration: Configuration, vocabulary: Int, backend: any Backend) {
    dense = Linear(inputs: layer.width, outputs: layer.width, hasBias: configuration.hasDenseBias, backend: backend)
    norm = layer.norm(backend: backend)
    head = configuration.isTied ? nil : Linear(inputs: layer.width, outputs: vocabulary, backend: backend)
    bias = .parameter([vocabulary], on: backend)
    activation = configuration.activation
  }

  func callAsFunction(_ x: Tensor) -> Tensor { norm(dense(x).activated(activation)) }

  func output(_ x: Tensor, _ embedding: Embedding) -> Tensor {
    let scores = head?(x) ?? embedding.scores(x)
    return bias.map { scores.adding(bias: $0) } ?? scores
  }

  public mutating func visit(_ visitor: any ModuleVisitor, at path: ModulePath) throws {
    try visitor.visit(&dense, at: path / "dense")
    try norm.visit(visitor, at: path / "norm")
    if var present = head {
      try visitor.visit(&present, at: path)
      head = present
    }
    try visitor.visit(&bias, role: .vector, at: path / "bias")
  }
}

/// output(norm(activation(dense(x)))) of a text's vector, a score for every label.
public struct Classifier: Module {
  public struct Configuration: Sendable {
    /// Nil for a model whose text vectors are meant, but no labels.
    public var labels: Int?
    public var hasDenseBias: Bool
    public var hasOutputBias: Bool
    public var hasNorm: Bool
    public var activation: Activation
    public var pooling: Pooling
  }

  public var dense: any Projection
  public var output: (any Projection)?
  public var norm: Norm?
  public let pooling: Pooling
  private let activation: Activation

  init(_ layer: LayerConfiguration, _ configuration: Configuration, backend: any Backend) {
    dense = Linear(inputs: layer.width, outputs: layer.width, hasBias: configuration.hasDenseBias, backend: backend)
    norm = configuration.hasNorm ? layer.norm(backend: backend) : nil
    output = configuration.labels.map {
      Linear(inputs: layer.width, outputs: $0, hasBias: configuration.hasOutputBias, backend: backend)
    }
    pooling = configuration.pooling
    activation = configuration.activation
  }

  /// The vector of a text as the model was trained to give it (BERT's pooler), `[texts, width]`.
  public func pooled(_ x: Tensor) -> Tensor { dense(x).activated(activation) }

  public func callAsFunction(_ x: Tensor) -> Tensor? {
    let pooled = pooled(x)
    return output?(norm?(pooled) ?? pooled)
  }

  public mutating func visit(_ visitor: any ModuleVisitor, at path: ModulePath) throws {
    try visitor.visit(&dense, at: path / "dense")
    try visitor.visit(&norm, at: path / "norm")
    if var present = output {
      try visitor.visit(&present, at: path / "output")
      output = present
    }
  }
}
