// Products where something is trained, with weights larger than the blocks they are packed in, against double precision.
import Tensors
import TestSupport
import Testing

@Suite struct `Products with weights in blocks` {
  /// More than a block in either direction, and no multiple of it.
  private static let outputs = 1700, inputs = 1792
  private static let tokens = 150

  /// A factor as products see it.
  private func rounded(_ values: [Float], _ precision: ProductPrecision) -> [Double] {
    values.map { value in
      guard precision == .bf16 else { return Double(value) }
      let bits = value.bitPattern
      return Double(Float(bitPattern: (bits &+ 0x7fff &+ (bits >> 16 & 1)) & 0xffff_0000))
    }
  }

  /// Whether some numbers of a matrix are sums over pairs of factors; float sums may lose 4e-6 of Σ |factors|.
  private func expect(
    _ result: Tensor, from index: UInt64, is terms: (_ row: Int, _ column: Int) -> [(Double, Double)]
  ) {
    var random = SeededRandom(index)
    let values = result.values, columns = result.shape.columns
    for _ in 0..<300 {
      let at = Int.random(in: 0..<values.count, using: &random), terms = terms(at / columns, at % columns)
      let sum = terms.reduce(0) { $0 + $1.0 * $1.1 }, size = terms.reduce(0) { $0 + abs($1.0 * $1.1) }
      #expect(abs(Double(values[at]) - sum) <= 4e-6 * size)
    }
  }

  @Test(arguments: [ProductPrecision.f32, .bf16], [DataType.f32, .f16, .q8_0, .q4_k, .q6_k])
  func `and their gradients are exact sums, added to what was there`(precision: ProductPrecision, type: DataType) throws {
    let backend = CPUBackend(threads: 2, precision: precision)
    let (outputs, inputs, tokens) = (Self.outputs, Self.inputs, Self.tokens)
    var random = SeededRandom(11)
    let stored = Tensor.random([outputs, inputs], type: type, using: &random, backend: backend)
    let weight = type == .f32 ? stored : try backend.prepare(stored), w = rounded(type.values(of: stored), precision)
    let x = Tensor(random: [tokens, inputs], &random, backend), xs = rounded(x.values, precision)
    let upstream = Tensor(random: [tokens, outputs], &random, backend), dy = rounded(upstream.values, precision)
    let (results, input) = backend.products(remembering: x, [weight])
    if type == .f32 || precision == .bf16 {
      expect(results[0], from: 1) { row, column in
        (0..<inputs).map { (xs[row * inputs + $0], w[column * inputs + $0]) }
      }
    }
    let sums = (
      input: Tensor(random: [tokens, inputs], &random, backend), weight: Tensor(random: [outputs, inputs], &random, backend))
    let before = (sums.input.values.map(Double.init), sums.weight.values.map(Double.init))
    let found = backend.productGradients(upstream, weight: weight, input: input, adding: sums)
    expect(found.input, from: 2) { row, column in
      (0..<outputs).map { (dy[row * outputs + $0], w[$0 * inputs + column]) } + [(before.0[row * inputs + column], 1)]
    }
    expect(found.weight, from: 3) { row, column in
      (0..<tokens).map { (dy[$0 * outputs + row], xs[$0 * inputs + column]) } + [(before.1[row * inputs + column], 1)]
    }
  }

  @Test(arguments: [ProductPrecision.f32, .bf16])
  func `have the same bits with any number of threads`(precision: ProductPrecision) throws {
    var results: [[[Float]]] = []
    for threads in [1, 2, 7, 40] {
      let backend = CPUBackend(threads: threads, precision: precision)
      var random = SeededRandom(12)
      let weight = try backend.prepare(Tensor.random([500, 1792], type: .f16, using: &random, backend: backend))
      let x = Tensor(random: [300, 1792], &random, backend), upstream = Tensor(random: [300, 500], &random, backend)
      let (product, input) = backend.products(remembering: x, [weight])
      let found = backend.productGradients(upstream, weight: weight, input: input, adding: (nil, nil))
      results.append([product[0].values, found.input.values, found.weight.values])
    }
    #expect(results.allSatisfy { $0 == results[0] })
  }
}
