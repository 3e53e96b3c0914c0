// What ops remember, and what they do not: nothing in inference, and no more than gradients need.
import Foundation
import Tensors
import TestSupport
import Testing

@Suite struct `What ops record` {
  private let backend = CPUBackend(threads: 2)

  /// One of each op that a decoder uses, on `x` `[T, 32]`, with constant weights.
  private func layer(_ x: Tensor, norm: Tensor, weights: [Tensor], attention: PagedAttention) -> Tensor {
    let shape: Shape = [x.shape[0], 2, 16], positions = (0..<Int32(x.shape[0])).map(\.self)
    let rotation = Rotation(frequencies: (0..<8).map { pow(0.5, Double($0)) }, pairing: .halves)
    let parts = x.rmsNorm(weight: norm, epsilon: 1e-5).products(weights).map { $0.reshaped(shape) }
    let attended = attention.attend(
      queries: parts[0].rotated(by: rotation, positions: positions), keys: parts[1], values: parts[2])
    let y = x + attended.reshaped(x.shape)
    return (y + y.activated(.silu, times: y) * 0.1).rmsNorm(weight: norm, epsilon: 1e-5)
  }

  private func layer(_ tokens: Int, on backend: CPUBackend) throws -> (Tensor) -> Tensor {
    var random = SeededRandom(1)
    let norm = Tensor(random.floats(32), shape: [32], backend: backend)
    let weights = try [DataType.q8_0, .f16, .q4_0].map {
      try backend.prepare(Tensor.random([32, 32], type: $0, spread: 0.3, using: &random, backend: backend))
    }
    let layout = PageLayout(layers: 1, heads: 2, headWidth: 16, type: .i16)
    let pages = (0..<(tokens + 63) / 64).map { _ in Storage.page(layout) }
    let attention = PagedAttention(
      layout: layout, spans: [.init(rows: 0..<tokens, start: 0, pages: pages)], layer: 0, scale: 0.25, window: nil)
    return { layer($0, norm: norm, weights: weights, attention: attention) }
  }

  @Test func `is nothing in inference, whose intermediate results leave memory`() throws {
    var random = SeededRandom(2)
    let step = try layer(5, on: backend)
    var x = Tensor(random: [5, 32], &random, backend)
    weak let first = x.storage
    x = step(x)
    weak let second = x.storage
    x = step(x)
    #expect(!x.needsGradient && !x.logSumExp().needsGradient && !x.rows(at: [1]).needsGradient)
    #expect(first == nil && second == nil)
    #expect(x.gradients(upstream: x).count == 0)
  }

  @Test func `is nothing for inputs that need no gradient`() throws {
    var random = SeededRandom(3)
    let constant = try backend.prepare(Tensor(random: [8, 32], &random, backend))
    let leaf = Tensor(random: [4, 32], &random, backend).requiringGradient()
    // A product with a constant weight keeps no activation; with a trained one it keeps a copy of its own.
    var x = leaf * 2
    weak let activation = x.storage
    x = x.product(constant)
    #expect(activation == nil && x.needsGradient)
    let trained = Tensor(random: [16, 8], &random, backend).requiringGradient()
    x = x.product(trained)
    let gradients = x.gradients(upstream: Tensor(random: [4, 16], &random, backend))
    #expect(gradients.count == 2 && gradients[leaf] != nil && gradients[trained] != nil)
    #expect(gradients[constant] == nil && gradients[x] == nil)
    // Only the trained one of two weights that share an input.
    let both = Tensor(random: [3, 8], &random, backend).products([trained, try backend.prepare(trained)])
    #expect(both.map(\.needsGradient) == [true, false])
  }

  @Test func `adds up where a result is used again`() throws {
    let leaf = Tensor([3], shape: [1], backend: backend).requiringGradient()
    var x = leaf
    // 2⁶⁰ paths: the walk would not end if it took each.
    for _ in 0..<60 { x = x + x }
    #expect(x.gradients()[leaf]?.values == [0x1p60])
    // d/dx of (x² σ(x) + 2x), and of x as its own leaf.
    let y = leaf.activated(.silu, times: leaf) + leaf * 2
    let sigmoid = 1 / (1 + exp(-3.0)), expected = 2 * 3 * sigmoid + 9 * sigmoid * (1 - sigmoid) + 2
    #expect(isWithin(1e-6, y.gradients()[leaf]?.values ?? [], [expected]))
    #expect(leaf.gradients()[leaf]?.values == [1])
  }

  @Test func `may be a chain of 100,000 ops`() async {
    // A thread of 256 kB: a frame for each op would need more.
    await withCheckedContinuation { continuation in
      let thread = Thread {
        let backend = CPUBackend(threads: 1)
        let one = Tensor([1, 1], shape: [2], backend: backend), small = one * 1e-6
        let leaf = Tensor([1, 2], shape: [2], backend: backend).requiringGradient()
        weak var middle: Storage?
        do {
          var x = leaf
          for step in 0..<20_000 {
            x = (x + small) * 1.0001
            if step == 10_000 { middle = x.storage }
            x = x.reshaped([1, 2]).activated(.gelu, times: x).reshaped([2]).rmsNorm(weight: one, epsilon: 1e-5)
          }
          let gradient = x.gradients(upstream: one)[leaf]
          #expect(gradient?.values.allSatisfy(\.isFinite) == true)
          #expect(middle != nil)
        }
        #expect(middle == nil)
        continuation.resume()
      }
      thread.stackSize = 256 << 10
      thread.start()
    }
  }

  @Test func `gives the same bits on any number of threads`() throws {
    func gradients(threads: Int) throws -> [[Float]] {
      let backend = CPUBackend(threads: threads), tokens = 300
      var random = SeededRandom(4)
      let table = Tensor(random: [500, 32], &random, backend).requiringGradient()
      let norm = Tensor(random.floats(32), shape: [32], backend: backend).requiringGradient()
      let low = Tensor(random: [32, 32], &random, backend).requiringGradient()
      var x = table.rows(at: random.tokens(tokens, vocabulary: 500))
      x = try layer(tokens, on: backend)(x).rmsNorm(weight: norm, epsilon: 1e-5)
      x = x.product(low).product(table)
      let found = x.gradients(upstream: Tensor(random: x.shape, &random, backend))
      let sums = x.logSumExp()
      let more = sums.gradients(upstream: Tensor(random: sums.shape, &random, backend))
      return [table, norm, low].flatMap { [found[$0]?.values ?? [], more[$0]?.values ?? []] }
    }
    let one = try gradients(threads: 1), three = try gradients(threads: 3)
    for (alone, shared) in zip(one, three) {
      #expect(!alone.isEmpty && alone.contains { $0 != 0 })
      #expect(sameBits(alone, shared))
    }
  }
}
