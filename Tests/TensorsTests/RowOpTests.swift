// Norms, softmax, activations and what puts rows together, each against its definition in double precision.
import Foundation
import Tensors
import TestSupport
import Testing

@Suite struct `Ops of rows` {
  private let backend = CPUBackend(threads: 2)
  private static let widths = [1, 15, 16, 17, 80, 576]

  private func tensor(_ values: [Float], _ shape: Shape? = nil) -> Tensor {
    Tensor(values, shape: shape ?? [values.count], backend: backend)
  }

  private func rows<T>(_ values: [T], of width: Int) -> [[T]] {
    stride(from: 0, to: values.count, by: width).map { Array(values[$0..<$0 + width]) }
  }

  // MARK: Layer norm

  /// Whether layerNorm is within 2e-7 of how far x − mean is exact: numbers far from zero and close together keep few
  /// digits. Weights and biases of several rows are taken in turn.
  private func isLayerNorm(_ found: [Float], _ x: [Float], _ weight: [Float], _ bias: [Float]?, width: Int) -> Bool {
    let epsilon = 1e-5
    guard found.count == x.count else { return false }
    return zip(rows(x, of: width), rows(found, of: width)).enumerated().allSatisfy { index, row in
      let numbers = row.0.map(Double.init), mean = numbers.reduce(0, +) / Double(width)
      let variance = numbers.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(width)
      let deviation = (variance + epsilon).squareRoot(), peak = numbers.reduce(0) { max($0, abs($1)) }
      return (0..<width).allSatisfy { column in
        let place = (index * width + column) % weight.count, factor = Double(weight[place])
        let normal = (numbers[column] - mean) / deviation, summand = Double(bias?[place] ?? 0)
        let slack = 2e-7 * (abs(factor) * (peak / deviation + 2 * abs(normal) + 1) + abs(summand))
        return abs(Double(row.1[column]) - normal * factor - summand) <= slack
      }
    }
  }

  @Test(arguments: widths, [1, 3]) func `layerNorm takes away the mean and the deviation`(width: Int, factorRows: Int) {
    var random = SeededRandom(1)
    let shape: Shape = factorRows == 1 ? [width] : [factorRows, width]
    let weight = Tensor(random: shape, spread: 2, &random, backend), bias = Tensor(random: shape, &random, backend)
    for (spread, offset) in [(Float(5), Float(0)), (1e-30, 0), (1e-3, 7), (1, -300), (1e17, 0), (0, 0.1), (0, 1000)] {
      let values = random.floats(33 * width, spread: spread).map { $0 + offset }
      let x = tensor(values, [11, 3, width]), what = "\(spread) around \(offset)"
      let plain = x.layerNorm(weight: weight, bias: nil, epsilon: 1e-5)
      #expect(plain.shape == x.shape)
      #expect(isLayerNorm(plain.values, values, weight.values, nil, width: width), "\(what)")
      let biased = x.layerNorm(weight: weight, bias: bias, epsilon: 1e-5).values
      #expect(isLayerNorm(biased, values, weight.values, bias.values, width: width), "\(what) with a bias")
    }
  }

  @Test func `layerNorm of one column is the bias`() {
    let result = tensor([3, -1e30, 0], [3, 1]).layerNorm(weight: tensor([5]), bias: tensor([0.25]), epsilon: 1e-5)
    #expect(result.values == [0.25, 0.25, 0.25])
  }

  // MARK: Softmax

  @Test(arguments: widths) func `softmax is each exponential's share`(width: Int) {
    var random = SeededRandom(2)
    let x = Tensor(random: [5, width], spread: 30, &random, backend), result = x.softmax()
    #expect(result.shape == x.shape)
    for (found, row) in zip(rows(result.values, of: width), rows(x.values, of: width)) {
      let weights = row.map { exp(Double($0)) }, sum = weights.reduce(0, +)
      // A difference of scores below −60 is rounded by 2e-6.
      #expect(isWithin(4e-6, floor: 1e-30, found, weights.map { $0 / sum }))
      #expect(abs(found.reduce(0) { $0 + Double($1) } - 1) <= 1e-6)
    }
  }

  @Test func `softmax takes numbers of any size`() {
    let largest = Float.greatestFiniteMagnitude, least = Float.leastNonzeroMagnitude
    let cases: [([Float], [Float])] = [
      ([1000, 1000, -1000, -.infinity], [0.5, 0.5, 0, 0]),
      ([largest, -largest, 0], [1, 0, 0]),
      ([least, -least, 0, -0.0], [0.25, 0.25, 0.25, 0.25]),
      ([Float](repeating: -largest, count: 32), [Float](repeating: 1 / 32, count: 32)),
      ([Float](repeating: 0.1, count: 16) + [-1e30], [Float](repeating: 1 / 16, count: 16) + [0]),
      ([-3e38], [1]),
    ]
    for (x, expected) in cases { #expect(tensor(x, [1, x.count]).softmax().values == expected, "\(x)") }
  }

  @Test(arguments: [1, 16, 17, 40]) func `softmax and logSumExp show what is not a number`(width: Int) {
    for place in Set([0, width / 2, width - 1]) {
      var x = [Float](repeating: 1, count: 3 * width)
      x[width + place] = .nan
      let found = rows(tensor(x, [3, width]).softmax().values, of: width), sums = tensor(x, [3, width]).logSumExp().values
      #expect(found[1].allSatisfy(\.isNaN) && sums[1].isNaN, "\(place) of \(width)")
      #expect(found[0] == found[2] && found[0].allSatisfy { abs($0 * Float(width) - 1) < 1e-6 })
      #expect(sums[0].isFinite && sums[2].isFinite)
    }
  }

  // MARK: Activations

  private static let activations = [Activation.silu, .geluTanh, .gelu, .relu, .tanh]

  @Test(arguments: activations, widths) func `an activation alone is a gate of ones`(kind: Activation, count: Int) {
    var random = SeededRandom(3)
    let x = Tensor(random: [count], spread: 8, &random, backend), ones = tensor([Float](repeating: 1, count: count))
    #expect(sameBits(x.activated(kind).values, x.activated(kind, times: ones).values))
    #expect(isWithin(1e-6, floor: 1, x.activated(kind).values, x.values.map { kind.value(Double($0)) }))
    let up = Tensor(random: [count], spread: 3, &random, backend)
    let expected = zip(x.values, up.values).map { kind.value(Double($0)) * Double($1) }
    #expect(isWithin(1e-6, floor: 3, x.activated(kind, times: up).values, expected))
  }

  @Test(arguments: activations, [1, 16, 19]) func `activations show what is not a number`(kind: Activation, count: Int) {
    for place in Set([0, count - 1]) {
      var x = [Float](repeating: 0.5, count: count)
      x[place] = .nan
      #expect(tensor(x).activated(kind).values.map(\.isNaN) == x.map(\.isNaN), "\(place) of \(count)")
    }
  }

  @Test func `relu is exact`() {
    let x: [Float] = [0, -0.0, .leastNonzeroMagnitude, -Float.leastNonzeroMagnitude, 3.5, -3.5, .greatestFiniteMagnitude, .infinity, -.infinity]
    #expect(tensor(x).activated(.relu).values == x.map { max(0, $0) })
  }

  @Test func `tanh is within three units in the last place`() {
    // From −20 to 20, close together near zero, and on both sides of where one formula follows another.
    let dense = (-2000...2000).map { let x = Float($0) / 2000; return x * x * x * 20 }
    let edges: [Float] = [0.6249, 0.62499994, 0.625, 0.62500006, -0.625, 1e-20, -1e-38, 89, 1e30, -1e30, .infinity]
    let x = dense + edges + [.leastNonzeroMagnitude]
    let found = tensor(x).activated(.tanh).values
    for (value, x) in zip(found, x) {
      let wanted = Foundation.tanh(Double(x))
      #expect(abs(Double(value) - wanted) <= 3 * Double(Float(wanted).ulp), "\(x)")
      #expect(abs(value) <= 1, "\(x)")
    }
  }

  @Test(arguments: [Float(0.5), 30, 50]) func `softCapped bends numbers within the cap`(cap: Float) {
    var random = SeededRandom(4)
    let x = random.floats(77, spread: 3 * cap) + random.floats(20, spread: 1e-3) + [0, 1e30, -1e30, 1e-30, cap, -cap]
    let found = tensor(x).softCapped(cap).values
    #expect(isWithin(6e-7, found, x.map { Double($0).bent(cap) }))
    #expect(found.allSatisfy { abs($0) <= cap })
  }

  // MARK: Sums, and rows put together

  @Test(arguments: widths) func `a bias is added to each row`(width: Int) {
    var random = SeededRandom(5)
    let x = Tensor(random: [7, 3, width], &random, backend), bias = Tensor(random: [width], &random, backend)
    let result = x.adding(bias: bias), summands = bias.values
    #expect(result.shape == x.shape)
    #expect(sameBits(result.values, x.values.enumerated().map { $1 + summands[$0 % width] }))
  }

  @Test func `concatenated lays rows end to end`() {
    var random = SeededRandom(6)
    for columns in [1, 17, 80] {
      let parts = [3, 0, 1, 20].map { Tensor(random: [$0, columns], &random, backend) }
      let whole = Tensor.concatenated(parts)
      #expect(whole.shape == [24, columns])
      #expect(sameBits(whole.values, parts.flatMap(\.values)))
      #expect(sameBits(Tensor.concatenated([parts[0]]).values, parts[0].values))
    }
  }

  @Test(arguments: [(1, 1), (15, 17), (1, 80), (16, 16), (300, 81), (0, 5)])
  func `transposed turns rows into columns`(rows: Int, columns: Int) {
    var random = SeededRandom(7)
    let x = Tensor(random: [rows, columns], &random, backend), turned = x.transposed(), values = x.values
    #expect(turned.shape == [columns, rows])
    let expected = (0..<columns).flatMap { column in (0..<rows).map { values[$0 * columns + column] } }
    #expect(sameBits(turned.values, expected))
    #expect(sameBits(turned.transposed().values, values))
  }

  @Test(arguments: [(1, 1, 1), (9, 2, 17), (40, 4, 80), (3, 8, 16), (0, 2, 5)])
  func `weightedRows sums the rows of a table`(tokens: Int, choices: Int, columns: Int) {
    var random = SeededRandom(8)
    let table = Tensor(random: [6, columns], &random, backend), numbers = table.values
    let weights = Tensor(random: [tokens, choices], &random, backend), factors = weights.values
    // Some tokens name one row twice.
    let places = (0..<tokens * choices).map { $0 % 5 == 1 ? 2 : Int32(random.below(6)) }
    let result = table.weightedRows(at: places, weights: weights)
    #expect(result.shape == [tokens, columns])
    let expected = (0..<tokens * columns).map { place in
      (0..<choices).reduce(0.0) { sum, choice in
        let index = place / columns * choices + choice
        return sum + Double(factors[index]) * Double(numbers[Int(places[index]) * columns + place % columns])
      }
    }
    #expect(isWithin(2e-7, floor: Double(choices), result.values, expected))
  }

  @Test func `nothing is made of no rows`() {
    let none = tensor([], [0, 5]), five = tensor([1, 2, 3, 4, 5])
    let results = [
      none.layerNorm(weight: five, bias: five, epsilon: 1e-5), none.softmax(), none.adding(bias: five),
      none.activated(.relu), none.softCapped(2), none.activated(.tanh, times: none), Tensor.concatenated([none, none]),
    ]
    for result in results { #expect(result.shape == [0, 5] && result.values.isEmpty) }
  }

  // MARK: Company

  @Test func `threads and other rows change no bit`() {
    var random = SeededRandom(9)
    let one = CPUBackend(threads: 1), values = random.floats(300 * 256, spread: 3)
    let factors = random.floats(256), summands = random.floats(256), upstream = random.floats(300 * 256)
    let places = (0..<600).map { _ in Int32(random.below(300)) }, choice = random.floats(600)
    func results(_ backend: CPUBackend, rows: Range<Int>) -> [[Float]] {
      func matrix(_ values: [Float], _ columns: Int) -> Tensor {
        let part = Array(values[rows.lowerBound * columns..<rows.upperBound * columns])
        return Tensor(part, shape: [rows.count, columns], backend: backend)
      }
      let x = matrix(values, 256).requiringGradient(), dy = matrix(upstream, 256)
      let weight = Tensor(factors, shape: [256], backend: backend), bias = Tensor(summands, shape: [256], backend: backend)
      let table = Tensor(values, shape: [300, 256], backend: backend)
      let own = Array(places[2 * rows.lowerBound..<2 * rows.upperBound])
      let ops = [
        x.layerNorm(weight: weight, bias: bias, epsilon: 1e-6), x.softmax(), x.activated(.gelu), x.activated(.relu),
        x.softCapped(2), x.adding(bias: bias), x.activated(.tanh, times: x),
      ]
      return ops.flatMap { [$0.values, $0.gradients(upstream: dy)[x]?.values ?? []] }
        + [table.weightedRows(at: own, weights: matrix(choice, 2)).values]
    }
    let whole = results(one, rows: 0..<300)
    for threads in 2...4 {
      for (found, wanted) in zip(results(CPUBackend(threads: threads), rows: 0..<300), whole) {
        #expect(sameBits(found, wanted), "\(threads) threads")
      }
    }
    for part in [0..<1, 7..<8, 100..<259] {
      for (found, wanted) in zip(results(backend, rows: part), whole) {
        #expect(sameBits(found, Array(wanted[part.lowerBound * 256..<part.upperBound * 256])), "\(part)")
      }
    }
  }
}
