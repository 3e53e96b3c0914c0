// Linear maps. Wrappers such as LoRA hold any projection and are one themselves, whatever the weight's format.
import Tensors

/// A linear map of the last axis: `[T, inputs]` → `[T, outputs]`.
public protocol Projection: Module {
  var inputs: Int { get }
  var outputs: Int { get }
  func callAsFunction(_ x: Tensor) -> Tensor

  /// The weight `[outputs, inputs]` when the map is nothing but a product with it; then several maps of the same input
  /// can be computed as one op.
  var plainWeight: Tensor? { get }
}

/// A product with a weight of any data type.
public struct Linear: Projection {
  public var weight: Tensor

  public init(inputs: Int, outputs: Int, backend: any Backend) {
    weight = .parameter([outputs, inputs], on: backend)
  }

  public var inputs: Int { weight.shape[1] }
  public var outputs: Int { weight.shape[0] }
  public var plainWeight: Tensor? { weight }

  public func callAsFunction(_ x: Tensor) -> Tensor { x.product(weight) }

  public mutating func visit(_ visitor: any ModuleVisitor, at path: ModulePath) throws {
    try visitor.visit(&weight, role: .matrix, at: path)
  }
}

/// Applies several projections to the same input, in one op where they allow it.
public func project(_ x: Tensor, _ projections: [any Projection]) -> [Tensor] {
  let weights = projections.compactMap(\.plainWeight)
  return weights.count == projections.count ? x.products(weights) : projections.map { $0(x) }
}
