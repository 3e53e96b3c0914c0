// The gradients of norms, softmax, activations, mixtures and attention in memory against differences of definitions.
import Foundation
import Tensors
import TestSupport
import Testing

@Suite struct `Gradients of ops of rows` {
  private let backend = CPUBackend(threads: 2)

  @Test(arguments: [(1, 5, 1), (7, 600, 1), (64, 9, 3), (17, 300, 2)])
  func `of layerNorm`(width: Int, rows: Int, factorRows: Int) {
    var random = SeededRandom(1)
    let shape: Shape = factorRows == 1 ? [width] : [factorRows, width]
    func definition(_ input: [[Double]], biased: Bool) -> [Double] {
      stride(from: 0, to: input[0].count, by: width).flatMap { start in
        let row = input[0][start..<start + width], mean = row.reduce(0, +) / Double(width)
        let root = (row.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(width) + 0.01).squareRoot()
        return row.enumerated().map { column, x in
          let place = (start + column) % (factorRows * width)
          return (x - mean) / root * input[1][place] + (biased ? input[2][place] : 0)
        }
      }
    }
    let x = random.floats(width * rows, spread: 2), factors = random.floats(shape.count)
    let inputs = [(x, [rows, width] as Shape), (factors, shape), (random.floats(shape.count), shape)]
    GradientCase(
      inputs: inputs, op: { [$0[0].layerNorm(weight: $0[1], bias: $0[2], epsilon: 0.01)] },
      definition: { definition($0, biased: true) }
    ).check(within: 3e-6, on: backend)
    GradientCase(
      inputs: Array(inputs[..<2]), op: { [$0[0].layerNorm(weight: $0[1], bias: nil, epsilon: 0.01)] },
      definition: { definition($0, biased: false) }
    ).check(within: 3e-6, on: backend)
  }

  @Test(arguments: [1, 15, 80]) func `of softmax`(columns: Int) {
    var random = SeededRandom(2)
    GradientCase(
      inputs: [(random.floats(4 * columns, spread: 4), [4, columns])],
      op: { [$0[0].softmax()] },
      definition: { input in
        stride(from: 0, to: input[0].count, by: columns).flatMap { start in
          let weights = input[0][start..<start + columns].map { exp($0) }, sum = weights.reduce(0, +)
          return weights.map { $0 / sum }
        }
      }
    ).check(within: 3e-6, on: backend)
  }

  @Test(arguments: [Activation.silu, .geluTanh, .gelu, .relu, .tanh]) func `of activations`(activation: Activation) {
    var random = SeededRandom(3)
    GradientCase(
      inputs: [(random.floats(60, spread: 7), [3, 20])],
      op: { [$0[0].activated(activation)] },
      definition: { $0[0].map(activation.value) }
    ).check(within: 1e-6, on: backend)
  }

  @Test(arguments: [Float(0.5), 4]) func `of softCapped`(cap: Float) {
    var random = SeededRandom(4)
    GradientCase(
      inputs: [(random.floats(60, spread: 6), [60])],
      op: { [$0[0].softCapped(cap)] },
      definition: { $0[0].map { $0.bent(cap) } }
    ).check(within: 1e-6, on: backend)
  }

  @Test(arguments: [(1, 5), (17, 600), (80, 3)]) func `of a bias`(width: Int, rows: Int) {
    var random = SeededRandom(5)
    GradientCase(
      inputs: [(random.floats(width * rows), [rows, width]), (random.floats(width), [width])],
      op: { [$0[0].adding(bias: $0[1])] },
      definition: { input in input[0].enumerated().map { $1 + input[1][$0 % width] } }
    ).check(within: 1e-6, on: backend)
  }

  @Test func `of parts put together, one of them twice, and turned`() {
    var random = SeededRandom(6)
    GradientCase(
      inputs: [(random.floats(3 * 17), [3, 17]), (random.floats(5 * 17), [5, 17])],
      op: { [Tensor.concatenated([$0[0], $0[1], $0[0] * 2]).transposed()] },
      definition: { input in
        let rows = input[0] + input[1] + input[0].map { $0 * 2 }
        return (0..<17).flatMap { column in (0..<11).map { rows[$0 * 17 + column] } }
      }
    ).check(within: 1e-6, on: backend)
  }

  @Test func `of weightedRows, to the table and the weights`() {
    var random = SeededRandom(7)
    let places: [Int32] = [3, 0, 3, 3, 1, 2, 0, 4, 3, 1]
    GradientCase(
      inputs: [(random.floats(6 * 17), [6, 17]), (random.floats(10), [5, 2])],
      op: { [$0[0].weightedRows(at: places, weights: $0[1])] },
      definition: { input in
        (0..<5 * 17).map { place in
          (0..<2).reduce(0) { sum, choice in
            let index = place / 17 * 2 + choice
            return sum + input[1][index] * input[0][Int(places[index]) * 17 + place % 17]
          }
        }
      }
    ).check(within: 1e-6, on: backend)
  }

  @Test(arguments: DenseCase.all) func `of attention in memory, to all that it sees`(form: DenseCase) {
    GradientCase(
      inputs: form.inputs(seed: 8), op: { [form.attended($0)] }, definition: { form.attended($0) }
    ).check(within: 1e-5, on: backend)
  }

  @Test(arguments: DenseCase.all) func `of attention do not depend on company or threads`(form: DenseCase) {
    let inputs = form.inputs(seed: 9)
    var random = SeededRandom(10)
    let upstream = random.floats(form.queryShape.count)
    func gradients(_ form: DenseCase, _ values: [[Float]], _ upstream: [Float], threads: Int) -> [[Float]] {
      let backend = CPUBackend(threads: threads)
      let shapes = [form.queryShape, form.keyShape, form.keyShape, form.biasShape]
      let leaves = zip(values, shapes).map { Tensor($0, shape: $1, backend: backend).requiringGradient() }
      let found = form.attended(leaves).gradients(
        upstream: Tensor(upstream, shape: form.queryShape, backend: backend))
      return leaves.map { found[$0]?.values ?? [] }
    }
    let whole = gradients(form, inputs.map(\.values), upstream, threads: 1)
    for (found, wanted) in zip(gradients(form, inputs.map(\.values), upstream, threads: 3), whole) {
      #expect(sameBits(found, wanted))
    }
    let distances = form.attention.distances
    for (span, length) in zip(form.attention.spans, form.lengths) {
      var alone = form
      alone.lengths = [length]
      func part(_ values: [Float], _ rows: Range<Int>, _ heads: Int) -> [Float] {
        Array(values[rows.lowerBound * heads * form.width..<rows.upperBound * heads * form.width])
      }
      func parts(_ all: [[Float]]) -> [[Float]] {
        [part(all[0], span.queries, form.heads)] + all[1...2].map { part($0, span.keys, form.keyHeads) }
      }
      var own = parts(inputs.map(\.values))
      if form.hasBias {
        own.append((0..<form.heads).flatMap { head in
          alone.attention.distances.map { inputs[3].values[head * distances.count + $0 - distances.lowerBound] }
        })
      }
      let found = gradients(alone, own, part(upstream, span.queries, form.heads), threads: 2)
      for (found, wanted) in zip(found, parts(whole)) { #expect(sameBits(found, wanted), "\(length)") }
    }
  }
}
