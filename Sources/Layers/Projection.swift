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

  /// The matrices `[…, inputs]` with which the map multiplies what it is given, before anything else; nil where it
  /// must see its input. So wrappers share in the one op of several maps.
  var inputWeights: [Tensor]? { get }

  /// The map's result, of the products with ``inputWeights`` in their order.
  func result(of products: ArraySlice<Tensor>) -> Tensor
}

extension Projection {
  public var bias: Tensor? { nil }
  public var inputWeights: [Tensor]? { plainWeight.map { [$0] } }

  public func result(of products: ArraySlice<Tensor>) -> Tensor {
    let product = products[products.startIndex]
    return bias.map { product.adding(bias: $0) } ?? product
  }
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

  public func callAsFunction(_ x: Tensor) -> Tensor { result(of: [x.product(weight)][...]) }

  public mutating func visit(_ visitor: any ModuleVisitor, at path: ModulePath) throws {
    try visitor.visit(&weight, role: .matrix, at: path)
    try visitor.visit(&bias, role: .vector, at: path / "bias")
  }
}

/// Applies several projections to the same input, in one op where they allow it.
public func project(_ x: Tensor, _ projections: [any Projection]) -> [Tensor] {
  let weights = projections.compactMap(\.inputWeights)
  guard weights.count == projections.count else { return projections.map { $0(x) } }
  var products = x.products(weights.flatMap { $0 })[...]
  return zip(projections, weights).map { projection, weights in
    defer { products = products.dropFirst(weights.count) }
    return projection.result(of: products.prefix(weights.count))
  }
}
