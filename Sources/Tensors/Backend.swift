// The seam between ops and hardware: everything that a model computes goes through this protocol, so a second backend
// can stand beside the CPU without a change to any model.

/// What bends a feed-forward layer.
public enum Activation: String, Sendable {
  case silu
  /// GELU with the tanh approximation.
  case geluTanh
  /// GELU with the error function.
  case gelu
  case relu
  case tanh
}

/// What computes: the kernels of the ops in `Ops/`, which models call and which record gradients; kernels record
/// nothing. Kernels are eager: when one returns, its result is there.
///
/// Inputs are `f32` unless an op says otherwise. Shapes are checked where models are built; a mismatch inside an op is
/// a programmer's error. Every kernel gives the same bits for a row whatever the other rows are.
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

  /// x `[T, inputs]` times each weight `[outputs, inputs]`, transposed → `[T, outputs]` each. Weights are prepared, or
  /// `f32` in rows as a weight is that changes from step to step.
  func products(_ x: Tensor, _ weights: [Tensor]) -> [Tensor]

  /// x / √(mean x² + epsilon) × weight over the last axis, which has the width of `weight`.
  func rmsNorm(_ x: Tensor, weight: Tensor, epsilon: Float) -> Tensor

  /// (x − mean) / √(variance + epsilon) × weight + bias over the last axis; nil for no bias. With a weight of several
  /// rows the rows of x take them in turn.
  func layerNorm(_ x: Tensor, weight: Tensor, bias: Tensor?, epsilon: Float) -> Tensor

  func add(_ x: Tensor, _ y: Tensor) -> Tensor

  /// x `[rows, columns]` + bias `[columns]`
  func add(_ x: Tensor, bias: Tensor) -> Tensor

  func scale(_ x: Tensor, by factor: Float) -> Tensor

  /// activation(gate) × up, element by element.
  func gate(_ gate: Tensor, _ up: Tensor, activation: Activation) -> Tensor

  func activate(_ x: Tensor, _ activation: Activation) -> Tensor

  /// exp(x) / Σ exp(x) over the last axis.
  func softmax(_ x: Tensor) -> Tensor

  /// `[rows, columns]` → `[columns, rows]`
  func transpose(_ x: Tensor) -> Tensor

  /// Rows of several matrices of one width, one matrix after another.
  func concatenated(_ parts: [Tensor]) -> Tensor

  /// Σ over k of weights `[T, k]` × the row of `table` that `places` `[T × k]` names → `[T, columns]`.
  func weightedRows(_ table: Tensor, at places: [Int32], weights: Tensor) -> Tensor

  /// ln Σ exp(x) over the last axis: `[rows, columns]` → `[rows]`.
  func logSumExp(_ x: Tensor) -> Tensor

  /// One step of Adam, in place: of a weight, of the mean of its gradients and of that of their squares.
  func adamStep(_ step: AdamStep, gradient: Tensor, weight: Tensor, mean: Tensor, square: Tensor)

  /// x ← a x + b y, in place.
  func combine(_ x: Tensor, _ a: Float, _ y: Tensor, _ b: Float)

  /// Σ x²
  func sumOfSquares(_ x: Tensor) -> Double

  /// Rotary positions: x `[T, heads, width]`, turned by its token's position.
  func rotate(_ x: Tensor, positions: [Int32], by rotation: Rotation) -> Tensor

  /// Attention with a paged cache: writes keys and values `[T, kvHeads, width]` at their spans' places in the cache,
  /// then lets queries `[T, heads, width]` see them and all before → `[T, heads, width]`.
  func attend(_ attention: PagedAttention, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor

  /// Attention over keys and values `[S, kvHeads, width]` in memory, with a bias by distance where one is given.
  func attend(_ attention: DenseAttention, queries: Tensor, keys: Tensor, values: Tensor, bias: Tensor?) -> Tensor

  // MARK: Gradients. `upstream` is the gradient with respect to an op's result and has the shape of that result; what
  // is given back has the shape of the op's input. Sums run in an order that depends on shapes alone.

  /// ``products(_:_:)``, and what the gradients with respect to the weights will read: with factors of 16 bits it takes
  /// half the memory of x.
  func products(remembering x: Tensor, _ weights: [Tensor]) -> ([Tensor], ProductInput)

  /// The same for an x that is computed again when the first of these gradients is.
  func productInput(_ again: @escaping @Sendable () -> Tensor) -> ProductInput

  /// Of ``products(_:_:)`` with respect to x: upstream `[T, outputs]` × weight `[outputs, inputs]` of any data type and
  /// layout → `[T, inputs]`.
  /// - Parameter sum: what it is added to, in place, and given back; nobody else holds it. So below.
  func inputGradient(_ upstream: Tensor, weight: Tensor, adding sum: Tensor?) -> Tensor

  /// Of ``products(_:_:)`` with respect to the weight: Σ over tokens of upstream × x → `[outputs, inputs]`.
  func weightGradient(_ upstream: Tensor, input: ProductInput, adding sum: Tensor?) -> Tensor

  /// Both.
  func productGradients(
    _ upstream: Tensor, weight: Tensor, input: ProductInput, adding sums: (input: Tensor?, weight: Tensor?)
  ) -> (input: Tensor, weight: Tensor)

  /// ``products(_:_:)`` with weights that have a low-rank correction each → results, and x · aᵀ × scale for each, which
  /// gradients read.
  func products(_ x: Tensor, _ weights: [Tensor], _ corrections: [LowRank]) -> (results: [Tensor], inner: [Tensor])

  /// Of one of these products with respect to a and b, and to x where the weight is given. Sums are added to in place.
  func lowRankGradients(
    _ upstream: Tensor, x: Tensor, weight: Tensor?, _ correction: LowRank, inner: Tensor,
    adding sums: (input: Tensor?, a: Tensor?)
  ) -> (input: Tensor?, a: Tensor, b: Tensor)

  /// Of ``rows(of:at:)`` with respect to a table of this shape: each row the sum of its uses.
  func rowsGradient(_ upstream: Tensor, at indices: [Int32], of shape: Shape, adding sum: Tensor?) -> Tensor

  /// With respect to x, and to the weight where it is wanted.
  func rmsNormGradients(
    _ upstream: Tensor, x: Tensor, weight: Tensor, epsilon: Float, ofWeight: Bool
  ) -> (x: Tensor, weight: Tensor?)

  func layerNormGradients(
    _ upstream: Tensor, x: Tensor, weight: Tensor, epsilon: Float, ofWeight: Bool
  ) -> (x: Tensor, weight: Tensor?)

  /// Of ``add(_:bias:)`` with respect to the bias, which has this many columns.
  func biasGradient(_ upstream: Tensor, columns: Int) -> Tensor

  /// Of ``gate(_:_:activation:)`` with respect to the gate and to `up`; without `up` of ``activate(_:_:)``.
  func gateGradients(
    _ upstream: Tensor, gate: Tensor, up: Tensor?, activation: Activation
  ) -> (gate: Tensor, up: Tensor?)

  /// - Parameter result: what ``softmax(_:)`` gave.
  func softmaxGradient(_ upstream: Tensor, result: Tensor) -> Tensor

  /// Of ``weightedRows(_:at:weights:)`` with respect to the table, of `rows` rows, and to the weights.
  func weightedRowsGradients(
    _ upstream: Tensor, table: Tensor, at places: [Int32], weights: Tensor
  ) -> (table: Tensor, weights: Tensor)

  /// upstream × exp(x − result), row by row.
  /// - Parameter result: what ``logSumExp(_:)`` gave for `x`.
  func logSumExpGradient(_ upstream: Tensor, x: Tensor, result: Tensor) -> Tensor

  /// Of ``Tensor/crossEntropy(_:)``: upstream `[rows]` × (softmax(x) − 1 at the target).
  /// - Parameters:
  ///   - sums: what ``logSumExp(_:)`` gave for `x`.
  ///   - gradient: where it is written; `x` itself may be.
  func crossEntropyGradient(_ upstream: Tensor, x: Tensor, targets: [Int32], sums: Tensor, into gradient: Tensor)

  func rotateGradient(_ upstream: Tensor, positions: [Int32], by rotation: Rotation) -> Tensor

  /// The numbers with which paged attention computes, after it has written the cache: keys and values of all positions
  /// in ``PagedAttention/seen``, `[positions, kvHeads, width]` each.
  func cached(_ attention: PagedAttention) -> (keys: Tensor, values: Tensor)

  /// Of ``attend(_:queries:keys:values:bias:)`` with respect to queries, keys, values and the bias, where there is one.
  func attendGradients(
    _ upstream: Tensor, _ attention: DenseAttention, queries: Tensor, keys: Tensor, values: Tensor, bias: Tensor?
  ) -> (queries: Tensor, keys: Tensor, values: Tensor, bias: Tensor?)
}
