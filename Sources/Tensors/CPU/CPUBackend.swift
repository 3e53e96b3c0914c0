// Ops on the processor: split over the thread pool, done by the C kernels.
import CKernels

/// The processor as a ``Backend``.
public final class CPUBackend: Backend {
  /// All processors, the widest instruction set.
  public static let shared = CPUBackend()

  let pool: ThreadPool
  nonisolated(unsafe) let kernels: mk_kernels  // immutable function pointers
  public let instructionSet: InstructionSet
  public var threadCount: Int { pool.threadCount }
  /// How products multiply: `bf16` is for training alone.
  public let precision: ProductPrecision

  /// - Parameters:
  ///   - threads: threads that share the work of an op, the caller's included; nil for all processors.
  ///   - instructionSet: one that ``InstructionSet/isSupported``; otherwise the portable loops run.
  ///   - precision: of products with 16 rows or more, and of gradients; `f32` leaves a model's answers as they are.
  public init(
    threads: Int? = nil, instructionSet: InstructionSet = .preferred, precision: ProductPrecision = .f32
  ) {
    self.precision = precision
    pool = ThreadPool(threadCount: threads ?? ThreadPool.availableProcessors)
    let usable = instructionSet.isSupported ? instructionSet : .scalar
    self.instructionSet = usable
    kernels = mk_kernels_of(usable.code).pointee
  }

  /// Runs `body` for ranges of rows that together are `0 ..< rows`; on this thread alone when the work is small.
  func overRows(_ rows: Int, elementsPerRow: Int, _ body: (Range<Int>) -> Void) {
    let enough = 1 << 14  // elements worth waking a thread for
    let rowsPerChunk = max(1, enough / max(1, elementsPerRow))
    guard rows > rowsPerChunk else { return body(0..<rows) }
    pool.run(chunks: (rows + rowsPerChunk - 1) / rowsPerChunk) { chunk in
      body(chunk * rowsPerChunk..<min(rows, (chunk + 1) * rowsPerChunk))
    }
  }

  /// An element-wise op, in ranges of whole vectors.
  func elementwise(like x: Tensor, _ body: (Range<Int>, UnsafeMutablePointer<Float>) -> Void) -> Tensor {
    let y = Tensor(shape: x.shape, backend: self), count = x.shape.count, out = y.pointer
    let chunk = 1 << 14
    overRows((count + chunk - 1) / chunk, elementsPerRow: chunk) { rows in
      body(rows.lowerBound * chunk..<min(count, rows.upperBound * chunk), out)
    }
    return y
  }

  public func rmsNorm(_ x: Tensor, weight: Tensor, epsilon: Float) -> Tensor {
    let width = weight.shape.count, y = Tensor(shape: x.shape, backend: self)
    let (source, factors, out) = (x.pointer, weight.pointer, y.pointer)
    overRows(x.shape.count / width, elementsPerRow: width) { rows in
      for row in rows { kernels.rms_norm(source + row * width, factors, epsilon, width, out + row * width) }
    }
    return y
  }

  public func layerNorm(_ x: Tensor, weight: Tensor, bias: Tensor?, epsilon: Float) -> Tensor {
    let width = weight.shape.columns, factorRows = weight.shape.rows, y = Tensor(shape: x.shape, backend: self)
    let (source, factors, summands, out) = (x.pointer, weight.pointer, bias?.pointer, y.pointer)
    overRows(x.shape.count / width, elementsPerRow: width) { rows in
      for row in rows {
        let own = row % factorRows * width
        kernels.layer_norm(
          source + row * width, factors + own, summands.map { $0 + own }, epsilon, width, out + row * width)
      }
    }
    return y
  }

  public func add(_ x: Tensor, bias: Tensor) -> Tensor {
    let columns = x.shape.columns, y = Tensor(shape: x.shape, backend: self)
    let (source, summands, out) = (x.pointer, bias.pointer, y.pointer)
    overRows(x.shape.rows, elementsPerRow: columns) { rows in
      for row in rows { kernels.add(source + row * columns, summands, columns, out + row * columns) }
    }
    return y
  }

  public func add(_ x: Tensor, _ y: Tensor) -> Tensor {
    let (a, b) = (x.pointer, y.pointer)
    return elementwise(like: x) { range, out in
      kernels.add(a + range.lowerBound, b + range.lowerBound, range.count, out + range.lowerBound)
    }
  }

  public func scale(_ x: Tensor, by factor: Float) -> Tensor {
    let a = x.pointer
    return elementwise(like: x) { range, out in
      kernels.scale(a + range.lowerBound, factor, range.count, out + range.lowerBound)
    }
  }

  public func gate(_ gate: Tensor, _ up: Tensor, activation: Activation) -> Tensor {
    let (a, b) = (gate.pointer, up.pointer)
    return elementwise(like: gate) { range, out in
      kernels.gate(activation.code, a + range.lowerBound, b + range.lowerBound, range.count, out + range.lowerBound)
    }
  }

  public func activate(_ x: Tensor, _ activation: Activation) -> Tensor {
    let a = x.pointer
    return elementwise(like: x) { range, out in
      kernels.gate(activation.code, a + range.lowerBound, nil, range.count, out + range.lowerBound)
    }
  }

  public func softmax(_ x: Tensor) -> Tensor {
    let columns = x.shape.columns, y = Tensor(shape: x.shape, backend: self)
    let (source, out) = (x.pointer, y.pointer)
    overRows(x.shape.rows, elementsPerRow: columns) { rows in
      for row in rows {
        (out + row * columns).update(from: source + row * columns, count: columns)
        kernels.softmax(out + row * columns, columns, 0, columns, 1, nil, 0)
      }
    }
    return y
  }

  public func logSumExp(_ x: Tensor) -> Tensor {
    let columns = x.shape.columns, y = Tensor(shape: [x.shape.rows], backend: self)
    let (source, out) = (x.pointer, y.pointer)
    overRows(x.shape.rows, elementsPerRow: columns) { rows in
      for row in rows {
        var maximum: Float = 0
        out[row] = kernels.log_sum_exp(source + row * columns, columns, &maximum)
      }
    }
    return y
  }

  public func rotate(_ x: Tensor, positions: [Int32], by rotation: Rotation) -> Tensor {
    let y = Tensor(shape: x.shape, backend: self)
    let heads = x.shape[1], width = x.shape[2], pairs = rotation.rotatedWidth / 2
    let (source, out) = (x.pointer, y.pointer)
    overRows(positions.count, elementsPerRow: heads * width) { rows in
      var angles = Rotation.Angles(rotation)
      for row in rows {
        let cosines = angles.at(Int(positions[row]))
        for head in row * heads..<(row + 1) * heads {
          kernels.rotate(
            source + head * width, cosines, cosines + pairs, width, pairs * 2, rotation.pairing == .halves,
            out + head * width)
        }
      }
    }
    return y
  }
}

extension Activation {
  var code: mk_activation {
    switch self {
    case .silu: MK_SILU
    case .geluTanh: MK_GELU_TANH
    case .gelu: MK_GELU
    case .relu: MK_RELU
    case .tanh: MK_TANH
    }
  }
}
