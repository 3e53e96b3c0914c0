// Gradients of ops that see a row as a whole, and of rotation, on the processor.
import CKernels

extension CPUBackend {
  public func rmsNormGradients(
    _ upstream: Tensor, x: Tensor, weight: Tensor, epsilon: Float, ofWeight: Bool
  ) -> (x: Tensor, weight: Tensor?) {
    let width = weight.shape.count, result = Tensor(shape: x.shape, backend: self)
    let (dy, source, factors, out) = (upstream.pointer, x.pointer, weight.pointer, result.pointer)
    let sums = columnSums(x.shape.count / width, like: weight) { row, sum in
      let at = row * width
      kernels.rms_norm_gradients(dy + at, source + at, factors, epsilon, width, out + at, ofWeight ? sum : nil)
    }
    return (result, ofWeight ? sums : nil)
  }

  public func layerNormGradients(
    _ upstream: Tensor, x: Tensor, weight: Tensor, epsilon: Float, ofWeight: Bool
  ) -> (x: Tensor, weight: Tensor?) {
    let width = weight.shape.columns, factorRows = weight.shape.rows, result = Tensor(shape: x.shape, backend: self)
    let (dy, source, factors, out) = (upstream.pointer, x.pointer, weight.pointer, result.pointer)
    let sums = columnSums(x.shape.count / width, like: weight) { row, sum in
      let at = row * width, own = row % factorRows * width
      kernels.layer_norm_gradients(
        dy + at, source + at, factors + own, epsilon, width, out + at, ofWeight ? sum + own : nil)
    }
    return (result, ofWeight ? sums : nil)
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
    let width = weight.shape.count, rowsPerBlock = 64, blocks = (rows + rowsPerBlock - 1) / rowsPerBlock
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

  public func logSumExpGradient(_ upstream: Tensor, x: Tensor, result: Tensor) -> Tensor {
    let columns = x.shape.columns, gradient = Tensor(shape: x.shape, backend: self)
    let (dy, source, sums, out) = (upstream.pointer, x.pointer, result.pointer, gradient.pointer)
    overRows(x.shape.rows, elementsPerRow: 8 * columns) { rows in
      for row in rows {
        kernels.exponentials(source + row * columns, sums[row], dy[row], columns, out + row * columns)
      }
    }
    return gradient
  }

  public func crossEntropyGradient(
    _ upstream: Tensor, x: Tensor, targets: [Int32], sums: Tensor, into gradient: Tensor
  ) {
    let columns = x.shape.columns
    let (dy, source, sums, out) = (upstream.pointer, x.pointer, sums.pointer, gradient.pointer)
    overRows(x.shape.rows, elementsPerRow: 8 * columns) { rows in
      for row in rows {
        let y = out + row * columns
        guard targets[row] >= 0 else {
          y.update(repeating: 0, count: columns)
          continue
        }
        kernels.exponentials(source + row * columns, sums[row], dy[row], columns, y)
        y[Int(targets[row])] -= dy[row]
      }
    }
  }

  public func rotateGradient(_ upstream: Tensor, positions: [Int32], by rotation: Rotation) -> Tensor {
    let result = Tensor(shape: upstream.shape, backend: self)
    let heads = upstream.shape[1], width = upstream.shape[2], pairs = rotation.rotatedWidth / 2
    let (dy, out) = (upstream.pointer, result.pointer)
    overRows(positions.count, elementsPerRow: heads * width) { rows in
      withUnsafeTemporaryAllocation(of: Float.self, capacity: max(1, pairs)) { sines in
        var angles = Rotation.Angles(rotation)
        for row in rows {
          let cosines = angles.at(Int(positions[row]))
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
