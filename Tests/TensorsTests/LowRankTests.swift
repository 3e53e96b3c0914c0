// Products with weights and low-rank corrections as one op, against double precision and against the ops that they are
// made of.
import Tensors
import TestSupport
import Testing

@Suite struct `Products with low-rank corrections` {
  private let backend = CPUBackend(threads: 2)

  @Test(arguments: [(1, 33), (8, 33), (19, 64)], [DataType.f32, .bf16])
  func `have the gradients of all their factors`(shape: (rank: Int, inputs: Int), type: DataType) throws {
    let (rank, inputs) = shape, tokens = 37, outputs = [20, 50], scale: Float = 1.75
    var random = SeededRandom(21)
    let weights = outputs.map { Tensor.random([$0, inputs], type: type, using: &random, backend: backend) }
    let prepared = type == .f32 ? weights : try weights.map(backend.prepare), numbers = weights.map { type.values(of: $0) }
    func multiply(_ x: [Double], _ weight: [Double], _ columns: Int) -> [Double] {
      stride(from: 0, to: x.count, by: columns).flatMap { token in
        stride(from: 0, to: weight.count, by: columns).map { row in
          (0..<columns).reduce(0) { $0 + x[token + $1] * weight[row + $1] }
        }
      }
    }
    var factors: [(values: [Float], shape: Shape)] = []
    for count in outputs {
      factors.append((random.floats(rank * inputs), [rank, inputs]))
      factors.append((random.floats(count * rank), [count, rank]))
    }
    GradientCase(
      inputs: [(random.floats(tokens * inputs), Shape([tokens, inputs]))] + factors,
      op: { input in
        input[0].products(
          prepared, [1, 3].map { LowRank(a: input[$0], b: input[$0 + 1], scale: scale) })
      },
      definition: { input in
        numbers.indices.flatMap { index in
          let inner = multiply(input[0], input[1 + 2 * index], inputs).map { $0 * Double(scale) }
          return zip(
            multiply(input[0], numbers[index].map(Double.init), inputs), multiply(inner, input[2 + 2 * index], rank)
          ).map(+)
        }
      }
    ).check(within: 5e-6, on: backend)
  }

  /// What the ops that the one op stands for give, and its own: results and gradients of x, a and b.
  private func both(
    _ type: DataType, tokens: Int, _ precision: ProductPrecision, threads: Int = 2
  ) throws -> (one: [[Float]], several: [[Float]]) {
    let backend = CPUBackend(threads: threads, precision: precision), (outputs, inputs, rank) = (500, 1792, 8)
    var random = SeededRandom(22)
    let weight = try backend.prepare(Tensor.random([outputs, inputs], type: type, using: &random, backend: backend))
    let x = Tensor(random: [tokens, inputs], &random, backend).requiringGradient()
    let a = Tensor(random: [rank, inputs], &random, backend).requiringGradient()
    let b = Tensor(random: [outputs, rank], &random, backend).requiringGradient()
    let upstream = Tensor(random: [tokens, outputs], &random, backend)
    func values(_ y: Tensor) -> [[Float]] {
      let found = y.gradients(upstream: upstream)
      return [y.values] + [x, a, b].map { found[$0]?.values ?? [] }
    }
    return (
      values(x.products([weight], [LowRank(a: a, b: b, scale: 0.5)])[0]),
      values(x.product(weight) + (x.product(a) * 0.5).product(b)))
  }

  @Test(arguments: [ProductPrecision.f32, .bf16], [DataType.f16, .q4_k])
  func `are what their parts add up to`(precision: ProductPrecision, type: DataType) throws {
    for tokens in [1, 5, 300] {
      let (one, several) = try both(type, tokens: tokens, precision)
      for (result, expected) in zip(one, several) {
        #expect(result.count == expected.count)
        let size = expected.reduce(0) { max($0, abs($1)) }
        let error = zip(result, expected).reduce(0) { max($0, abs($1.0 - $1.1)) }
        // With pairs the parts are rounded at other places.
        #expect(error <= size * (precision == .f32 ? 5e-6 : 1e-2), "\(tokens) tokens")
      }
    }
  }

  @Test(arguments: [ProductPrecision.f32, .bf16])
  func `have the same bits with any number of threads`(precision: ProductPrecision) throws {
    let results = try [1, 2, 7].map { try both(.f16, tokens: 300, precision, threads: $0).one }
    #expect(results.allSatisfy { $0 == results[0] })
  }
}
