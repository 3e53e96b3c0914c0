// Gradients of element-wise ops on the processor, and the step of an optimizer.
import CKernels
#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

extension CPUBackend {
  public func gateGradients(
    _ upstream: Tensor, gate: Tensor, up: Tensor?, activation: Activation
  ) -> (gate: Tensor, up: Tensor?) {
    let ofUp = up.map { Tensor(shape: $0.shape, backend: self) }
    let (dy, x, factors, other) = (upstream.pointer, gate.pointer, up?.pointer, ofUp?.pointer)
    let ofGate = elementwise(like: gate) { range, out in
      let at = range.lowerBound
      kernels.gate_gradients(
        activation.code, dy + at, x + at, factors.map { $0 + at }, range.count, out + at, other.map { $0 + at })
    }
    return (ofGate, ofUp)
  }

  public func adamStep(_ step: AdamStep, gradient: Tensor, weight: Tensor, mean: Tensor, square: Tensor) {
    let how = step.code
    let (g, w, m, v) = (gradient.pointer, weight.pointer, mean.pointer, square.pointer)
    let count = weight.shape.count, chunk = 1 << 14
    overRows((count + chunk - 1) / chunk, elementsPerRow: chunk) { rows in
      let range = rows.lowerBound * chunk..<min(count, rows.upperBound * chunk), at = range.lowerBound
      withUnsafePointer(to: how) { kernels.adam($0, g + at, range.count, w + at, m + at, v + at) }
    }
  }

  public func combine(_ x: Tensor, _ a: Float, _ y: Tensor, _ b: Float) {
    let (target, source) = (x.pointer, y.pointer), count = x.shape.count, chunk = 1 << 14
    overRows((count + chunk - 1) / chunk, elementsPerRow: chunk) { rows in
      let first = rows.lowerBound * chunk, length = min(count, rows.upperBound * chunk) - first
      kernels.combine(a, b, source + first, length, target + first)
    }
  }

  public func sumOfSquares(_ x: Tensor) -> Double {
    let count = x.shape.count, chunk = 1 << 16, source = x.pointer, chunks = (count + chunk - 1) / chunk
    let sums = UnsafeMutableBufferPointer<Double>.allocate(capacity: max(1, chunks))
    defer { sums.deallocate() }
    overRows(chunks, elementsPerRow: chunk) { rows in
      for index in rows {
        sums[index] = kernels.sum_of_squares(source + index * chunk, min(chunk, count - index * chunk))
      }
    }
    return sums[..<chunks].reduce(0, +)
  }
}

/// One step of Adam, with decay apart from the gradient (Kingma and Ba 2015; Loshchilov and Hutter 2019).
public struct AdamStep: Sendable {
  /// From 1.
  public var step: Int
  public var learningRate: Float
  public var beta1, beta2, epsilon: Float
  public var weightDecay: Float
  /// What gradients are multiplied with first, such as a clipping factor.
  public var gradientFactor: Float

  public init(
    step: Int, learningRate: Float, beta1: Float, beta2: Float, epsilon: Float, weightDecay: Float,
    gradientFactor: Float = 1
  ) {
    self.step = step
    self.learningRate = learningRate
    self.beta1 = beta1
    self.beta2 = beta2
    self.epsilon = epsilon
    self.weightDecay = weightDecay
    self.gradientFactor = gradientFactor
  }

  fileprivate var code: mk_adam {
    let correct = { (beta: Float) in 1 - pow(Double(beta), Double(step)) }
    return mk_adam(
      gradient_factor: gradientFactor, beta1: beta1, beta2: beta2, epsilon: epsilon,
      rate: Float(Double(learningRate) / correct(beta1)), decay: learningRate * weightDecay,
      square_correction: Float(correct(beta2).squareRoot()))
  }
}
