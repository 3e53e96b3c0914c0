// The feed-forward half of a layer: plain, gated (Shazeer 2020), or shared out among experts (Experts.swift).
import Tensors

/// `[T, width]` → `[T, width]`, each token by itself.
public protocol FeedForward: Module {
  /// - Parameter recomputes: whether what the hidden layer computes is computed again for gradients, not kept.
  func callAsFunction(_ x: Tensor, recomputes: Bool) -> Tensor
}

/// down(activation(up(x)))
public struct MLP: FeedForward {
  public var up, down: any Projection
  public let activation: Activation

  public init(_ configuration: LayerConfiguration, backend: any Backend) {
    let (width, hidden) = (configuration.width, configuration.hiddenWidth)
    up = Linear(inputs: width, outputs: hidden, hasBias: configuration.hasFeedForwardBias, backend: backend)
    down = Linear(inputs: hidden, outputs: width, hasBias: configuration.hasFeedForwardBias, backend: backend)
    activation = configuration.activation
  }

  public func callAsFunction(_ x: Tensor, recomputes: Bool) -> Tensor {
    down(recomputes ? x.recomputing(keepsResult: false) { hidden($0) } : hidden(x))
  }

  private func hidden(_ x: Tensor) -> Tensor { up(x).activated(activation) }

  public mutating func visit(_ visitor: any ModuleVisitor, at path: ModulePath) throws {
    try visitor.visit(&up, at: path / "up")
    try visitor.visit(&down, at: path / "down")
  }
}

/// down(activation(gate(x)) × up(x))
public struct GatedMLP: FeedForward {
  public var gate, up, down: any Projection
  public let activation: Activation

  public init(_ configuration: LayerConfiguration, backend: any Backend) {
    let (width, hidden) = (configuration.width, configuration.hiddenWidth)
    gate = Linear(inputs: width, outputs: hidden, hasBias: configuration.hasFeedForwardBias, backend: backend)
    up = Linear(inputs: width, outputs: hidden, hasBias: configuration.hasFeedForwardBias, backend: backend)
    down = Linear(inputs: hidden, outputs: width, hasBias: configuration.hasFeedForwardBias, backend: backend)
    activation = configuration.activation
  }

  public func callAsFunction(_ x: Tensor, recomputes: Bool) -> Tensor {
    down(recomputes ? x.recomputing(keepsResult: false) { hidden($0) } : hidden(x))
  }

  private func hidden(_ x: Tensor) -> Tensor {
    let projected = project(x, [gate, up])
    return projected[0].activated(activation, times: projected[1])
  }

  public mutating func visit(_ visitor: any ModuleVisitor, at path: ModulePath) throws {
    try visitor.visit(&gate, at: path / "gate")
    try visitor.visit(&up, at: path / "up")
    try visitor.visit(&down, at: path / "down")
  }
}
