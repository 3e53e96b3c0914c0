// Gradients of element-wise ops on the processor.
#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

extension CPUBackend {
  public func gateGradient(_ upstream: Tensor, gate: Tensor, up: Tensor?, activation: Activation) -> Tensor {
    switch activation {
    case .silu:
      // d/dx x σ(x) = σ(x) (1 + x (1 − σ(x)))
      gateGradient(upstream, gate, up) { x in
        let sigmoid = 1 / (1 + exp(-x))
        return sigmoid * (1 + x * (1 - sigmoid))
      }
    case .geluTanh:
      // x σ(2u) with u = √(2/π) (x + 0.044715 x³), which is ½ x (1 + tanh u)
      gateGradient(upstream, gate, up) { x in
        let x = Self.bounded(x), twice = 2 * Float(2 / Double.pi).squareRoot()
        let sigmoid = 1 / (1 + exp(-twice * (x + 0.044715 * x * x * x)))
        return sigmoid * (1 + x * (1 - sigmoid) * twice * (1 + 3 * 0.044715 * x * x))
      }
    case .gelu:
      // Φ(x) + x φ(x), of the normal distribution
      gateGradient(upstream, gate, up) { x in
        let x = Self.bounded(x)
        return 0.5 * erfc(-x * Float(0.5).squareRoot()) + x * exp(-0.5 * x * x) / Float(2 * Double.pi).squareRoot()
      }
    case .relu: gateGradient(upstream, gate, up) { $0 > 0 ? 1 : 0 }
    case .tanh:
      gateGradient(upstream, gate, up) { x in
        let bent = tanh(x)
        return 1 - bent * bent
      }
    }
  }

  /// Beyond ±20 both kinds of GELU are straight; what grows with a power of x would overflow there.
  @inline(__always)
  private static func bounded(_ x: Float) -> Float { min(max(x, -20), 20) }

  @inline(__always)
  private func gateGradient(
    _ upstream: Tensor, _ gate: Tensor, _ up: Tensor?, derivative: (Float) -> Float
  ) -> Tensor {
    let result = Tensor(shape: gate.shape, backend: self)
    let (dy, x, factors, out) = (upstream.pointer, gate.pointer, up?.pointer, result.pointer)
    overRows(gate.shape.count, elementsPerRow: 8) { range in
      for index in range { out[index] = dy[index] * (factors?[index] ?? 1) * derivative(x[index]) }
    }
    return result
  }
}
