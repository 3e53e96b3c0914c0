// The seam between models and hardware: everything that a model computes goes through this protocol, so a second
// backend can stand beside the CPU without a change to any model.

/// The activation of a gated feed-forward layer.
public enum Activation: String, Sendable {
  case silu
  /// GELU with the tanh approximation.
  case geluTanh
  /// GELU with the error function.
  case gelu
}

/// What computes. Ops are eager: when one returns, its result is there.
///
/// Inputs are `f32` unless an op says otherwise. Shapes are checked where models are built; a mismatch inside an op is
/// a programmer's error. Every op gives the same bits for a row whatever the other rows are.
public protocol Backend: AnyObject, Sendable {
  /// The threads that work on an op.
  var threadCount: Int { get }

  /// A matrix `[outputs, inputs]` of any data type in the layout that ``products(_:_:)`` reads fastest.
  /// - Throws: when the file that holds it cannot be read.
  func prepare(_ weight: Tensor) throws -> Tensor

  /// A tensor of any data type as `f32`, row after row.
  func floats(_ tensor: Tensor) -> Tensor

  /// Rows `indices` of a prepared or unprepared matrix `[rows, columns]` → `[indices.count, columns]`.
  func rows(of table: Tensor, at indices: [Int32]) -> Tensor

  /// x `[T, inputs]` times each prepared weight `[outputs, inputs]`, transposed → `[T, outputs]` each.
  func products(_ x: Tensor, _ weights: [Tensor]) -> [Tensor]

  /// x / √(mean x² + epsilon) × weight over the last axis, which has the width of `weight`.
  func rmsNorm(_ x: Tensor, weight: Tensor, epsilon: Float) -> Tensor

  func add(_ x: Tensor, _ y: Tensor) -> Tensor

  func scale(_ x: Tensor, by factor: Float) -> Tensor

  /// activation(gate) × up, element by element.
  func gate(_ gate: Tensor, _ up: Tensor, activation: Activation) -> Tensor

  /// ln Σ exp(x) over the last axis: `[rows, columns]` → `[rows]`.
  func logSumExp(_ x: Tensor) -> Tensor

  /// Rotary positions: x `[T, heads, width]`, turned by its token's position.
  func rotate(_ x: Tensor, positions: [Int32], by rotation: Rotation) -> Tensor

  /// Attention with a paged cache: writes keys and values `[T, kvHeads, width]` at their spans' places in the cache,
  /// then lets queries `[T, heads, width]` see them and all before → `[T, heads, width]`.
  func attend(_ attention: PagedAttention, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor
}

extension Tensor {
  /// Rows `indices` of a `[rows, columns]` tensor.
  public func rows(at indices: [Int32]) -> Tensor { backend.rows(of: self, at: indices) }

  public static func + (x: Tensor, y: Tensor) -> Tensor { x.backend.add(x, y) }

  public static func * (x: Tensor, factor: Float) -> Tensor { x.backend.scale(x, by: factor) }
}
