// What quantizing cost: how far a model's predictions are from those of the model that it was made of.
import Foundation
import Generation
import Models
import Tensors

/// How two models differ on a text.
public struct Divergence: Sendable, Codable {
  /// Perplexities of the text.
  public var originalPerplexity, quantizedPerplexity: Double
  /// Kullback-Leibler divergence of the quantized model's predictions from the original's, in nats per token: its mean,
  /// the standard error of that, and what 99 % of the tokens stay below.
  public var mean, standardError, percentile99: Double
  /// The share of tokens for which both models have the same first choice.
  public var agreement: Double
  /// Tokens whose predictions were compared.
  public var tokens: Int
}

extension Divergence {
  /// Rows of scores in memory at once; a vocabulary of 262,144 takes 2 MiB each.
  private static let rowsAtOnce = 32

  /// Compares predictions over windows of text, of which the second half counts, as llama.cpp does.
  /// - Parameter progress: called after each window with the windows done and all; what it throws ends the work.
  public static func measured(
    of quantized: Decoder, from original: Decoder, reading text: TextWindows, pool: ThreadPool,
    progress: (Int, Int) throws -> Void = { _, _ in }
  ) throws -> Divergence {
    var rows: [Row] = []
    for (index, tokens) in text.windows.enumerated() {
      func states(_ model: Decoder) -> Tensor {
        model(tokens, PagedContext([(KeyValueCache(model.configuration.pageLayout(.i16)), tokens.count)]))
      }
      let states = (original: states(original), quantized: states(quantized))
      let scored = tokens.count / 2..<tokens.count - 1
      for start in stride(from: scored.lowerBound, to: scored.upperBound, by: rowsAtOnce) {
        let part = start..<min(start + rowsAtOnce, scored.upperBound), places = part.map { Int32($0) }
        rows += compare(
          original.logits(states.original.rows(at: places)), quantized.logits(states.quantized.rows(at: places)),
          next: part.map { Int(tokens[$0 + 1]) }, pool)
      }
      try progress(index + 1, text.windows.count)
    }
    return Divergence(rows)
  }

  /// What two models say of one place in a text.
  private struct Row: Sendable {
    var divergence = 0.0
    var originalLoss = 0.0, quantizedLoss = 0.0
    var agrees = false
  }

  private static func compare(
    _ original: Tensor, _ quantized: Tensor, next: [Int], _ pool: ThreadPool
  ) -> [Row] {
    let vocabulary = original.shape[1]
    let sums = (original.backend.logSumExp(original), quantized.backend.logSumExp(quantized))
    return withExtendedLifetime((original, quantized, sums)) {
      [Row](unsafeUninitializedCapacity: next.count) { rows, count in
        let target = RowTarget(rows: rows)
        pool.run(chunks: next.count) { row in
          let p = original.floats[row * vocabulary..<(row + 1) * vocabulary]
          let q = quantized.floats[row * vocabulary..<(row + 1) * vocabulary]
          let result = compare(
            UnsafeMutableBufferPointer(rebasing: p), sums.0.floats[row], UnsafeMutableBufferPointer(rebasing: q),
            sums.1.floats[row], next: next[row])
          target.rows.initializeElement(at: row, to: result)
        }
        count = next.count
      }
    }
  }

  /// Chunks write to places of their own.
  private struct RowTarget: @unchecked Sendable {
    let rows: UnsafeMutableBufferPointer<Row>
  }

  /// - Parameters:
  ///   - p: scores of the original; `pSum` the logarithm of the sum of their exponentials
  ///   - q: scores of the other
  private static func compare(
    _ p: UnsafeMutableBufferPointer<Float>, _ pSum: Float, _ q: UnsafeMutableBufferPointer<Float>, _ qSum: Float,
    next: Int
  ) -> Row {
    var sum = 0.0, best = (0, 0)
    for token in p.indices {
      let own = p[token] - pSum, other = q[token] - qSum
      if p[token] > p[best.0] { best.0 = token }
      if q[token] > q[best.1] { best.1 = token }
      // What is less likely than e^-30 adds less than rounding takes.
      if own > -30 { sum += Double(exp(own)) * Double(own - other) }
    }
    return Row(
      divergence: max(0, sum), originalLoss: Double(pSum - p[next]), quantizedLoss: Double(qSum - q[next]),
      agrees: best.0 == best.1)
  }

  private init(_ rows: [Row]) {
    let count = Double(max(1, rows.count)), values = rows.map(\.divergence).sorted()
    let mean = values.reduce(0, +) / count
    let variance = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / max(1, count - 1)
    self.init(
      originalPerplexity: exp(rows.reduce(0) { $0 + $1.originalLoss } / count),
      quantizedPerplexity: exp(rows.reduce(0) { $0 + $1.quantizedLoss } / count),
      mean: mean, standardError: (variance / count).squareRoot(),
      percentile99: values.isEmpty ? 0 : values[min(values.count - 1, values.count * 99 / 100)],
      agreement: Double(rows.count { $0.agrees }) / count, tokens: rows.count)
  }
}
