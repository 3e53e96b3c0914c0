// The feed-forward half of a layer (Shazeer 2020).
import Tensors

/// down(activation(gate(x)) × up(x))
public struct GatedMLP: Module {
  public var gate, up, down: any Projection
  public let activation: Activation

  public init(width: Int, hiddenWidth: Int, activation: Activation, backend: any Backend) {
    gate = Linear(inputs: width, outputs: hiddenWidth, backend: backend)
    up = Linear(inputs: width, outputs: hiddenWidth, backend: backend)
    down = Linear(inputs: hiddenWidth, outputs: width, backend: backend)
    self.activation = activation
  }

  /// `[T, width]` → `[T, width]`
  public func callAsFunction(_ x: Tensor) -> Tensor {
    let projected = project(x, [gate, up])
    return down(projected[0].activated(activation, times: projected[1]))
  }

  public mutating func visit(_ visitor: any ModuleVisitor, at path: ModulePath) throws {
    try visitor.visit(&gate, at: path / "gate")
    try visitor.visit(&up, at: path / "up")
    try visitor.visit(&down, at: path / "down")
  }
}
