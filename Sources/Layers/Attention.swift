// Self-attention and cross-attention. What differs between reading a prompt, writing a token, encoding and training is
// the context.
import Tensors

/// The attention of the layer that asks.
public struct AttentionLayer: Sendable {
  public let index: Int
  /// What the dot product of query and key is multiplied with.
  public let scale: Float
  /// How many of the latest positions a query sees, where it sees backwards only; where it sees both ways, twice the
  /// distance to the farthest that it sees. Nil for all.
  public let window: Int?
  /// Scores are bent to stay within ± this.
  public let softCap: Float?

  public init(index: Int, scale: Float, window: Int? = nil, softCap: Float? = nil) {
    self.index = index
    self.scale = scale
    self.window = window
    self.softCap = softCap
  }
}

/// Results within a layer that are computed again for gradients, not kept: less memory for more work.
public enum Recomputation: String, Sendable, CaseIterable {
  case nothing
  /// What the hidden layer of feed-forward computes: about 40 % of the activations, for a fifth more work.
  case feedForward = "feed-forward"
  /// All but what goes from layer to layer, for a third more work.
  case layers
}

/// Knows where each sequence of the flat token axis begins, what it has cached, and who may look at whom.
public protocol AttentionContext: AnyObject {
  /// The position of each token in its sequence, `[T]`.
  var positions: [Int32] { get }
  /// What is computed again for gradients, not kept.
  var recomputation: Recomputation { get }

  /// queries `[T, heads, headWidth]`, keys and values `[T, kvHeads, headWidth]` → `[T, heads, headWidth]`
  func attend(_ layer: AttentionLayer, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor
}

extension AttentionContext {
  public var recomputation: Recomputation { .nothing }
}

/// Multi-head attention with grouped key-value heads (Ainslie et al. 2023).
public struct Attention: Module {
  /// Norms on queries and keys before they meet.
  public enum HeadNorm: Sendable {
    /// Each head by itself, all with the same factors.
    case shared
    /// Each head by itself with factors of its own.
    case separate
    /// All heads of a token as one row.
    case whole
  }

  public var query, key, value, output: any Projection
  public var queryNorm, keyNorm: Norm?
  public let heads, keyValueHeads, headWidth: Int
  public let headNorm: HeadNorm?
  public let rotation: Rotation?
  public let layer: AttentionLayer

  public init(
    _ configuration: LayerConfiguration, rotation: Rotation?, layer: AttentionLayer, backend: any Backend
  ) {
    heads = configuration.heads
    keyValueHeads = configuration.keyValueHeads
    headWidth = configuration.headWidth
    headNorm = configuration.headNorm
    self.rotation = rotation
    self.layer = layer
    let width = configuration.width, headWidth = headWidth
    let projection = { (heads: Int) in
      Linear(inputs: width, outputs: heads * headWidth, hasBias: configuration.hasAttentionBias, backend: backend)
    }
    query = projection(heads)
    key = projection(keyValueHeads)
    value = projection(keyValueHeads)
    output = Linear(
      inputs: heads * headWidth, outputs: width, hasBias: configuration.hasAttentionOutputBias, backend: backend)
    let norm = { (heads: Int) -> Norm? in
      let shape: Shape? = configuration.headNorm.map {
        switch $0 {
        case .shared: [headWidth]
        case .separate: [heads, headWidth]
        case .whole: [heads * headWidth]
        }
      }
      return shape.map {
        Norm(configuration.normKind, shape: $0, epsilon: configuration.normEpsilon, backend: backend)
      }
    }
    queryNorm = norm(heads)
    keyNorm = norm(keyValueHeads)
  }

  /// `[T, width]` → `[T, width]`
  public func callAsFunction(_ x: Tensor, _ context: some AttentionContext) -> Tensor {
    let projected = project(x, [query, key, value]), tokens = x.shape[0]
    var queries = split(projected[0], heads, queryNorm), keys = split(projected[1], keyValueHeads, keyNorm)
    if let rotation {
      queries = queries.rotated(by: rotation, positions: context.positions)
      keys = keys.rotated(by: rotation, positions: context.positions)
    }
    let values = projected[2].reshaped([tokens, keyValueHeads, headWidth])
    let attended = context.attend(layer, queries: queries, keys: keys, values: values)
    return output(attended.reshaped([tokens, heads * headWidth]))
  }

  /// The keys and values `[S, kvHeads, headWidth]` of what was encoded, `[S, width]`, for cross-attention.
  public func keysAndValues(of memory: Tensor) -> (keys: Tensor, values: Tensor) {
    let projected = project(memory, [key, value])
    return (
      split(projected[0], keyValueHeads, keyNorm),
      projected[1].reshaped([memory.shape[0], keyValueHeads, headWidth]))
  }

  /// Cross-attention: `[T, width]` → `[T, width]`.
  public func callAsFunction(
    _ x: Tensor, over memory: (keys: Tensor, values: Tensor), spans: [DenseAttention.Span]
  ) -> Tensor {
    let queries = split(query(x), heads, queryNorm)
    let attended = DenseAttention(spans: spans, scale: layer.scale).attend(
      queries: queries, keys: memory.keys, values: memory.values)
    return output(attended.reshaped([x.shape[0], heads * headWidth]))
  }

  /// `[T, heads × headWidth]` → `[T, heads, headWidth]`, normalised.
  private func split(_ x: Tensor, _ heads: Int, _ norm: Norm?) -> Tensor {
    let shape: Shape = [x.shape[0], heads, headWidth]
    guard let norm else { return x.reshaped(shape) }
    return headNorm == .whole ? norm(x).reshaped(shape) : norm(x.reshaped(shape))
  }

  public mutating func visit(_ visitor: any ModuleVisitor, at path: ModulePath) throws {
    try visitor.visit(&query, at: path / "query")
    try visitor.visit(&key, at: path / "key")
    try visitor.visit(&value, at: path / "value")
    try visitor.visit(&queryNorm, at: path / "queryNorm")
    try visitor.visit(&keyNorm, at: path / "keyNorm")
    try visitor.visit(&output, at: path / "output")
  }
}
