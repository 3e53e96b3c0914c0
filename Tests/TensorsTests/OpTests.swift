// Each op of a layer against its definition in double precision.
import Foundation
import Tensors
import TestSupport
import Testing

@Suite struct `Ops of a layer` {
  private let backend = CPUBackend(threads: 2)

  @Test(arguments: [1, 7, 16, 100, 576]) func `rmsNorm divides by the root of the mean square`(width: Int) {
    var random = SeededRandom(1)
    let x = Tensor(random: [33, width], spread: 5, &random, backend), weight = Tensor(random: [width], &random, backend)
    let values = x.values, factors = weight.values
    var expected: [Double] = []
    for row in 0..<33 {
      let part = values[row * width..<(row + 1) * width].map(Double.init)
      let root = (part.reduce(0) { $0 + $1 * $1 } / Double(width) + 1e-5).squareRoot()
      for (value, factor) in zip(part, factors) { expected.append(value / root * Double(factor)) }
    }
    #expect(isWithin(1e-6, backend.rmsNorm(x, weight: weight, epsilon: 1e-5).values, expected))
  }

  @Test(arguments: [1, 16, 40_000]) func `sums and factors are those of IEEE 754`(count: Int) {
    var random = SeededRandom(2)
    let x = Tensor(random: [count], &random, backend), y = Tensor(random: [count], &random, backend)
    #expect(sameBits((x + y).values, zip(x.values, y.values).map { $0 + $1 }))
    #expect(sameBits((x * 0.7).values, x.values.map { $0 * 0.7 }))
  }

  /// Gates from −60 to 60, close together near zero.
  private var gates: [Float] { (-1500...1500).map { let x = Float($0) / 1500; return x * x * x * 60 } }

  @Test func `silu and tanh-GELU are as exact as their arguments allow`() {
    let x = gates, ones = [Float](repeating: 1, count: x.count)
    for activation in [Activation.silu, .geluTanh] {
      let result = backend.gate(
        Tensor(x, shape: [x.count], backend: backend), Tensor(ones, shape: [x.count], backend: backend),
        activation: activation)
      let expected = x.map(Double.init).map { x in
        // The argument's own rounding error grows with it: e^a is off by a × 2⁻²⁴.
        let exponent = activation == .silu ? x : 2 * (2 / Double.pi).squareRoot() * (x + 0.044715 * x * x * x)
        return x / (1 + exp(-exponent))
      }
      let errors = zip(zip(result.values, expected), x).map { pair, x in
        let exponent = activation == .silu ? abs(x) : abs(1.6 * (x + 0.045 * x * x * x))
        // Below e^−87 the exponential is flushed, so the result is zero instead of tiny.
        return max(0, abs(Double(pair.0) - pair.1) - 1e-34) / (abs(pair.1) * Double(4 + exponent) + 1e-300)
      }
      #expect((errors.max() ?? 1) < 0x1p-23, "\(activation)")
    }
  }

  @Test func `GELU with the error function is within 3e-7 of x`() {
    let x = gates, ones = [Float](repeating: 1, count: x.count)
    let result = backend.gate(
      Tensor(x, shape: [x.count], backend: backend), Tensor(ones, shape: [x.count], backend: backend),
      activation: .gelu)
    for (value, x) in zip(result.values, x.map(Double.init)) {
      #expect(abs(Double(value) - 0.5 * x * (1 + erf(x / 2.0.squareRoot()))) <= 3e-7 * abs(x))
    }
  }

  @Test func `a gate multiplies with the other half`() {
    var random = SeededRandom(3)
    let gate = Tensor(random: [9, 21], &random, backend), up = Tensor(random: [9, 21], &random, backend)
    let expected = zip(gate.values, up.values).map { Double($0) / (1 + exp(-Double($0))) * Double($1) }
    #expect(isWithin(1e-6, backend.gate(gate, up, activation: .silu).values, expected))
  }

  @Test func `extreme gates give no NaN`() {
    let x: [Float] = [0, -0.0, 88, 89, 1000, 1e30, -88, -89, -1000, -1e12, .greatestFiniteMagnitude]
    for activation in [Activation.silu, .geluTanh, .gelu] {
      let tensor = Tensor(x, shape: [x.count], backend: backend)
      let ones = Tensor(x.map { _ in 1 }, shape: [x.count], backend: backend)
      let result = backend.gate(tensor, ones, activation: activation)
      for (value, x) in zip(result.values, x) {
        #expect(x > 0 ? value == x : abs(value) < 1e-24, "\(activation) of \(x) is \(value)")
      }
    }
  }

  @Test(arguments: [Rotation.Pairing.interleaved, .halves], [(64, 64), (80, 32), (16, 2)])
  func `rotation turns pairs by position times frequency`(pairing: Rotation.Pairing, widths: (Int, Int)) {
    let (width, rotated) = widths, heads = 3
    var random = SeededRandom(4)
    let frequencies = (0..<rotated / 2).map { pow(10_000, -2 * Double($0) / Double(rotated)) }
    let rotation = Rotation(frequencies: frequencies, pairing: pairing, magnitude: 1.25)
    let positions: [Int32] = [0, 1, 255, 256, 5000, 131_071]
    let x = Tensor(random: [positions.count, heads, width], &random, backend), values = x.values
    var expected = values.map(Double.init)
    for (token, position) in positions.enumerated() {
      for head in 0..<heads {
        for pair in 0..<rotated / 2 {
          let base = (token * heads + head) * width
          let first = base + (pairing == .halves ? pair : 2 * pair)
          let second = base + (pairing == .halves ? pair + rotated / 2 : 2 * pair + 1)
          let angle = Double(position) * frequencies[pair], (a, b) = (Double(values[first]), Double(values[second]))
          expected[first] = (a * cos(angle) - b * sin(angle)) * 1.25
          expected[second] = (a * sin(angle) + b * cos(angle)) * 1.25
        }
      }
    }
    #expect(isWithin(3e-7, floor: 1, backend.rotate(x, positions: positions, by: rotation).values, expected))
  }

  @Test(arguments: [1, 15, 16, 1000]) func `logSumExp is the logarithm of the sum`(count: Int) {
    var random = SeededRandom(5)
    let x = Tensor(random: [5, count], spread: 30, &random, backend), values = x.values
    let expected = (0..<5).map { row in
      log(values[row * count..<(row + 1) * count].reduce(0) { $0 + exp(Double($1)) })
    }
    #expect(isWithin(1e-6, floor: 1, backend.logSumExp(x).values, expected))
    let large = Tensor([1000, 1000, -1000, -.infinity], shape: [1, 4], backend: backend)
    #expect(abs(backend.logSumExp(large).values[0] - (1000 + log(2))) < 1e-3)
    let infinite = Tensor([-.infinity, -.infinity, 3, .infinity], shape: [2, 2], backend: backend)
    #expect(backend.logSumExp(infinite).values == [-.infinity, .infinity])
  }

  @Test func `threads change no bit of any op`() {
    var random = SeededRandom(6)
    let one = CPUBackend(threads: 1)
    let x = Tensor(random: [300, 4, 64], spread: 3, &random, one), y = Tensor(random: [300, 4, 64], &random, one)
    let weight = Tensor(random: [256], &random, one), positions = (0..<300).map { Int32($0 * 3) }
    let rotation = Rotation(frequencies: (0..<32).map { pow(0.7, Double($0)) }, pairing: .halves)
    let wide = x.reshaped([300, 256])
    func results(_ backend: CPUBackend) -> [[Float]] {
      [
        backend.add(x, y), backend.scale(x, by: 3), backend.gate(x, y, activation: .silu),
        backend.gate(x, y, activation: .gelu), backend.rmsNorm(wide, weight: weight, epsilon: 1e-6),
        backend.logSumExp(wide), backend.rotate(x, positions: positions, by: rotation),
      ].map(\.values)
    }
    let expected = results(one)
    for threads in 2...4 {
      for (result, wanted) in zip(results(CPUBackend(threads: threads)), expected) { #expect(sameBits(result, wanted)) }
    }
  }
}
