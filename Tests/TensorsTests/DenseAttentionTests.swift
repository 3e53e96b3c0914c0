// Attention over keys in memory against its definition, against itself in other company, and against pages.
import Foundation
import Tensors
import TestSupport
import Testing

@Suite struct `Attention over keys in memory` {
  private let backend = CPUBackend(threads: 2)
  /// What rounding in f32 may cost, beside the largest value, where scores reach ±10.
  private let bound = 3e-6

  private func tensors(_ form: DenseCase, seed: UInt64 = 1, on backend: CPUBackend) -> [Tensor] {
    form.inputs(seed: seed).map { Tensor($0.values, shape: $0.shape, backend: backend) }
  }

  /// Neighbouring rows of a tensor as a tensor.
  private func part(_ x: Tensor, _ rows: Range<Int>) -> Tensor {
    Tensor(x.part(rows), shape: [rows.count, x.shape[1], x.shape[2]], backend: x.backend)
  }

  @Test(arguments: DenseCase.all) func `is the softmax of scaled products`(form: DenseCase) {
    let inputs = form.inputs(seed: 1), result = form.attended(tensors(form, on: backend))
    #expect(result.shape == form.queryShape)
    let expected = form.attended(inputs.map { $0.values.map(Double.init) })
    #expect(isWithin(bound, floor: 2, result.values, expected), "\(difference(result.values, expected))")
  }

  @Test(arguments: [16, 32, 64, 80, 128, 256], [1, 15, 16, 17, 63, 64, 65, 130])
  func `of any width over any number of keys`(width: Int, keys: Int) {
    let form = DenseCase(heads: 2, keyHeads: 1, width: width, lengths: [(6, keys, max(0, keys - 6))], after: 0)
    let result = form.attended(tensors(form, on: backend)).values
    let expected = form.attended(form.inputs(seed: 1).map { $0.values.map(Double.init) })
    #expect(isWithin(bound, floor: 2, result, expected), "\(difference(result, expected))")
  }

  @Test func `takes scores of any size`() {
    // With all scores alike the result is the mean; with one far above, its value.
    let count = 37, shape: Shape = [count, 1, 16]
    let values = (0..<count * 16).map { Float($0 / 16) }
    func attended(_ query: Float, _ key: (Int) -> Float) -> [Float] {
      let queries = Tensor([Float](repeating: query, count: 16), shape: [1, 1, 16], backend: backend)
      let keys = Tensor((0..<count * 16).map { key($0 / 16) }, shape: shape, backend: backend)
      return DenseAttention(spans: [.init(queries: 0..<1, keys: 0..<count)], scale: 1).attend(
        queries: queries, keys: keys, values: Tensor(values, shape: shape, backend: backend)
      ).values
    }
    for size in [Float(0), -0.0, 1e-38, 1e-20, 1, 1e15, 1e18] {
      #expect(isWithin(1e-6, attended(size, { _ in size }), [Double](repeating: 18, count: 16)), "\(size)")
    }
    for size in [Float(100), 1e10, 1e17] {
      #expect(attended(size, { $0 == 5 ? size : -size }).allSatisfy { $0 == 5 }, "\(size)")
    }
  }

  @Test(arguments: DenseCase.all) func `does not depend on company or threads`(form: DenseCase) {
    let inputs = tensors(form, on: backend), whole = form.attended(inputs), distances = form.attention.distances
    for threads in [1, 3] {
      let other = CPUBackend(threads: threads)
      #expect(sameBits(form.attended(tensors(form, on: other)).values, whole.values), "\(threads) threads")
    }
    for (span, length) in zip(form.attention.spans, form.lengths) {
      var alone = form
      alone.lengths = [length]
      var own = [part(inputs[0], span.queries), part(inputs[1], span.keys), part(inputs[2], span.keys)]
      if form.hasBias { own.append(columns(alone.attention.distances, of: inputs[3], from: distances)) }
      #expect(sameBits(alone.attended(own).values, whole.part(span.queries)), "\(length)")
    }
  }

  /// The part of a bias for some of its distances.
  private func columns(_ some: ClosedRange<Int>, of bias: Tensor, from all: ClosedRange<Int>) -> Tensor {
    let values = bias.values, heads = bias.shape[0]
    return Tensor(
      (0..<heads).flatMap { head in some.map { values[head * all.count + $0 - all.lowerBound] } },
      shape: [heads, some.count], backend: bias.backend)
  }

  @Test(arguments: [
    DenseCase(heads: 4, keyHeads: 2, lengths: DenseCase.own(300), after: 0),
    DenseCase(heads: 2, keyHeads: 1, width: 80, lengths: DenseCase.own(150), before: 20, after: 0, hasBias: true),
    DenseCase(heads: 2, keyHeads: 2, lengths: DenseCase.own(70), before: 9, after: 4, softCap: 3, hasBias: true),
    DenseCase(heads: 1, keyHeads: 1, width: 48, lengths: DenseCase.own(66)),
  ])
  func `of a later part of a sequence gives the rows of the whole`(form: DenseCase) {
    let inputs = tensors(form, on: CPUBackend(threads: 1)), whole = form.attended(inputs), count = whole.shape[0]
    for threads in [1, 2, 4] {
      let other = tensors(form, on: CPUBackend(threads: threads))
      #expect(sameBits(form.attended(other).values, whole.values), "\(threads) threads")
    }
    for start in [1, 2, 3, 17, 64, count - 1] {
      for end in [start + 1, count] {
        // A causal query needs no keys after its own.
        let keys = 0..<(form.after == 0 ? end : count)
        var later = form
        later.lengths = [(end - start, keys.count, start)]
        var parts = [part(inputs[0], start..<end), part(inputs[1], keys), part(inputs[2], keys)]
        if form.hasBias {
          parts.append(columns(later.attention.distances, of: inputs[3], from: form.attention.distances))
        }
        #expect(sameBits(later.attended(parts).values, whole.part(start..<end)), "\(start)..<\(end)")
      }
    }
  }

  @Test(arguments: [nil, 3] as [Float?], [Float.nan, .infinity, -.infinity])
  func `shows what is not a number to those who see it`(cap: Float?, bad: Float) {
    var form = DenseCase(heads: 2, keyHeads: 1, lengths: DenseCase.own(30, 30), before: 6, after: 0)
    form.softCap = cap
    let sound = tensors(form, on: backend), expected = form.attended(sound)
    for broken in 0..<3 {
      for place in [0, 9, 10, 11, 29] {
        var inputs = sound, values = sound[broken].values
        values[place * values.count / 60] = bad
        inputs[broken] = Tensor(values, shape: sound[broken].shape, backend: backend)
        let result = form.attended(inputs)
        for row in 0..<60 {
          // A key can lie infinitely far below others, or under a cap no lower than it; a value always shows.
          let sees = row < 30 && (broken == 0 ? row == place : (0...6).contains(row - place))
          let found = result.part(row..<row + 1)
          if !sees {
            #expect(sameBits(found, expected.part(row..<row + 1)), "input \(broken), \(bad) at \(place), row \(row)")
          } else if broken == 2 || bad.isNaN {
            let isFinite = found.allSatisfy(\.isFinite)
            #expect(!isFinite, "input \(broken), \(bad) at \(place), row \(row)")
          }
        }
      }
    }
  }

  @Test(arguments: [
    AttentionCase(heads: 4, keyValueHeads: 2, width: 48, window: 5),
    AttentionCase(heads: 4, keyValueHeads: 2, width: 80),
    AttentionCase(heads: 2, keyValueHeads: 2, width: 64, window: 70, softCap: 3),
    AttentionCase(heads: 8, keyValueHeads: 1, width: 32, softCap: 1),
    AttentionCase(heads: 2, keyValueHeads: 1, width: 32, type: .q8_0, softCap: 2),
  ])
  func `agrees with attention over pages`(form: AttentionCase) {
    let roundingBound = 5e-4  // as of pages
    let lengths = [150, 9], sequences = lengths.map { AttentionSequence(form, length: $0, seed: UInt64($0)) }
    let results = AttentionSequence.read(zip(sequences, lengths).map { ($0, $1) }, on: backend)
    for (sequence, result) in zip(sequences, results) {
      let count = sequence.count, keyShape: Shape = [count, form.keyValueHeads, form.width]
      let attention = DenseAttention(
        spans: [.init(queries: 0..<count, keys: 0..<count)], scale: 0.25, before: form.window.map { $0 - 1 }, after: 0,
        softCap: form.softCap)
      var stored = [sequence.cached(on: backend)]
      if form.type == .i16 { stored.append((sequence.keys, sequence.values)) }
      for (keys, values) in stored {
        let dense = attention.attend(
          queries: Tensor(sequence.queries, shape: [count, form.heads, form.width], backend: backend),
          keys: Tensor(keys, shape: keyShape, backend: backend),
          values: Tensor(values, shape: keyShape, backend: backend))
        #expect(isWithin(roundingBound, floor: 2, result, dense.values.map(Double.init)))
      }
    }
  }
}
