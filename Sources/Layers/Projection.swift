// Linear maps. Wrappers such as LoRA hold any projection and are one themselves, whatever the weight's format.
import Tensors

/// A linear map of the last axis: `[T, inputs]` → `[T, outputs]`.
public protocol Projection: Module {
  var inputs: Int { get }
  var outputs: Int { get }
  func callAsFunction(_ x: Tensor) -> Tensor

  /// The weight `[outputs, inputs]` when the map is nothing but a product with it and a bias; then several maps of the
  /// same input can be computed as one op.
  var plainWeight: Tensor? { get }

  /// What is added to the product, `[outputs]`; nil for none.
  var bias: Tensor? { get }
}

extension Projection {
  public var bias: Tensor? { nil }
}

/// A product with a weight of any data type.
public struct Linear: Projection {
  public var weight: Tensor
  public var bias: Tensor?

  public init(inputs: Int, outputs: Int, hasBias: Bool = false, backend: any Backend) {
    weight = .parameter([outputs, inputs], on: backend)
    bias = hasBias ? .parameter([outputs], on: backend) : nil
  }

  public var inputs: Int { weight.shape[1] }
  public var outputs: Int { weight.shape[0] }
  public var plainWeight: Tensor? { weight }

  public func callAsFunction(_ x: Tensor) -> Tensor {
    let product = x.product(weight)
    return bias.map { product.adding(bias: $0) } ?? product
  }

  public mutating func visit(_ visitor: any ModuleVisitor, at path: ModulePath) throws {
    try visitor.visit(&weight, role: .matrix, at: path)
    try visitor.visit(&bias, role: .vector, at: path / "bias")
  }
}

/// Applies several projections to the same input, in one op where they allow it.
public func project(_ x: Tensor, _ projections: [any Projection]) -> [Tensor] {
  let weights = projections.compactMap(\.plainWeight)
  guard weights.count == projections.count else { return projections.map { $0(x) } }
  return zip(x.products(weights), projections).map { product, projection in
    projection.bias.map { product.adding(bias: $0) } ?? product
  }
}
