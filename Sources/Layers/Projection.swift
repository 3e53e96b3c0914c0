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

  /// What the map multiplies its input with, before anything else; nil where it must see its input. So wrappers share
  /// in the one op of several maps.
  var inputFactors: [Factor]? { get }

  /// The map's result, of the products with ``inputFactors`` in their order.
  func result(of products: ArraySlice<Tensor>) -> Tensor
}

/// A matrix `[…, inputs]` that an input is multiplied with.
public struct Factor: Sendable {
  public var weight: Tensor
  /// What is added to the weight, which then is a constant.
  public var correction: LowRank?

  public init(_ weight: Tensor, correction: LowRank? = nil) {
    (self.weight, self.correction) = (weight, correction)
  }
}

extension Projection {
  public var bias: Tensor? { nil }
  public var inputFactors: [Factor]? { plainWeight.map { [Factor($0)] } }

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
  let factors = projections.compactMap(\.inputFactors)
  guard factors.count == projections.count else { return projections.map { $0(x) } }
  var products = x.products(factors.flatMap { $0 })[...]
  return zip(projections, factors).map { projection, factors in
    defer { products = products.dropFirst(factors.count) }
    return projection.result(of: products.prefix(factors.count))
  }
}

extension Tensor {
  /// x `[T, inputs]` times each factor, transposed → `[T, outputs]` each.
  public func products(_ factors: [Factor]) -> [Tensor] {
    let corrected = factors.filter { $0.correction != nil }, others = factors.count - corrected.count
    guard !corrected.isEmpty else { return products(factors.map(\.weight)) }
    var plain = (others == 0 ? [] : products(factors.filter { $0.correction == nil }.map(\.weight)))[...]
    var results = products(corrected.map(\.weight), corrected.compactMap(\.correction))[...]
    return factors.map { $0.correction == nil ? plain.removeFirst() : results.removeFirst() }
  }
}
