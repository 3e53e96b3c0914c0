// Products with weights and the low-rank corrections beside them. A correction is some columns more of the product with
// its weight, so results are written once; the gradients of its thin matrices are sums of floats, with nothing packed.
import CKernels

extension CPUBackend {
  public func products(_ x: Tensor, _ weights: [Tensor], _ corrections: [LowRank]) -> (results: [Tensor], inner: [Tensor]) {
    let left = operand(MatrixView(x), tail: corrections.map(\.rank).max() ?? 0)
    var inner: [Tensor] = [], results: [Tensor] = []
    for (weight, correction) in zip(weights, corrections) {
      let own = scale(gemm(left, weight: correction.a, transposed: false), by: correction.scale)
      inner.append(own)
      if usesGemm(weight, rows: x.shape.rows) {
        setTail(of: left, own)
        results.append(gemm(left, weight: weight, transposed: false, tail: MatrixView(correction.b)))
      } else {
        let product = products(x, [weight])[0]
        results.append(gemm(operand(MatrixView(own)), weight: correction.b, transposed: false, adding: product))
      }
    }
    return (results, inner)
  }

  public func lowRankGradients(
    _ upstream: Tensor, x: Tensor, weight: Tensor?, _ correction: LowRank, inner: Tensor,
    adding sums: (input: Tensor?, a: Tensor?)
  ) -> (input: Tensor?, a: Tensor, b: Tensor) {
    let left = operand(MatrixView(upstream), tail: correction.rank)
    let slope = scale(gemm(left, weight: correction.b, transposed: true), by: correction.scale)
    let ofInput = weight.map { weight in
      setTail(of: left, slope)
      return gemm(
        left, weight: weight, transposed: true, tail: MatrixView(correction.a, transposed: true), adding: sums.input)
    }
    return (ofInput, thinGradient(slope, x, adding: sums.a), transpose(thinGradient(inner, upstream)))
  }

  private func setTail(of operand: GemmOperand, _ tail: Tensor) {
    let view = MatrixView(tail), panels = operand.panels
    withExtendedLifetime((operand, tail)) { panels.pack(tail: view, kernels) }
  }

  /// Σ over tokens of thin × wide, `[T, rank]` and `[T, columns]` → `[rank, columns]`.
  private func thinGradient(_ thin: Tensor, _ wide: Tensor, adding sum: Tensor? = nil) -> Tensor {
    let rank = thin.shape.columns, count = wide.shape.rows, columns = wide.shape.columns
    let y = sum ?? Tensor(shape: [rank, columns], stays: true, backend: self), out = y.pointer, adds = sum != nil
    let operand = operand(MatrixView(thin, transposed: true), isPairs: false), left = operand.panels
    let source = wide.pointer, step = 48
    withExtendedLifetime((operand, wide)) {
      overRows((columns + step - 1) / step, elementsPerRow: step * count) { range in
        let first = range.lowerBound * step, width = min(columns, range.upperBound * step) - first
        kernels.gemm_rows(left.start, rank, source + first, columns, count, width, out + first, columns, adds)
      }
    }
    return y
  }
}
