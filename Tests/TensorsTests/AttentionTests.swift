// Attention over cache pages against softmax in double precision, and against itself in other groupings.
import Foundation
import Tensors
import TestSupport
import Testing

/// Heads, their width, and what a query sees.
struct AttentionCase: Sendable, CustomTestStringConvertible {
  var heads, keyValueHeads, width: Int
  var window: Int?
  var type = CacheType.i16
  var softCap: Float?
  var testDescription: String {
    "\(heads)/\(keyValueHeads) × \(width), window \(window ?? 0), \(type), cap \(softCap ?? 0)"
  }

  var layout: PageLayout { PageLayout(layers: 2, heads: keyValueHeads, headWidth: width, type: type) }
}

/// One sequence of random queries, keys and values, written to its pages as it is read.
final class AttentionSequence {
  let form: AttentionCase
  let queries, keys, values: [Float]
  private(set) var count = 0
  private var pages: [Storage] = []

  enum Part: CaseIterable { case queries, keys, values }

  /// - Parameters:
  ///   - bad: what stands in place of the first number of token `broken` in `part`.
  init(
    _ form: AttentionCase, length: Int, seed: UInt64, with bad: Float? = nil, in part: Part = .queries,
    at broken: Int = 0
  ) {
    var random = SeededRandom(seed)
    self.form = form
    var queries = random.floats(length * form.heads * form.width, spread: 2)
    var keys = random.floats(length * form.keyValueHeads * form.width, spread: 2)
    var values = random.floats(length * form.keyValueHeads * form.width, spread: 2)
    if let bad {
      switch part {
      case .queries: queries[broken * form.heads * form.width] = bad
      case .keys: keys[broken * form.keyValueHeads * form.width] = bad
      case .values: values[broken * form.keyValueHeads * form.width] = bad
      }
    }
    (self.queries, self.keys, self.values) = (queries, keys, values)
  }

  /// Forgets all but the first `count` tokens, as a cache whose prefix is used again does.
  func truncate(to count: Int) { self.count = count }

  /// Attention of the next tokens of several sequences in one op; the results of each.
  static func read(_ parts: [(AttentionSequence, Int)], on backend: CPUBackend) -> [[Float]] {
    var queries: [Float] = [], keys: [Float] = [], values: [Float] = [], spans: [PagedAttention.Span] = []
    let form = parts[0].0.form
    var row = 0
    for (sequence, tokens) in parts {
      let range = sequence.count..<sequence.count + tokens
      func part(_ all: [Float], _ heads: Int) -> ArraySlice<Float> {
        all[range.lowerBound * heads * form.width..<range.upperBound * heads * form.width]
      }
      queries += part(sequence.queries, form.heads)
      keys += part(sequence.keys, form.keyValueHeads)
      values += part(sequence.values, form.keyValueHeads)
      sequence.count += tokens
      while sequence.pages.count * PageLayout.tokens < sequence.count { sequence.pages.append(.page(form.layout)) }
      spans.append(.init(rows: row..<row + tokens, start: range.lowerBound, pages: sequence.pages))
      row += tokens
    }
    let attention = PagedAttention(
      layout: form.layout, spans: spans, layer: 1, scale: 0.25, window: form.window, softCap: form.softCap)
    let result = backend.attend(
      attention, queries: Tensor(queries, shape: [row, form.heads, form.width], backend: backend),
      keys: Tensor(keys, shape: [row, form.keyValueHeads, form.width], backend: backend),
      values: Tensor(values, shape: [row, form.keyValueHeads, form.width], backend: backend))
    return spans.map { result.part($0.rows) }
  }

  /// The keys and values of all tokens so far as the cache keeps them.
  func cached(on backend: CPUBackend) -> (keys: [Float], values: [Float]) {
    let attention = PagedAttention(
      layout: form.layout, spans: [.init(rows: 0..<count, start: 0, pages: pages)], layer: 1, scale: 1, window: nil)
    let cached = backend.cached(attention)
    return (cached.keys.values, cached.values.values)
  }

  /// Attention of the query at `position`, by definition.
  func expected(at position: Int, _ cached: (keys: [Float], values: [Float])) -> [Double] {
    let width = form.width, group = form.heads / form.keyValueHeads
    let first = max(0, position + 1 - (form.window ?? .max / 2))
    var result: [Double] = []
    for head in 0..<form.heads {
      let places = (first...position).map { ($0 * form.keyValueHeads + head / group) * width }
      let query = (position * form.heads + head) * width
      let scores = places.map { place in
        ((0..<width).reduce(0.0) { $0 + Double(queries[query + $1]) * Double(cached.keys[place + $1]) } * 0.25)
          .bent(form.softCap)
      }
      let best = scores.max() ?? 0, weights = scores.map { exp($0 - best) }, sum = weights.reduce(0, +)
      for column in 0..<width {
        result.append(zip(places, weights).reduce(0.0) { $0 + Double(cached.values[$1.0 + column]) * $1.1 } / sum)
      }
    }
    return result
  }
}

@Suite struct `Attention over pages` {
  /// What rounding queries and weights to 16 bits may cost, beside the largest value, where scores are as far apart as
  /// here. Keys and values are taken as the cache keeps them.
  private let roundingBound = 5e-4

  private static let cases = [
    AttentionCase(heads: 1, keyValueHeads: 1, width: 16),
    AttentionCase(heads: 4, keyValueHeads: 2, width: 48, window: 5),
    AttentionCase(heads: 6, keyValueHeads: 2, width: 32, type: .q8_0),
    AttentionCase(heads: 4, keyValueHeads: 4, width: 80, window: 64),
    AttentionCase(heads: 4, keyValueHeads: 2, width: 80, window: 64, type: .q8_0),
    AttentionCase(heads: 8, keyValueHeads: 1, width: 64, window: 1),
    AttentionCase(heads: 3, keyValueHeads: 1, width: 128, window: 100),
    AttentionCase(heads: 2, keyValueHeads: 1, width: 256),
    AttentionCase(heads: 2, keyValueHeads: 1, width: 16, window: 70, type: .q8_0),
    AttentionCase(heads: 4, keyValueHeads: 2, width: 48, softCap: 2),
    AttentionCase(heads: 3, keyValueHeads: 1, width: 64, window: 70, type: .q8_0, softCap: 0.5),
    AttentionCase(heads: 2, keyValueHeads: 2, width: 80, window: 3, softCap: 50),
  ]

  @Test(arguments: cases) func `is the softmax of scaled products`(form: AttentionCase) {
    let backend = CPUBackend(threads: 2)
    let long = AttentionSequence(form, length: 150, seed: 1), short = AttentionSequence(form, length: 9, seed: 2)
    _ = AttentionSequence.read([(long, 60)], on: backend)
    let results = AttentionSequence.read([(short, 9), (long, 90)], on: backend)
    let rowWidth = form.heads * form.width, (few, many) = (short.cached(on: backend), long.cached(on: backend))
    for position in [0, 3, 8] {
      let row = Array(results[0][position * rowWidth..<(position + 1) * rowWidth])
      #expect(isWithin(roundingBound, floor: 2, row, short.expected(at: position, few)))
    }
    for position in [60, 63, 64, 127, 128, 149] {
      let row = Array(results[1][(position - 60) * rowWidth..<(position - 59) * rowWidth])
      #expect(isWithin(roundingBound, floor: 2, row, long.expected(at: position, many)))
    }
  }

  @Test(arguments: [CacheType.i16, .q8_0])
  func `of one token over a long context is spread over pages`(type: CacheType) {
    let form = AttentionCase(heads: 2, keyValueHeads: 1, width: 32, type: type)
    // One thread takes the two queries as one tile; many threads split its pages.
    var all: [[Float]] = []
    for threads in [1, 2, 8] {
      let backend = CPUBackend(threads: threads), sequence = AttentionSequence(form, length: 1001, seed: 3)
      _ = AttentionSequence.read([(sequence, 1000)], on: backend)
      all.append(AttentionSequence.read([(sequence, 1)], on: backend)[0])
      let expected = sequence.expected(at: 1000, sequence.cached(on: backend))
      #expect(isWithin(roundingBound, floor: 2, all[all.count - 1], expected))
    }
    #expect(sameBits(all[0], all[1]))
    #expect(sameBits(all[0], all[2]))
  }

  @Test(arguments: cases) func `does not depend on threads, chunks or company`(form: AttentionCase) {
    let whole = AttentionSequence(form, length: 300, seed: 4)
    let expected = AttentionSequence.read([(whole, 300)], on: CPUBackend(threads: 1))[0]
    for (threads, chunk) in [(2, 1), (3, 7), (4, 64), (1, 150), (8, 300)] {
      let backend = CPUBackend(threads: threads)
      let sequence = AttentionSequence(form, length: 300, seed: 4)
      let other = AttentionSequence(form, length: 300, seed: 5)
      var result: [Float] = []
      while sequence.count < 300 {
        let tokens = min(chunk, 300 - sequence.count)
        // Every other op has another sequence before it.
        if sequence.count / chunk % 2 == 1, other.count < 300 {
          result += AttentionSequence.read([(other, min(3, 300 - other.count)), (sequence, tokens)], on: backend)[1]
        } else {
          result += AttentionSequence.read([(sequence, tokens)], on: backend)[0]
        }
      }
      #expect(sameBits(result, expected), "\(threads) threads, chunks of \(chunk)")
    }
  }

  @Test func `over a cache that was cut back is as over a new one`() {
    let form = AttentionCase(heads: 4, keyValueHeads: 2, width: 32, window: 100), backend = CPUBackend(threads: 2)
    let sequence = AttentionSequence(form, length: 200, seed: 6)
    let expected = AttentionSequence.read([(sequence, 200)], on: backend)[0]
    for count in [199, 130, 64, 1, 0] {
      sequence.truncate(to: count)
      let again = AttentionSequence.read([(sequence, 200 - count)], on: backend)[0]
      #expect(sameBits(again, Array(expected[(count * form.heads * form.width)...])))
    }
  }

  @Test(arguments: CacheType.allCases, [nil, 4] as [Float?])
  func `shows what is not a number to those who see it`(type: CacheType, cap: Float?) {
    let form = AttentionCase(heads: 2, keyValueHeads: 1, width: 32, type: type, softCap: cap), backend = CPUBackend(threads: 2)
    let rowWidth = form.heads * form.width
    for bad in [Float.nan, .infinity, -.infinity] {
      for part in AttentionSequence.Part.allCases {
        let sound = AttentionSequence(form, length: 140, seed: 8)
        let broken = AttentionSequence(form, length: 140, seed: 9, with: bad, in: part, at: 70)
        let alone = AttentionSequence(form, length: 140, seed: 8)
        let results = AttentionSequence.read([(broken, 140), (sound, 140)], on: backend)
        #expect(sameBits(results[1], AttentionSequence.read([(alone, 140)], on: backend)[0]))
        let isFiniteBefore = results[0][..<(70 * rowWidth)].allSatisfy(\.isFinite)
        let isFiniteThere = results[0][(70 * rowWidth)..<(71 * rowWidth)].allSatisfy(\.isFinite)
        #expect(isFiniteBefore && !isFiniteThere, "\(bad) in \(part)")
        let later = results[0][(71 * rowWidth)...]
        let isFinite = later.allSatisfy(\.isFinite)
        #expect(isFinite == (part == .queries), "\(bad) in \(part)")
      }
    }
  }

  @Test func `takes keys of any size, and values among much smaller ones`() {
    let form = AttentionCase(heads: 1, keyValueHeads: 1, width: 512), backend = CPUBackend(threads: 1)
    // All numbers of a vector alike: the sums of products are as large as they can be.
    for size in [Float(1e-35), 1e-20, 1, 1e15, 1e30] {
      let layout = form.layout, tokens = 64
      let attention = PagedAttention(
        layout: layout, spans: [.init(rows: 0..<tokens, start: 0, pages: [.page(layout)])], layer: 0, scale: 1,
        window: nil)
      let shape: Shape = [tokens, 1, 512]
      let queries = Tensor([Float](repeating: 1 / size / 512, count: shape.count), shape: shape, backend: backend)
      let keys = Tensor([Float](repeating: size, count: shape.count), shape: shape, backend: backend)
      let values = Tensor(
        (0..<shape.count).map { ($0 / 512).isMultiple(of: 2) ? -3 : 1e-4 }, shape: shape, backend: backend)
      let result = backend.attend(attention, queries: queries, keys: keys, values: values).values
      let expected = (0..<tokens * 512).map { place in
        let seen = place / 512 + 1, small = seen / 2
        return (-3.0 * Double(seen - small) + 1e-4 * Double(small)) / Double(seen)
      }
      #expect(isWithin(roundingBound, floor: 3, result, expected), "\(size)")
    }
  }
}
