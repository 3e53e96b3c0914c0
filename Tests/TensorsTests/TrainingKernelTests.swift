// What is computed in training alone, with every instruction set: the bits of the portable loops.
import Tensors
import TestSupport
import Testing

@Suite struct `Kernels of training` {
  private static let vectorSets = [InstructionSet.avx2, .avx512].filter(\.isSupported)

  /// Runs ops on a backend of each instruction set with the same numbers, and compares what they give.
  private func compare(
    _ set: InstructionSet, _ precision: ProductPrecision = .f32, within bound: Float = 0,
    _ ops: (CPUBackend, inout SeededRandom) throws -> [Tensor]
  ) rethrows {
    let results = try [InstructionSet.scalar, set].map { set in
      var random = SeededRandom(31)
      return try ops(CPUBackend(threads: 2, instructionSet: set, precision: precision), &random).map(\.values)
    }
    #expect(results[0].count == results[1].count)
    for (index, (expected, result)) in zip(results[0], results[1]).enumerated() {
      if bound == 0 {
        #expect(sameBits(result, expected), "result \(index)")
      } else {
        let size = expected.reduce(0) { max($0, abs($1)) }
        #expect(zip(result, expected).allSatisfy { abs($0 - $1) <= bound * size }, "result \(index)")
      }
    }
  }

  /// All products of training with one weight: results, gradients, and those of a low-rank correction.
  private func products(
    _ backend: CPUBackend, _ random: inout SeededRandom, _ type: DataType, _ shape: (tokens: Int, outputs: Int, inputs: Int)
  ) throws -> [Tensor] {
    let stored = Tensor.random([shape.outputs, shape.inputs], type: type, using: &random, backend: backend)
    let weight = type == .f32 ? stored : try backend.prepare(stored)
    let x = Tensor(random: [shape.tokens, shape.inputs], &random, backend)
    let upstream = Tensor(random: [shape.tokens, shape.outputs], &random, backend)
    let correction = LowRank(
      a: Tensor(random: [5, shape.inputs], &random, backend), b: Tensor(random: [shape.outputs, 5], &random, backend),
      scale: 0.5)
    let (plain, input) = backend.products(remembering: x, [weight])
    let both = backend.productGradients(upstream, weight: weight, input: input, adding: (nil, nil))
    let (corrected, inner) = backend.products(x, [weight], [correction])
    let found = backend.lowRankGradients(
      upstream, x: x, weight: weight, correction, inner: inner[0], adding: (both.input, nil))
    return plain + [both.weight] + corrected + inner + [found.a, found.b] + (found.input.map { [$0] } ?? [])
  }

  @Test(arguments: vectorSets, DataType.allCases) func `products with any weight`(set: InstructionSet, type: DataType) throws {
    try compare(set) { try products($0, &$1, type, (37, 50, 256)) }
  }

  @Test(arguments: vectorSets) func `products of odd shapes`(set: InstructionSet) throws {
    for shape in [(1, 1, 1), (3, 17, 31), (16, 48, 33), (70, 49, 130)] {
      try compare(set) { try products($0, &$1, .f32, shape) }
      // An instruction for pairs adds up in another order than two for floats.
      try compare(set, .bf16, within: 1e-5) { try products($0, &$1, .f32, shape) }
    }
  }

  @Test(arguments: vectorSets, [1, 17, 64, 100]) func `gradients of rows`(set: InstructionSet, width: Int) {
    compare(set) { backend, random in
      let shape: Shape = [5, width], x = Tensor(random: shape, &random, backend), y = Tensor(random: shape, &random, backend)
      let upstream = Tensor(random: shape, &random, backend), weight = Tensor(random: [width], &random, backend)
      let norm = backend.rmsNormGradients(upstream, x: x, weight: weight, epsilon: 1e-5, ofWeight: true)
      let layer = backend.layerNormGradients(upstream, x: x, weight: weight, epsilon: 1e-5, ofWeight: true)
      let gates = [Activation.silu, .geluTanh, .gelu, .relu, .tanh].flatMap { kind in
        let found = backend.gateGradients(upstream, gate: x, up: y, activation: kind)
        return [found.gate, found.up, backend.gateGradients(upstream, gate: x, up: nil, activation: kind).gate]
      }
      let sums = backend.logSumExp(x), loss = Tensor(zeros: shape, backend: backend)
      backend.crossEntropyGradient(
        Tensor([1, 2, 3, 4, 5], shape: [5], backend: backend), x: x, targets: [0, Int32(width - 1), -1, 0, 0], sums: sums,
        into: loss)
      let softmax = backend.softmaxGradient(upstream, result: backend.softmax(x))
      return [norm.x, norm.weight, layer.x, layer.weight, sums, loss, softmax].compactMap(\.self) + gates.compactMap(\.self)
    }
  }

  @Test(arguments: vectorSets, [1, 17, 64, 5000]) func `steps of the optimizer`(set: InstructionSet, count: Int) {
    compare(set) { backend, random in
      let tensors = (0..<4).map { _ in Tensor(random: [count], &random, backend) }
      backend.combine(tensors[3], 0.9, tensors[0], 0.1)
      let squares = backend.scale(tensors[3], by: 0)
      backend.adamStep(
        AdamStep(step: 3, learningRate: 1e-2, beta1: 0.9, beta2: 0.95, epsilon: 1e-8, weightDecay: 0.1),
        gradient: tensors[0], weight: tensors[1], mean: tensors[2], square: squares)
      return tensors + [squares, Tensor([Float(backend.sumOfSquares(tensors[1]))], shape: [1], backend: backend)]
    }
  }

  @Test(arguments: vectorSets) func `gradients of attention`(set: InstructionSet) {
    compare(set) { backend, random in
      let queries = Tensor(random: [70, 4, 16], &random, backend).requiringGradient()
      let keys = Tensor(random: [70, 2, 16], &random, backend).requiringGradient()
      let values = Tensor(random: [70, 2, 16], &random, backend).requiringGradient()
      let attention = DenseAttention(spans: [.init(queries: 0..<70, keys: 0..<70, start: 0)], scale: 0.25, after: 0)
      let y = attention.attend(queries: queries, keys: keys, values: values)
      let found = y.gradients(upstream: Tensor(random: [70, 4, 16], &random, backend))
      return [y] + [queries, keys, values].compactMap { found[$0] }
    }
  }
}
