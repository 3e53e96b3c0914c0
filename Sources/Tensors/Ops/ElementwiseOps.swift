// Ops on each element by itself, with their gradients.

extension Tensor {
  public static func + (x: Tensor, y: Tensor) -> Tensor {
    let sum = x.backend.add(x, y)
    guard x.needsGradient || y.needsGradient else { return sum }
    return sum.recorded([Pullback(to: x) { $0 }, Pullback(to: y) { $0 }])
  }

  public static func * (x: Tensor, factor: Float) -> Tensor {
    let product = x.backend.scale(x, by: factor)
    guard x.needsGradient else { return product }
    return product.recorded([Pullback(to: x) { $0.backend.scale($0, by: factor) }])
  }

  /// This tensor's rows, each plus `bias`, which is as long as they are.
  public func adding(bias: Tensor) -> Tensor {
    let sum = backend.add(self, bias: bias)
    guard needsGradient || bias.needsGradient else { return sum }
    return sum.recorded([
      Pullback(to: self) { $0 }, Pullback(to: bias) { $0.backend.biasGradient($0, columns: bias.shape.count) },
    ])
  }

  public func activated(_ activation: Activation) -> Tensor {
    let result = backend.activate(self, activation)
    guard needsGradient else { return result }
    return result.recorded([
      Pullback(to: self) { $0.backend.gateGradients($0, gate: self, up: nil, activation: activation).gate }
    ], again: { backend.activate(self, activation) })
  }

  /// cap × tanh(x / cap): numbers bent to stay within ± cap (Gemma 2).
  public func softCapped(_ cap: Float) -> Tensor { (self * (1 / cap)).activated(.tanh) * cap }

  /// activation(self) × up, where self is the gate (Shazeer 2020).
  public func activated(_ activation: Activation, times up: Tensor) -> Tensor {
    let product = backend.gate(self, up, activation: activation)
    guard needsGradient || up.needsGradient else { return product }
    return product.recorded([
      Pullback(to: [self, up]) {
        let found = $0.backend.gateGradients($0, gate: self, up: up, activation: activation)
        return [found.gate, found.up]
      }
    ], again: { backend.gate(self, up, activation: activation) })
  }
}
