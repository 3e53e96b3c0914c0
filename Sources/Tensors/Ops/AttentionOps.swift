// Rotary positions and attention, with their gradients.

extension Tensor {
  /// Rotary positions (Su et al. 2021): x `[T, heads, width]`, turned by its token's position.
  public func rotated(by rotation: Rotation, positions: [Int32]) -> Tensor {
    let turned = backend.rotate(self, positions: positions, by: rotation)
    guard needsGradient else { return turned }
    return turned.recorded([
      Pullback(to: self) { $0.backend.rotateGradient($0, positions: positions, by: rotation) }
    ])
  }
}

extension PagedAttention {
  /// Writes keys and values `[T, kvHeads, width]` at their spans' places in the cache, then lets queries
  /// `[T, heads, width]` see them and all before → `[T, heads, width]`.
  ///
  /// Gradients are those of attention over the numbers that the cache holds: the rounding of this call's keys and
  /// values counts as none, and what was cached before is constant. They are found from a copy of what was seen, so
  /// the cache may change meanwhile.
  public func attend(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor {
    let backend = queries.backend
    let attended = backend.attend(self, queries: queries, keys: keys, values: values)
    guard queries.needsGradient || keys.needsGradient || values.needsGradient else { return attended }
    let cached = backend.cached(self), attention = dense, own = ownPlaces
    return attended.recorded([
      Pullback(to: [queries, keys, values]) {
        let found = backend.attendGradients(
          $0, attention, queries: queries, keys: cached.keys, values: cached.values, bias: nil)
        return [found.queries] + [found.keys, found.values].map { gradient in
          gradient.reshaped([gradient.shape[0], gradient.shape[1] * gradient.shape[2]]).rows(at: own).reshaped(keys.shape)
        }
      }
    ])
  }
}
