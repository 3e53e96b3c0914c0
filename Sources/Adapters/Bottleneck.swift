// Adapters in the first sense of the word (Houlsby et al. 2019): a narrow layer behind attention or feed-forward.
import Layers
import Tensors

/// y + up(activation(down(y))), where y = base(x): the base is the last projection of a branch.
public struct Bottleneck: AdapterProjection {
  public var base: any Projection
  /// `[width, outputs]` and `[width]`
  public var down, downBias: Tensor
  /// `[outputs, width]` and `[outputs]`
  public var up, upBias: Tensor
  public let activation: Activation
  /// Both matrices as products read them, where they are final.
  private var packed: (down: Tensor, up: Tensor)?

  init(
    base: any Projection, down: Tensor, downBias: Tensor, up: Tensor, upBias: Tensor, activation: Activation
  ) {
    self.base = base
    (self.down, self.downBias, self.up, self.upBias) = (down, downBias, up, upBias)
    self.activation = activation
  }

  public func callAsFunction(_ x: Tensor) -> Tensor { adapted(base(x)) }

  public var inputFactors: [Factor]? { base.inputFactors }

  public func result(of products: ArraySlice<Tensor>) -> Tensor { adapted(base.result(of: products)) }

  private func adapted(_ y: Tensor) -> Tensor {
    let inner = y.product(packed?.down ?? down).adding(bias: downBias).activated(activation)
    return y + inner.product(packed?.up ?? up).adding(bias: upBias)
  }

  public mutating func visit(_ visitor: any ModuleVisitor, at path: ModulePath) throws {
    try base.visit(visitor, at: path)
    let own = path / "adapter", before = (down, up)
    try visitor.visit(&down, role: .adapter, at: own / "down")
    try visitor.visit(&downBias, role: .adapter, at: own / "down" / "bias")
    try visitor.visit(&up, role: .adapter, at: own / "up")
    try visitor.visit(&upBias, role: .adapter, at: own / "up" / "bias")
    if !down.isSame(as: before.0) || !up.isSame(as: before.1) { packed = nil }
  }

  public func prepared() -> Bottleneck {
    var copy = self
    copy.packed = (down.plainFloats().packed(), up.plainFloats().packed())
    return copy
  }

  public func merge(into weight: inout [Float]) throws {
    throw AdapterError(message: "a bottleneck is no linear map and cannot be merged into a weight")
  }
}
