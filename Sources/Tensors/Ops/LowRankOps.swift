// Products with weights that stay as they are, beside thin matrices that learn (Hu et al. 2021), as one op: its results
// and gradients are written once, not once for each of the two.

/// A product of two thin matrices that is added to a weight `[outputs, inputs]`: scale × b · a.
public struct LowRank: Sendable {
  /// `[rank, inputs]`, `f32` in rows.
  public var a: Tensor
  /// `[outputs, rank]`, `f32` in rows.
  public var b: Tensor
  public var scale: Float

  public init(a: Tensor, b: Tensor, scale: Float) {
    (self.a, self.b, self.scale) = (a, b, scale)
  }

  public var rank: Int { a.shape.rows }
}

extension Tensor {
  /// x `[T, inputs]` times each weight `[outputs, inputs]` with its correction, transposed → `[T, outputs]` each, in one
  /// op. Weights are as for ``products(_:)``, and constants.
  public func products(_ weights: [Tensor], _ corrections: [LowRank]) -> [Tensor] {
    let (results, inner) = backend.products(self, weights, corrections)
    let input = Lazy(again)
    return results.indices.map { index in
      let correction = corrections[index]
      guard needsGradient || correction.a.needsGradient || correction.b.needsGradient else { return results[index] }
      return results[index].recorded([
        Pullback(addingTo: [self, correction.a, correction.b]) {
          [shape, weight = needsGradient ? weights[index] : nil, constant = correction.withoutGradients, inner = inner[index]]
          upstream, sums in
          let found = upstream.backend.lowRankGradients(
            upstream, x: input.value, weight: weight, constant, inner: inner,
            adding: (sums[0].takeAlone(), sums[1].takeAlone()))
          (sums[0], sums[1]) = (found.input?.reshaped(shape), found.a)
          sums[2].add(found.b)
        }
      ])
    }
  }
}

extension LowRank {
  /// A gradient's op must not keep the nodes of what it differentiates.
  fileprivate var withoutGradients: LowRank {
    LowRank(a: a.withoutGradient(), b: b.withoutGradient(), scale: scale)
  }
}
