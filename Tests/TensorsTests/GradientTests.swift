// The gradient of each op against differences of its definition in double precision.
import Foundation
import Tensors
import TestSupport
import Testing

@Suite struct `Gradients of ops` {
  private let backend = CPUBackend(threads: 2)

  @Test func `sums and factors pass it on`() throws {
    var random = SeededRandom(1)
    let values = random.floats(40_000), x = Tensor(values, shape: [200, 200], backend: backend).requiringGradient()
    let y = Tensor(values, shape: [200, 200], backend: backend).requiringGradient()
    let upstream = Tensor(random: [40_000], &random, backend)
    let gradients = ((x + y) * 0.7).reshaped([40_000]).gradients(upstream: upstream)
    let expected = upstream.values.map { $0 * 0.7 }
    for leaf in [x, y] {
      #expect(gradients[leaf]?.shape == [200, 200])
      #expect(sameBits(gradients[leaf]?.values ?? [], expected))
    }
  }

  @Test(arguments: [Activation.silu, .geluTanh, .gelu, .relu, .tanh]) func `of gates`(activation: Activation) throws {
    var random = SeededRandom(2)
    GradientCase(
      inputs: [(random.floats(60, spread: 7), [3, 20]), (random.floats(60), [3, 20])],
      op: { [$0[0].activated(activation, times: $0[1])] },
      definition: { zip($0[0], $0[1]).map { activation.value($0) * $1 } }
    ).check(within: 1e-6, on: backend)
  }

  @Test(arguments: [Activation.silu, .geluTanh, .gelu]) func `of extreme gates are one or nothing`(_ kind: Activation) throws {
    let x: [Float] = [60, 88, 89, 1000, 1e30, -60, -88, -89, -1000, -1e12, -1e30]
    let gate = Tensor(x, shape: [x.count], backend: backend).requiringGradient()
    let ones = Tensor(x.map { _ in 1 }, shape: [x.count], backend: backend)
    let found = gate.activated(kind, times: ones).gradients(upstream: ones)[gate]?.values ?? []
    #expect(isWithin(1e-6, floor: 1e-17, found, x.map { $0 > 0 ? 1 : 0 }))
  }

  @Test(arguments: [(1, 5), (7, 600), (64, 9), (100, 300)]) func `of rmsNorm`(width: Int, rows: Int) throws {
    var random = SeededRandom(3)
    GradientCase(
      inputs: [(random.floats(width * rows, spread: 2), [rows, width]), (random.floats(width), [width])],
      op: { [$0[0].rmsNorm(weight: $0[1], epsilon: 0.01)] },
      definition: { input in
        stride(from: 0, to: input[0].count, by: width).flatMap { start in
          let row = input[0][start..<start + width]
          let root = (row.reduce(0) { $0 + $1 * $1 } / Double(width) + 0.01).squareRoot()
          return zip(row, input[1]).map { $0 / root * $1 }
        }
      }
    ).check(within: 3e-6, on: backend)
  }

  @Test(arguments: [1, 15, 200]) func `of logSumExp`(columns: Int) throws {
    var random = SeededRandom(4)
    GradientCase(
      inputs: [(random.floats(4 * columns, spread: 8), [4, columns])],
      op: { [$0[0].logSumExp()] },
      definition: { input in
        (0..<4).map { log(input[0][$0 * columns..<($0 + 1) * columns].reduce(0) { $0 + exp($1) }) }
      }
    ).check(within: 3e-6, on: backend)
  }

  @Test(arguments: [Rotation.Pairing.interleaved, .halves], [(16, 16), (80, 32), (16, 2)])
  func `of rotation`(pairing: Rotation.Pairing, widths: (Int, Int)) {
    let (width, rotated) = widths, heads = 3, positions: [Int32] = [0, 1, 255, 256, 5000]
    let frequencies = (0..<rotated / 2).map { pow(10_000, -2 * Double($0) / Double(rotated)) }
    let rotation = Rotation(frequencies: frequencies, pairing: pairing, magnitude: 1.25)
    var random = SeededRandom(5)
    GradientCase(
      inputs: [(random.floats(positions.count * heads * width), [positions.count, heads, width])],
      op: { [$0[0].rotated(by: rotation, positions: positions)] },
      definition: { input in
        var result = input[0]
        for (token, position) in positions.enumerated() {
          for base in stride(from: token * heads * width, to: (token + 1) * heads * width, by: width) {
            for pair in 0..<rotated / 2 {
              let first = base + (pairing == .halves ? pair : 2 * pair)
              let second = first + (pairing == .halves ? rotated / 2 : 1)
              let turn = Double(position) * frequencies[pair]
              result[first] = (input[0][first] * cos(turn) - input[0][second] * sin(turn)) * 1.25
              result[second] = (input[0][first] * sin(turn) + input[0][second] * cos(turn)) * 1.25
            }
          }
        }
        return result
      }
    ).check(within: 1e-6, on: backend)
  }

  @Test(arguments: DataType.allCases, [3, 37]) func `of products with any weight`(type: DataType, tokens: Int) throws {
    var random = SeededRandom(6)
    let weights = [20, 33].map { Tensor.random([$0, 256], type: type, using: &random, backend: backend) }
    let prepared = try weights.map(backend.prepare), numbers = weights.map { type.values(of: $0) }
    GradientCase(
      inputs: [(random.floats(tokens * 256), [tokens, 256])],
      op: { $0[0].products(prepared) },
      definition: { input in numbers.flatMap { product(input[0], $0, columns: 256) } }
    ).check(within: 3e-6, on: backend)
  }

  @Test func `of products with trained weights, one of two`() throws {
    var random = SeededRandom(7)
    let constant = Tensor(random: [18, 21], &random, backend), factors = constant.values.map(Double.init)
    let prepared = try backend.prepare(constant)
    func multiply(_ x: [Double], _ weight: [Double]) -> [Double] {
      stride(from: 0, to: x.count, by: 21).flatMap { token in
        stride(from: 0, to: weight.count, by: 21).map { row in
          (0..<21).reduce(0) { $0 + x[token + $1] * weight[row + $1] }
        }
      }
    }
    GradientCase(
      inputs: [(random.floats(40 * 21), [40, 21]), (random.floats(35 * 21), [35, 21])],
      op: { $0[0].products([$0[1], prepared]) },
      definition: { multiply($0[0], $0[1]) + multiply($0[0], factors) }
    ).check(within: 3e-6, on: backend)
  }

  @Test func `of look-ups add up where a row is used twice`() throws {
    var random = SeededRandom(8)
    let indices: [Int32] = [3, 0, 3, 3, 6]
    GradientCase(
      inputs: [(random.floats(7 * 9), [7, 9])],
      op: { [$0[0].rows(at: indices)] },
      definition: { input in indices.flatMap { Array(input[0][Int($0) * 9..<Int($0 + 1) * 9]) } }
    ).check(within: 1e-6, on: backend)
  }

  @Test(arguments: [
    AttentionCase(heads: 1, keyValueHeads: 1, width: 16),
    AttentionCase(heads: 4, keyValueHeads: 2, width: 16, window: 5),
    AttentionCase(heads: 2, keyValueHeads: 1, width: 32, window: 70),
    AttentionCase(heads: 2, keyValueHeads: 2, width: 48, window: 1),
    AttentionCase(heads: 2, keyValueHeads: 1, width: 16, window: 40, type: .q8_0),
    AttentionCase(heads: 3, keyValueHeads: 1, width: 48, type: .q8_0),
    AttentionCase(heads: 4, keyValueHeads: 2, width: 16, softCap: 2),
    AttentionCase(heads: 2, keyValueHeads: 1, width: 32, window: 30, type: .q8_0, softCap: 4),
  ])
  func `of attention, to what this call brings`(form: AttentionCase) throws {
    // 60 positions of the second sequence are cached before; its 20 tokens end in the second page.
    let lengths = [9, 20], before = [0, 60], tokens = 29, backend = backend
    var random = SeededRandom(9)
    let rows = form.keyValueHeads * form.width, queryRow = form.heads * form.width
    let caches = before.map { count in
      [random.floats(count * rows, spread: 2), random.floats(count * rows, spread: 2)]
    }
    func attention(_ pages: [[Storage]], lengths: [Int], before: [Int]) -> PagedAttention {
      var row = 0
      let spans = zip(lengths, before).enumerated().map { index, span in
        defer { row += span.0 }
        return PagedAttention.Span(rows: row..<row + span.0, start: span.1, pages: pages[index])
      }
      return PagedAttention(
        layout: form.layout, spans: spans, layer: 1, scale: 0.25, window: form.window, softCap: form.softCap)
    }
    let keyShape: Shape = [tokens, form.keyValueHeads, form.width]
    let keys = random.floats(keyShape.count, spread: 2), values = random.floats(keyShape.count, spread: 2)
    let queries = random.floats(tokens * queryRow, spread: 2)
    let cached = caches.map { form.stored($0[0], $0[1], on: backend) }
    GradientCase(
      inputs: [(queries, [tokens, form.heads, form.width]), (keys, keyShape), (values, keyShape)],
      seen: [queries.map(Double.init)] + form.stored(keys, values, on: backend),
      op: { input in
        let pages = [[Storage.page(form.layout)], [.page(form.layout), .page(form.layout)]]
        let earlier: Shape = [before[1], form.keyValueHeads, form.width]
        _ = attention([pages[1]], lengths: [before[1]], before: [0]).attend(
          queries: Tensor(random: [before[1], form.heads, form.width], &random, backend),
          keys: Tensor(caches[1][0], shape: earlier, backend: backend),
          values: Tensor(caches[1][1], shape: earlier, backend: backend))
        let result = attention(pages, lengths: lengths, before: before).attend(
          queries: input[0], keys: input[1], values: input[2])
        // The cache goes on to serve others before the walk back.
        for page in pages.joined() { page.bytes.initializeMemory(as: UInt8.self, repeating: 0x33) }
        return [result]
      },
      definition: { input in
        zip([0..<9, 9..<29], cached).flatMap { part, cached in
          form.attended(
            queries: Array(input[0][part.lowerBound * queryRow..<part.upperBound * queryRow]),
            keys: cached[0] + input[1][part.lowerBound * rows..<part.upperBound * rows],
            values: cached[1] + input[2][part.lowerBound * rows..<part.upperBound * rows], scale: 0.25)
        }
      }
    ).check(within: 1e-5, on: backend)
  }
}
