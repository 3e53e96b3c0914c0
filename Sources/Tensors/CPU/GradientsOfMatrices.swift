// Gradients of products and look-ups on the processor.
import CKernels

extension CPUBackend {
  public func packed(_ weight: Tensor) -> Tensor {
    let rows = weight.shape.rows, columns = weight.shape.columns, panelBytes = mk_panel_bytes(MK_F32, columns)
    let storage = Storage(byteCount: (rows + 15) / 16 * panelBytes), source = weight.pointer
    let target = storage.bytes.baseAddress!
    overRows((rows + 15) / 16, elementsPerRow: 16 * columns) { panels in
      for panel in panels {
        mk_pack_panel(
          MK_F32, source + panel * 16 * columns, columns * 4, Int32(min(16, rows - panel * 16)), columns,
          target + panel * panelBytes)
      }
    }
    return Tensor(storage: storage, shape: weight.shape, dataType: .f32, layout: .panels, backend: self)
  }

  public func productInputGradient(_ upstream: Tensor, weight: Tensor) -> Tensor {
    let tokens = upstream.shape.rows, outputs = weight.shape.rows, inputs = weight.shape.columns
    let result = Tensor(zeros: [tokens, inputs], backend: self)
    let (dy, out) = (upstream.pointer, result.pointer)
    // A chunk unpacks the weight once for all its tokens, so chunks are few; which ones changes no token's sum.
    let tokensPerChunk = max(16, (tokens + threadCount - 1) / threadCount)
    pool.run(chunks: (tokens + tokensPerChunk - 1) / tokensPerChunk) { chunk in
      let part = chunk * tokensPerChunk..<min(tokens, (chunk + 1) * tokensPerChunk)
      for first in stride(from: 0, to: outputs, by: 16) {
        let panel = first..<min(outputs, first + 16)
        let numbers = rows(of: weight, at: panel.map { Int32($0) })
        withExtendedLifetime(numbers) {
          for token in part {
            let factors = UnsafeBufferPointer(start: dy + token * outputs + first, count: panel.count)
            accumulate(factors, numbers.pointer, stride: inputs, inputs, into: out + token * inputs)
          }
        }
      }
    }
    return result
  }

  public func productWeightGradient(_ upstream: Tensor, x: Tensor) -> Tensor {
    let tokens = x.shape.rows, outputs = upstream.shape.columns, inputs = x.shape.columns
    let result = Tensor(zeros: [outputs, inputs], backend: self)
    let (dy, source, out) = (upstream.pointer, x.pointer, result.pointer)
    overRows(outputs, elementsPerRow: tokens * inputs) { range in
      withUnsafeTemporaryAllocation(of: Float.self, capacity: 16) { factors in
        for first in stride(from: 0, to: tokens, by: 16) {
          let count = min(16, tokens - first)
          for output in range {
            for token in 0..<count { factors[token] = dy[(first + token) * outputs + output] }
            accumulate(
              UnsafeBufferPointer(rebasing: factors[..<count]), source + first * inputs, stride: inputs, inputs,
              into: out + output * inputs)
          }
        }
      }
    }
    return result
  }

  public func rowsGradient(_ upstream: Tensor, at indices: [Int32], of shape: Shape) -> Tensor {
    let columns = shape.columns, result = Tensor(shape: shape, backend: self)
    let (dy, out) = (upstream.pointer, result.pointer)
    overRows(shape.rows, elementsPerRow: columns) { rows in
      (out + rows.lowerBound * columns).update(repeating: 0, count: rows.count * columns)
    }
    for (place, index) in indices.enumerated() {
      accumulate(1, dy + place * columns, columns, into: out + Int(index) * columns)
    }
    return result
  }
}
