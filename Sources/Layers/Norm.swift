// Normalisation of a row: by its root mean square (Zhang and Sennrich 2019), or by mean and deviation (Ba et al. 2016).
import Tensors

/// x / rms(x) × weight, or (x − mean) / deviation × weight + bias, over the last axis.
public struct Norm: Module {
  public enum Kind: Sendable {
    case rms
    case layer
  }

  /// `[width]`; or `[heads, width]` where each head has factors of its own.
  public var weight: Tensor
  public var bias: Tensor?
  public let kind: Kind
  public let epsilon: Float

  public init(_ kind: Kind, shape: Shape, hasBias: Bool = false, epsilon: Float, backend: any Backend) {
    self.kind = kind
    self.epsilon = epsilon
    weight = .parameter(shape, on: backend)
    bias = hasBias ? .parameter(shape, on: backend) : nil
  }

  public func callAsFunction(_ x: Tensor) -> Tensor {
    switch kind {
    case .rms: x.rmsNorm(weight: weight, epsilon: epsilon)
    case .layer: x.layerNorm(weight: weight, bias: bias, epsilon: epsilon)
    }
  }

  public mutating func visit(_ visitor: any ModuleVisitor, at path: ModulePath) throws {
    try visitor.visit(&weight, role: .vector, at: path)
    try visitor.visit(&bias, role: .vector, at: path / "bias")
  }
}
