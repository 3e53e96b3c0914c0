// Ops that see a row as a whole, with their gradients.

extension Tensor {
  /// x / √(mean x² + epsilon) × weight over the last axis, which has the width of `weight` (Zhang and Sennrich 2019).
  public func rmsNorm(weight: Tensor, epsilon: Float) -> Tensor {
    let normalized = backend.rmsNorm(self, weight: weight, epsilon: epsilon)
    guard needsGradient || weight.needsGradient else { return normalized }
    return normalized.recorded([
      Pullback(to: self) { backend.rmsNormInputGradient($0, x: self, weight: weight, epsilon: epsilon) },
      Pullback(to: weight) { backend.rmsNormWeightGradient($0, x: self, weight: weight, epsilon: epsilon) },
    ])
  }

  /// ln Σ exp(x) over the last axis: `[rows, columns]` → `[rows]`.
  public func logSumExp() -> Tensor {
    let sums = backend.logSumExp(self)
    guard needsGradient else { return sums }
    return sums.recorded([Pullback(to: self) { backend.logSumExpGradient($0, x: self, result: sums) }])
  }
}
