// Weight-decomposed low-rank adaptation (Liu et al. 2024): LoRA turns the rows of a matrix, factors give their lengths.
import Layers
import Tensors

/// magnitude × (W + scale × b a) x / |W + scale × b a| + bias, row by row; for gradients the norm is a constant, as in the
/// paper.
public struct DoRA: AdapterProjection {
  public var base: any Projection
  /// `[rank, inputs]`
  public var a: Tensor
  /// `[outputs, rank]`
  public var b: Tensor
  /// `[outputs]`
  public var magnitude: Tensor
  public let scale: Float
  /// W, which stays as it is.
  private let weight: Tensor
  /// |W|² of each row.
  private let squares: [Double]
  /// The matrices as products read them, the first one times the scale, and magnitude / norm, where all are final.
  private var packed: (a: Tensor, b: Tensor, factors: Tensor)?

  /// - Throws: ``AdapterError`` where the base is no plain product.
  public init(base: any Projection, a: Tensor, b: Tensor, magnitude: Tensor, scale: Float) throws {
    guard let weight = base.plainWeight else {
      throw AdapterError(message: "DoRA needs the rows of a plain matrix, and cannot be put about another adapter")
    }
    self.base = base
    self.a = a
    self.b = b
    self.magnitude = magnitude
    self.scale = scale
    self.weight = weight
    squares = Self.squares(of: weight)
  }

  /// |W|² of each row of a matrix of any data type.
  static func squares(of weight: Tensor) -> [Double] {
    let rows = weight.shape.rows, columns = weight.shape.columns
    var squares: [Double] = []
    squares.reserveCapacity(rows)
    for first in stride(from: 0, to: rows, by: 256) {
      let part = weight.rows(at: (first..<min(rows, first + 256)).map { Int32($0) }).values
      for start in stride(from: 0, to: part.count, by: columns) {
        squares.append(part[start..<start + columns].reduce(0) { $0 + Double($1) * Double($1) })
      }
    }
    return squares
  }

  public func callAsFunction(_ x: Tensor) -> Tensor { result(of: x.products(weights)[...]) }

  /// As in ``LoRA``, the own matrix comes first.
  private var weights: [Tensor] { [packed?.a ?? a, weight] }

  public var inputFactors: [Factor]? { weights.map { Factor($0) } }

  public func result(of products: ArraySlice<Tensor>) -> Tensor {
    let inner = products[products.startIndex], product = products[products.startIndex + 1]
    let lowRank = packed.map { inner.product($0.b) } ?? (inner * scale).product(b)
    let scaled = (product + lowRank).scaled(columns: packed?.factors ?? currentFactors())
    return base.bias.map { scaled.adding(bias: $0) } ?? scaled
  }

  private func currentFactors() -> Tensor {
    let count = magnitude.shape.count
    let inverse = Tensor(norms().map { Float(1 / $0) }, shape: [count, 1], backend: magnitude.backend)
    return magnitude.reshaped([count, 1]).weightedRows(at: (0..<count).map { Int32($0) }, weights: inverse)
  }

  /// |W + scale × b a| of each row, without the sum being made: |w|² + 2 scale w·Δ + scale² |Δ|², where Δ = b a.
  func norms() -> [Double] {
    let rank = a.shape.rows, scale = Double(scale), a = a.plainFloats(), b = b.plainFloats().values
    // Rows of W times rows of a `[rank, outputs]`, rows of a times one another `[rank, rank]`.
    let mixed = a.product(weight).values, own = a.product(a.packed()).values
    let outputs = squares.count
    return (0..<outputs).map { row in
      var between = 0.0, length = 0.0
      for i in 0..<rank {
        let factor = Double(b[row * rank + i])
        between += factor * Double(mixed[i * outputs + row])
        for j in 0..<rank { length += factor * Double(b[row * rank + j]) * Double(own[i * rank + j]) }
      }
      let square = squares[row] + 2 * scale * between + scale * scale * length
      return max(square, .leastNormalMagnitude).squareRoot()
    }
  }

  public mutating func visit(_ visitor: any ModuleVisitor, at path: ModulePath) throws {
    try base.visit(visitor, at: path)
    let before = (a, b, magnitude)
    try visitor.visit(&a, role: .adapter, at: path / "lora" / "a")
    try visitor.visit(&b, role: .adapter, at: path / "lora" / "b")
    try visitor.visit(&magnitude, role: .adapter, at: path / "lora" / "magnitude")
    let isSame = a.isSame(as: before.0) && b.isSame(as: before.1) && magnitude.isSame(as: before.2)
    if !isSame { packed = nil }
  }

  public func prepared() -> DoRA {
    var copy = self
    copy.packed = ((a.plainFloats() * scale).packed(), b.plainFloats().packed(), currentFactors())
    return copy
  }

  public func merge(into weight: inout [Float]) {
    addLowRank(a: a, b: b, scale: scale, to: &weight)
    let columns = inputs, magnitude = magnitude.values
    for (row, norm) in norms().enumerated() {
      let factor = Float(Double(magnitude[row]) / norm)
      for column in 0..<columns { weight[row * columns + column] *= factor }
    }
  }
}
