// Ops that see a row as a whole, with their gradients.

extension Tensor {
  /// x / √(mean x² + epsilon) × weight over the last axis, which has the width of `weight` (Zhang and Sennrich 2019).
  public func rmsNorm(weight: Tensor, epsilon: Float) -> Tensor {
    let normalized = backend.rmsNorm(self, weight: weight, epsilon: epsilon)
    guard needsGradient || weight.needsGradient else { return normalized }
    return normalized.recorded([
      Pullback(to: [self, weight]) { [ofWeight = weight.needsGradient] in
        let found = $0.backend.rmsNormGradients($0, x: self, weight: weight, epsilon: epsilon, ofWeight: ofWeight)
        return [found.x, found.weight]
      }
    ], again: { backend.rmsNorm(self, weight: weight, epsilon: epsilon) })
  }

  /// (x − mean) / √(variance + epsilon) × weight + bias over the last axis (Ba et al. 2016).
  public func layerNorm(weight: Tensor, bias: Tensor?, epsilon: Float) -> Tensor {
    let normalized = backend.layerNorm(self, weight: weight, bias: bias, epsilon: epsilon)
    guard needsGradient || weight.needsGradient || bias?.needsGradient == true else { return normalized }
    var pullbacks = [
      Pullback(to: [self, weight]) { [ofWeight = weight.needsGradient] in
        let found = $0.backend.layerNormGradients($0, x: self, weight: weight, epsilon: epsilon, ofWeight: ofWeight)
        return [found.x, found.weight]
      },
    ]
    if let bias {
      let shape = bias.shape
      pullbacks.append(Pullback(to: bias) { $0.backend.biasGradient($0, columns: shape.count).reshaped(shape) })
    }
    return normalized.recorded(
      pullbacks, again: { backend.layerNorm(self, weight: weight, bias: bias, epsilon: epsilon) })
  }

  /// exp(x) / Σ exp(x) over the last axis.
  public func softmax() -> Tensor {
    let result = backend.softmax(self)
    guard needsGradient else { return result }
    return result.recorded([Pullback(to: self) { $0.backend.softmaxGradient($0, result: result) }])
  }

  /// Rows of matrices of one width, one matrix after another.
  public static func concatenated(_ parts: [Tensor]) -> Tensor {
    let backend = parts[0].backend, whole = backend.concatenated(parts)
    guard parts.contains(where: \.needsGradient) else { return whole }
    var first = 0
    return whole.recorded(
      parts.map { part in
        let rows = (first..<first + part.shape.rows).map { Int32($0) }
        first += part.shape.rows
        return Pullback(to: part) { $0.backend.rows(of: $0, at: rows).reshaped(part.shape) }
      })
  }

  /// Σ over k of weights `[T, k]` × the row of this table that `places` `[T × k]` names → `[T, columns]`.
  public func weightedRows(at places: [Int32], weights: Tensor) -> Tensor {
    let mixed = backend.weightedRows(self, at: places, weights: weights)
    guard needsGradient || weights.needsGradient else { return mixed }
    return mixed.recorded([
      Pullback(to: [self, weights]) {
        let found = $0.backend.weightedRowsGradients($0, table: self, at: places, weights: weights)
        return [found.table, found.weights]
      }
    ])
  }

  /// ln Σ exp(x) over the last axis: `[rows, columns]` → `[rows]`.
  public func logSumExp() -> Tensor {
    let sums = backend.logSumExp(self)
    guard needsGradient else { return sums }
    return sums.recorded([Pullback(to: self) { backend.logSumExpGradient($0, x: self, result: sums) }])
  }
}
