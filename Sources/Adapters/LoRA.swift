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

  public func callAsFunction(_ x: Tensor) -> Tensor {
    if let weights = inputWeights { return result(of: x.products(weights)[...]) }
    return base(x) + correction(x.product(a))
  }

  public var inputWeights: [Tensor]? { base.inputWeights.map { $0 + [a] } }

  public func result(of products: ArraySlice<Tensor>) -> Tensor {
    base.result(of: products.dropLast()) + correction(products[products.endIndex - 1])
  }

  private func correction(_ inner: Tensor) -> Tensor { (inner * scale).product(b) }

  public mutating func visit(_ visitor: any ModuleVisitor, at path: ModulePath) throws {
    try base.visit(visitor, at: path)
    try visitor.visit(&a, role: .adapter, at: path / "lora" / "a")
    try visitor.visit(&b, role: .adapter, at: path / "lora" / "b")
  }

  public func prepared() -> LoRA { LoRA(base: base, a: a.packed(), b: b.packed(), scale: scale) }

  public func merge(into weight: inout [Float]) {
    addLowRank(a: a, b: b, scale: scale, to: &weight)
  }
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
