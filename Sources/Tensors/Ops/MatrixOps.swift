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
    if weights.contains(where: \.needsGradient), history?.again == nil {
      (results, input) = backend.products(remembering: self, weights)
    } else {
      results = backend.products(self, weights)
      input = history?.again.map(backend.productInput)
    }
    return zip(results, weights).map { result, weight in
      guard needsGradient || weight.needsGradient else { return result }
      return result.recorded([
        // What a constant factor is not needed for is not kept.
        Pullback(addingTo: [self, weight]) {
          [shape, factor = needsGradient ? weight : nil, input = weight.needsGradient ? input : nil] upstream, sums in
          let backend = upstream.backend
          switch (factor, input) {
          case (let weight?, let input?):
            (sums[0], sums[1]) = backend.productGradients(
              upstream, weight: weight, input: input, adding: (sums[0].takeAlone(), sums[1].takeAlone()))
          case (let weight?, nil):
            sums[0] = backend.inputGradient(upstream, weight: weight, adding: sums[0].takeAlone())
          case (nil, let input?):
            sums[1] = backend.weightGradient(upstream, input: input, adding: sums[1].takeAlone())
          case (nil, nil): break
          }
          sums[0] = sums[0]?.reshaped(shape)
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
      Pullback(addingTo: [self]) { [shape] upstream, sums in
        sums[0] = upstream.backend.rowsGradient(upstream, at: indices, of: shape, adding: sums[0].takeAlone())
      }
    ])
  }
}
