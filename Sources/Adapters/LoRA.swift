// Low-rank adaptation (Hu et al. 2021): two small matrices beside a large one that stays as it is.
import Layers
import Tensors

/// base(x) + scale × b(a(x))
public struct LoRA: AdapterProjection {
  public var base: any Projection
  /// `[rank, inputs]`
  public var a: Tensor
  /// `[outputs, rank]`
  public var b: Tensor
  public let scale: Float
  /// Both as products read them, the first one times the scale, where they are final.
  private var packed: (a: Tensor, b: Tensor)?

  init(base: any Projection, a: Tensor, b: Tensor, scale: Float) {
    self.base = base
    self.a = a
    self.b = b
    self.scale = scale
  }

  public func callAsFunction(_ x: Tensor) -> Tensor {
    if let inputFactors { return result(of: x.products(inputFactors)[...]) }
    return base(x) + correction(x.product(first))
  }

  private var first: Tensor { packed?.a ?? a }

  /// Whether the base is a matrix and nothing more, to which this is a correction while it learns.
  private func corrects(_ factors: [Factor]) -> Bool {
    packed == nil && factors.count == 1 && factors[0].correction == nil && !factors[0].weight.needsGradient
  }

  /// The own matrix comes first: what follows the last one in memory is fetched ahead, and base weights follow in the
  /// order in which they are used.
  public var inputFactors: [Factor]? {
    base.inputFactors.map { factors in
      corrects(factors)
        ? [Factor(factors[0].weight, correction: LowRank(a: a, b: b, scale: scale))] : [Factor(first)] + factors
    }
  }

  public func result(of products: ArraySlice<Tensor>) -> Tensor {
    if let factors = base.inputFactors, corrects(factors) { return base.result(of: products) }
    return base.result(of: products.dropFirst()) + correction(products[products.startIndex])
  }

  private func correction(_ inner: Tensor) -> Tensor {
    packed.map { inner.product($0.b) } ?? (inner * scale).product(b)
  }

  public mutating func visit(_ visitor: any ModuleVisitor, at path: ModulePath) throws {
    try base.visit(visitor, at: path)
    let before = (a, b)
    try visitor.visit(&a, role: .adapter, at: path / "lora" / "a")
    try visitor.visit(&b, role: .adapter, at: path / "lora" / "b")
    if !a.isSame(as: before.0) || !b.isSame(as: before.1) { packed = nil }
  }

  public func prepared() -> LoRA {
    var copy = self
    copy.packed = ((a.plainFloats() * scale).packed(), b.plainFloats().packed())
    return copy
  }

  public func merge(into weight: inout [Float]) { addLowRank(a: a, b: b, scale: scale, to: &weight) }
}

/// Adds scale × b a to a matrix `[outputs, inputs]`.
func addLowRank(a: Tensor, b: Tensor, scale: Float, to weight: inout [Float]) {
  let inputs = a.shape.columns, rank = a.shape.rows
  let first = a.plainFloats().values, second = b.plainFloats().values
  for row in 0..<b.shape.rows {
    for inner in 0..<rank {
      let factor = scale * second[row * rank + inner]
      guard factor != 0 else { continue }
      for column in 0..<inputs { weight[row * inputs + column] += factor * first[inner * inputs + column] }
    }
  }
}
