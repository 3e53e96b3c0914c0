// The gradient of look-ups on the processor; those of products are products themselves (Gemm.swift).

extension CPUBackend {
  public func rowsGradient(_ upstream: Tensor, at indices: [Int32], of shape: Shape, adding sum: Tensor?) -> Tensor {
    let columns = shape.columns, result = sum ?? Tensor(shape: shape, stays: true, backend: self)
    let (dy, out) = (upstream.pointer, result.pointer)
    if sum == nil {
      overRows(shape.rows, elementsPerRow: columns) { rows in
        (out + rows.lowerBound * columns).update(repeating: 0, count: rows.count * columns)
      }
    }
    for (place, index) in indices.enumerated() {
      accumulate(1, dy + place * columns, columns, into: out + Int(index) * columns)
    }
    return result
  }
}
