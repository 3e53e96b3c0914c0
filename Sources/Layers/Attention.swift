// Self-attention as a layer sees it. Who may look at whom, and what is cached, is the context's business.
import Tensors

/// What a context needs to know of the layer that asks.
public struct AttentionLayer: Sendable {
  public let index: Int
  /// What the dot product of query and key is multiplied with.
  public let scale: Float
  /// How many of the latest positions a query sees; nil for all.
  public let window: Int?

  public init(index: Int, scale: Float, window: Int? = nil) {
    self.index = index
    self.scale = scale
    self.window = window
  }
}

/// Knows where each sequence of the flat token axis begins, what it has cached, and who may look at whom.
public protocol AttentionContext: AnyObject {
  /// The position of each token in its sequence, `[T]`.
  var positions: [Int32] { get }

  /// queries `[T, heads, headWidth]`, keys and values `[T, kvHeads, headWidth]` → `[T, heads, headWidth]`
  func attend(_ layer: AttentionLayer, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor
}

/// Multi-head attention with grouped key-value heads (Ainslie et al. 2023).
public struct Attention: Module {
  public var query, key, value, output: any Projection
  public var queryNorm, keyNorm: RMSNorm?
  public let heads, keyValueHeads, headWidth: Int
  public let rotation: Rotation?
  public let layer: AttentionLayer

  public init(
    width: Int, heads: Int, keyValueHeads: Int, headWidth: Int, rotation: Rotation?, headNormEpsilon: Float?,
    layer: AttentionLayer, backend: any Backend
  ) {
    query = Linear(inputs: width, outputs: heads * headWidth, backend: backend)
    key = Linear(inputs: width, outputs: keyValueHeads * headWidth, backend: backend)
    value = Linear(inputs: width, outputs: keyValueHeads * headWidth, backend: backend)
    output = Linear(inputs: heads * headWidth, outputs: width, backend: backend)
    if let headNormEpsilon {
      queryNorm = RMSNorm(width: headWidth, epsilon: headNormEpsilon, backend: backend)
      keyNorm = RMSNorm(width: headWidth, epsilon: headNormEpsilon, backend: backend)
    }
    self.heads = heads
    self.keyValueHeads = keyValueHeads
    self.headWidth = headWidth
    self.rotation = rotation
    self.layer = layer
  }

  /// `[T, width]` → `[T, width]`
  public func callAsFunction(_ x: Tensor, _ context: some AttentionContext) -> Tensor {
    let projected = project(x, [query, key, value]), tokens = x.shape[0]
    var queries = projected[0].reshaped([tokens, heads, headWidth])
    var keys = projected[1].reshaped([tokens, keyValueHeads, headWidth])
    let values = projected[2].reshaped([tokens, keyValueHeads, headWidth])
    if let queryNorm { queries = queryNorm(queries) }
    if let keyNorm { keys = keyNorm(keys) }
    if let rotation {
      queries = queries.rotated(by: rotation, positions: context.positions)
      keys = keys.rotated(by: rotation, positions: context.positions)
    }
    let attended = context.attend(layer, queries: queries, keys: keys, values: values)
    return output(attended.reshaped([tokens, heads * headWidth]))
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
