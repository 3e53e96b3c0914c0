// Gradients of ops that see a row as a whole, and of rotation, on the processor.
#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

extension CPUBackend {
  public func rmsNormInputGradient(_ upstream: Tensor, x: Tensor, weight: Tensor, epsilon: Float) -> Tensor {
    let width = weight.shape.count, result = Tensor(shape: x.shape, backend: self)
    let (dy, source, factors, out) = (upstream.pointer, x.pointer, weight.pointer, result.pointer)
    overRows(x.shape.count / width, elementsPerRow: 4 * width) { rows in
      for row in rows {
        let (dy, x, out) = (dy + row * width, source + row * width, out + row * width)
        // r = 1 / rms: dx = r × (w dy − x r² mean(x w dy))
        let inverse = Self.inverseRoot(x, width, epsilon)
        for i in 0..<width { out[i] = factors[i] * dy[i] }
        let mean = dot(x, out, width) / Float(width)
        for i in 0..<width { out[i] = inverse * (out[i] - x[i] * inverse * inverse * mean) }
      }
    }
    return result
  }

  public func rmsNormWeightGradient(_ upstream: Tensor, x: Tensor, weight: Tensor, epsilon: Float) -> Tensor {
    let width = weight.shape.count
    return columnSums(x.shape.count / width, like: weight) { [dy = upstream.pointer, source = x.pointer] row, sum in
      let (dy, x) = (dy + row * width, source + row * width)
      let inverse = Self.inverseRoot(x, width, epsilon)
      for i in 0..<width { sum[i] += dy[i] * x[i] * inverse }
    }
  }

  public func layerNormInputGradient(_ upstream: Tensor, x: Tensor, weight: Tensor, epsilon: Float) -> Tensor {
    let width = weight.shape.columns, factorRows = weight.shape.rows, result = Tensor(shape: x.shape, backend: self)
    let (dy, source, factors, out) = (upstream.pointer, x.pointer, weight.pointer, result.pointer)
    overRows(x.shape.count / width, elementsPerRow: 4 * width) { rows in
      withUnsafeTemporaryAllocation(of: Float.self, capacity: width) { scratch in
        guard let normal = scratch.baseAddress else { return }
        for row in rows {
          let (dy, out, factors) = (dy + row * width, out + row * width, factors + row % factorRows * width)
          // With n the normalised row: dx = r × (w dy − mean(w dy) − n mean(w dy n))
          let inverse = Self.normalize(source + row * width, width, epsilon, into: normal)
          var sum: Float = 0
          for i in 0..<width {
            out[i] = factors[i] * dy[i]
            sum += out[i]
          }
          let mean = sum / Float(width), product = dot(out, normal, width) / Float(width)
          for i in 0..<width { out[i] = inverse * (out[i] - mean - normal[i] * product) }
        }
      }
    }
    return result
  }

  public func layerNormWeightGradient(_ upstream: Tensor, x: Tensor, weight: Tensor, epsilon: Float) -> Tensor {
    let width = weight.shape.columns, factorRows = weight.shape.rows
    return columnSums(x.shape.count / width, like: weight) { [dy = upstream.pointer, source = x.pointer] row, sum in
      withUnsafeTemporaryAllocation(of: Float.self, capacity: width) { scratch in
        guard let normal = scratch.baseAddress else { return }
        let sum = sum + row % factorRows * width
        _ = Self.normalize(source + row * width, width, epsilon, into: normal)
        for i in 0..<width { sum[i] += dy[row * width + i] * normal[i] }
      }
    }
  }

  public func biasGradient(_ upstream: Tensor, columns: Int) -> Tensor {
    columnSums(upstream.shape.count / columns, like: Tensor(shape: [columns], backend: self)) {
      [dy = upstream.pointer] row, sum in accumulate(1, dy + row * columns, columns, into: sum)
    }
  }

  /// Sums over rows for each column. Blocks of rows are summed by themselves, then their sums; the blocks do not depend
  /// on the threads.
  private func columnSums(
    _ rows: Int, like weight: Tensor, _ add: (_ row: Int, _ sum: UnsafeMutablePointer<Float>) -> Void
  ) -> Tensor {
    let width = weight.shape.count, rowsPerBlock = 256, blocks = (rows + rowsPerBlock - 1) / rowsPerBlock
    let sums = Tensor(zeros: [blocks, width], backend: self), result = Tensor(zeros: weight.shape, backend: self)
    let out = sums.pointer
    overRows(blocks, elementsPerRow: 4 * rowsPerBlock * width) { range in
      for block in range {
        for row in block * rowsPerBlock..<min(rows, (block + 1) * rowsPerBlock) { add(row, out + block * width) }
      }
    }
    withExtendedLifetime(sums) {
      for block in 0..<blocks { accumulate(1, out + block * width, width, into: result.pointer) }
    }
    return result
  }

  /// (x − mean) / deviation; gives 1 / deviation.
  @inline(__always)
  private static func normalize(
    _ x: UnsafePointer<Float>, _ width: Int, _ epsilon: Float, into normal: UnsafeMutablePointer<Float>
  ) -> Float {
    var sum: Float = 0
    for i in 0..<width { sum += x[i] }
    let mean = sum / Float(width)
    for i in 0..<width { normal[i] = x[i] - mean }
    let inverse = 1 / (dot(normal, normal, width) / Float(width) + epsilon).squareRoot()
    for i in 0..<width { normal[i] *= inverse }
    return inverse
  }

  /// 1 / √(mean x² + epsilon)
  @inline(__always)
  private static func inverseRoot(_ x: UnsafePointer<Float>, _ width: Int, _ epsilon: Float) -> Float {
    1 / (dot(x, x, width) / Float(width) + epsilon).squareRoot()
  }

  public func logSumExpGradient(_ upstream: Tensor, x: Tensor, result: Tensor) -> Tensor {
    let columns = x.shape.columns, gradient = Tensor(shape: x.shape, backend: self)
    let (dy, source, sums, out) = (upstream.pointer, x.pointer, result.pointer, gradient.pointer)
    overRows(x.shape.rows, elementsPerRow: 8 * columns) { rows in
      for row in rows {
        let (factor, sum) = (dy[row], sums[row])
        for i in row * columns..<(row + 1) * columns { out[i] = factor * exp(source[i] - sum) }
      }
    }
    return gradient
  }

  public func rotateGradient(_ upstream: Tensor, positions: [Int32], by rotation: Rotation) -> Tensor {
    let result = Tensor(shape: upstream.shape, backend: self)
    let heads = upstream.shape[1], width = upstream.shape[2], pairs = rotation.rotatedWidth / 2
    let (dy, out) = (upstream.pointer, result.pointer)
    overRows(positions.count, elementsPerRow: heads * width) { rows in
      withUnsafeTemporaryAllocation(of: Float.self, capacity: max(1, pairs)) { sines in
        for row in rows {
          let cosines = rotation.angles(at: Int(positions[row]))
          // Turning back is turning by the negative angle.
          for pair in 0..<pairs { sines[pair] = -cosines[pairs + pair] }
          for head in row * heads..<(row + 1) * heads {
            kernels.rotate(
              dy + head * width, cosines, sines.baseAddress, width, pairs * 2, rotation.pairing == .halves,
              out + head * width)
          }
        }
      }
    }
    return result
  }
}
