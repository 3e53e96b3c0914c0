// Infused adapter by inhibiting and amplifying inner activations (Liu et al. 2022): a factor for each number.
import Layers
import Tensors

/// base(x × factors), or base(x) × factors.
public struct IA3: AdapterProjection {
  public var base: any Projection
  /// `[inputs]` or `[outputs]`
  public var factors: Tensor
  /// Whether what goes in is scaled, as before the second map of feed-forward layers, or what comes out.
  public let scalesInput: Bool

  public func callAsFunction(_ x: Tensor) -> Tensor {
    scalesInput ? base(x.scaled(columns: factors)) : base(x).scaled(columns: factors)
  }

  public var inputFactors: [Factor]? { scalesInput ? nil : base.inputFactors }

  public func result(of products: ArraySlice<Tensor>) -> Tensor { base.result(of: products).scaled(columns: factors) }

  public mutating func visit(_ visitor: any ModuleVisitor, at path: ModulePath) throws {
    try base.visit(visitor, at: path)
    try visitor.visit(&factors, role: .adapter, at: path / "ia3" / (scalesInput ? "inputs" : "outputs"))
  }

  public func prepared() -> IA3 { self }

  public func merge(into weight: inout [Float]) {
    let columns = inputs, factors = factors.values
    for index in weight.indices { weight[index] *= factors[scalesInput ? index % columns : index / columns] }
  }

  public func merge(intoBias bias: inout [Float]) {
    if !scalesInput { bias = zip(bias, factors.values).map { $0 * $1 } }
  }
}
