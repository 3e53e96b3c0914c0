// Root-mean-square normalisation (Zhang and Sennrich 2019).
import Tensors

/// x / rms(x) × weight over the last axis.
public struct RMSNorm: Module {
  public var weight: Tensor
  public let epsilon: Float

  public init(width: Int, epsilon: Float, backend: any Backend) {
    weight = .parameter([width], on: backend)
    self.epsilon = epsilon
  }

  public func callAsFunction(_ x: Tensor) -> Tensor { x.rmsNorm(weight: weight, epsilon: epsilon) }

  public mutating func visit(_ visitor: any ModuleVisitor, at path: ModulePath) throws {
    try visitor.visit(&weight, role: .vector, at: path)
  }
}
