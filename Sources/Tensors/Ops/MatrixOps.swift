// Products with matrices and look-ups in them, with their gradients.

extension Tensor {
  /// x `[T, inputs]` times each weight `[outputs, inputs]`, transposed → `[T, outputs]` each, in one op.
  ///
  /// Weights are prepared (``Backend/prepare(_:)``) and of any data type, except that one whose gradient is wanted is
  /// `f32` in rows. Gradients are those of the exact product: the rounding of activations inside a
  /// kernel counts as none.
  public func products(_ weights: [Tensor]) -> [Tensor] {
    guard needsGradient || weights.contains(where: \.needsGradient) else { return backend.products(self, weights) }
    var results: [Tensor], input: ProductInput?
    if weights.contains(where: \.needsGradient) {
      (results, input) = backend.products(remembering: self, weights)
    } else {
      results = backend.products(self, weights)
    }
    return zip(results, weights).map { result, weight in
      guard needsGradient || weight.needsGradient else { return result }
      return result.recorded([
        // What a constant factor is not needed for is not kept.
        Pullback(to: [self, weight]) {
          [shape, factor = needsGradient ? weight : nil, input = weight.needsGradient ? input : nil] in
          let found = $0.backend.productGradients($0, weight: factor, input: input)
          return [found.input?.reshaped(shape), found.weight]
        }
      ])
    }
  }

  /// x `[T, inputs]` times a weight `[outputs, inputs]`, transposed → `[T, outputs]`; see ``products(_:)``.
  public func product(_ weight: Tensor) -> Tensor { products([weight])[0] }

  /// `[rows, columns]` → `[columns, rows]`
  public func transposed() -> Tensor {
    let result = backend.transpose(self)
    guard needsGradient else { return result }
    return result.recorded([Pullback(to: self) { $0.backend.transpose($0) }])
  }

  /// Rows `indices` of a `[rows, columns]` tensor of any data type → `[indices.count, columns]`.
  public func rows(at indices: [Int32]) -> Tensor {
    let rows = backend.rows(of: self, at: indices)
    guard needsGradient else { return rows }
    return rows.recorded([
      Pullback(to: self) { [shape] in $0.backend.rowsGradient($0, at: indices, of: shape) }
    ])
  }
}
