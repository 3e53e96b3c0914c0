// Attention over keys in memory by its definition, in double precision: every key is looked at for every query.
import Foundation
import Tensors
import TestSupport
import Testing

/// Heads, their width, sequences and what a query sees.
struct DenseCase: Sendable, CustomTestStringConvertible {
  var heads = 1, keyHeads = 1, width = 16
  /// For each sequence how many queries and keys there are, and the position of the first query.
  var lengths: [(queries: Int, keys: Int, start: Int)]
  var before: Int?, after: Int?
  var softCap: Float?
  var hasBias = false
  let scale: Float = 0.25

  /// Sequences that attend to themselves.
  static func own(_ lengths: Int...) -> [(queries: Int, keys: Int, start: Int)] { lengths.map { ($0, $0, 0) } }

  static let all = [
    DenseCase(lengths: own(1)),
    DenseCase(heads: 4, keyHeads: 2, lengths: own(1, 17, 5)),
    DenseCase(heads: 2, keyHeads: 1, width: 80, lengths: own(33, 3, 16), after: 0),
    DenseCase(heads: 3, keyHeads: 3, width: 48, lengths: own(40, 9), before: 4, after: 0),
    DenseCase(heads: 2, keyHeads: 2, lengths: own(15, 35), before: 3, after: 2),
    DenseCase(lengths: own(21, 2), before: 0, after: 6),
    DenseCase(lengths: own(18), before: 2),
    DenseCase(heads: 4, keyHeads: 1, width: 32, lengths: [(5, 20, 0), (3, 70, 0), (1, 1, 0)]),
    DenseCase(heads: 2, keyHeads: 1, lengths: [(4, 17, 13), (7, 67, 60)], before: 30, after: 0, hasBias: true),
    DenseCase(heads: 2, keyHeads: 2, lengths: own(16, 31), softCap: 1.5, hasBias: true),
    DenseCase(heads: 6, keyHeads: 2, lengths: own(9, 23), after: 0, softCap: 2, hasBias: true),
    DenseCase(heads: 2, keyHeads: 1, width: 64, lengths: own(12), before: 5, after: 5, softCap: 0.5),
    // Sequences without queries or keys, and queries that see nothing.
    DenseCase(heads: 2, keyHeads: 1, lengths: [(6, 5, 4), (0, 3, 0), (2, 0, 0), (3, 3, 0)], before: 1, hasBias: true),
  ]

  var testDescription: String {
    "\(heads)/\(keyHeads) × \(width), \(lengths.map { "\($0.queries) of \($0.keys) at \($0.start)" }), "
      + "\(before ?? -1) before, \(after ?? -1) after, cap \(softCap ?? 0), \(hasBias ? "biased" : "plain")"
  }

  var attention: DenseAttention {
    var query = 0, key = 0
    let spans = lengths.map { length in
      defer { (query, key) = (query + length.queries, key + length.keys) }
      return DenseAttention.Span(
        queries: query..<query + length.queries, keys: key..<key + length.keys, start: length.start)
    }
    return DenseAttention(spans: spans, scale: scale, before: before, after: after, softCap: softCap)
  }

  var queryShape: Shape { [lengths.reduce(0) { $0 + $1.queries }, heads, width] }
  var keyShape: Shape { [lengths.reduce(0) { $0 + $1.keys }, keyHeads, width] }
  var biasShape: Shape { [heads, attention.distances.count] }
  private var shapes: [Shape] { [queryShape, keyShape, keyShape] + (hasBias ? [biasShape] : []) }

  /// Random queries, keys, values and, where there is one, bias.
  func inputs(seed: UInt64) -> [(values: [Float], shape: Shape)] {
    var random = SeededRandom(seed)
    return shapes.map { (random.floats($0.count, spread: 2), $0) }
  }

  func attended(_ input: [Tensor]) -> Tensor {
    attention.attend(queries: input[0], keys: input[1], values: input[2], bias: hasBias ? input[3] : nil)
  }

  /// By definition; a query that sees nothing finds zeros.
  func attended(_ input: [[Double]]) -> [Double] {
    let attention = attention, distances = attention.distances
    var result: [Double] = []
    for span in attention.spans {
      for row in span.queries {
        for head in 0..<heads {
          let query = (row * heads + head) * width
          var sum = 0.0, weighted = [Double](repeating: 0, count: width)
          for key in span.keys {
            let distance = key - span.keys.lowerBound - (span.start + row - span.queries.lowerBound)
            guard -distance <= before ?? .max, distance <= after ?? .max else { continue }
            let place = (key * keyHeads + head * keyHeads / heads) * width
            var score = 0.0
            for column in 0..<width { score += input[0][query + column] * input[1][place + column] }
            score *= Double(scale)
            if hasBias { score += input[3][head * distances.count + distance - distances.lowerBound] }
            let weight = exp(score.bent(softCap))
            sum += weight
            for column in 0..<width { weighted[column] += weight * input[2][place + column] }
          }
          result += weighted.map { sum > 0 ? $0 / sum : 0 }
        }
      }
    }
    return result
  }
}

extension Double {
  /// Within ± cap, where there is one.
  func bent(_ cap: Float?) -> Double { cap.map { Double($0) * tanh(self / Double($0)) } ?? self }
}
