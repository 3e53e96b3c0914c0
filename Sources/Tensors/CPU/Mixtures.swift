// Rows put together, mixed and turned into columns.

extension CPUBackend {
  public func transpose(_ x: Tensor) -> Tensor {
    let rows = x.shape.rows, columns = x.shape.columns, y = Tensor(shape: [columns, rows], backend: self)
    let (source, out) = (x.pointer, y.pointer)
    overRows(columns, elementsPerRow: rows) { range in
      for column in range { for row in 0..<rows { out[column * rows + row] = source[row * columns + column] } }
    }
    return y
  }

  public func concatenated(_ parts: [Tensor]) -> Tensor {
    let columns = parts.first?.shape.columns ?? 0, rows = parts.reduce(0) { $0 + $1.shape.rows }
    let y = Tensor(shape: [rows, columns], backend: self)
    var place = y.pointer
    for part in parts {
      place.update(from: part.pointer, count: part.shape.count)
      place += part.shape.count
    }
    return y
  }

  public func weightedRows(_ table: Tensor, at places: [Int32], weights: Tensor) -> Tensor {
    let tokens = weights.shape.rows, choices = weights.shape.columns, columns = table.shape.columns
    let y = Tensor(zeros: [tokens, columns], backend: self)
    let (source, factors, out) = (table.pointer, weights.pointer, y.pointer)
    overRows(tokens, elementsPerRow: choices * columns) { rows in
      for index in rows.lowerBound * choices..<rows.upperBound * choices {
        accumulate(factors[index], source + Int(places[index]) * columns, columns, into: out + index / choices * columns)
      }
    }
    return y
  }

  public func weightedRowsGradients(
    _ upstream: Tensor, table: Tensor, at places: [Int32], weights: Tensor
  ) -> (table: Tensor, weights: Tensor) {
    let choices = weights.shape.columns, columns = table.shape.columns
    let result = (
      table: Tensor(zeros: table.shape, backend: self), weights: Tensor(shape: weights.shape, backend: self))
    let (dy, source, factors) = (upstream.pointer, table.pointer, weights.pointer)
    let (rows, products) = (result.table.pointer, result.weights.pointer)
    for (index, place) in places.enumerated() {
      let dy = dy + index / choices * columns
      accumulate(factors[index], dy, columns, into: rows + Int(place) * columns)
      products[index] = dot(dy, source + Int(place) * columns, columns)
    }
    return result
  }

  public func softmaxGradient(_ upstream: Tensor, result: Tensor) -> Tensor {
    let columns = result.shape.columns, gradient = Tensor(shape: result.shape, backend: self)
    let (dy, y, out) = (upstream.pointer, result.pointer, gradient.pointer)
    overRows(result.shape.rows, elementsPerRow: 2 * columns) { rows in
      for row in rows {
        let at = row * columns
        kernels.softmax_gradient(dy + at, y + at, columns, 1, out + at)
      }
    }
    return gradient
  }
}
