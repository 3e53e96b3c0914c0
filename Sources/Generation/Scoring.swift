// How likely a model finds a given text: log-probabilities, alternatives, perplexity.
import Foundation
import Models
import Tensors

/// What a model thought of one token of a text before it saw it.
public struct TokenScore: Sendable {
  public var token: Int32
  /// Natural logarithm of its probability; nil for the first token, which nothing precedes.
  public var logProbability: Float?
  /// The likeliest tokens at its place, best first.
  public var alternatives: [(token: Int32, logProbability: Float)]
}

extension Decoder {
  /// Rows whose logits are in memory at once; a vocabulary of 262,144 takes 1 MiB each.
  private static var rowsAtOnce: Int { 64 }

  /// Calls `body` with each position's log-probabilities of all tokens, in order, for positions in `range`.
  ///
  /// - Parameters:
  ///   - tokens: one sequence.
  ///   - range: the positions whose predictions are wanted; position i predicts token i + 1.
  ///   - body: gets the position, the scores `[vocabulary]` and the logarithm of the sum of their exponentials.
  package func predictions(
    of tokens: [Int32], at range: Range<Int>, batchTokens: Int = 512, cacheType: CacheType = .i16,
    _ body: (Int, UnsafeMutableBufferPointer<Float>, Float) throws -> Void
  ) rethrows {
    let cache = KeyValueCache(configuration.pageLayout(cacheType)), virtual = virtualTokens
    if !virtual.isEmpty { _ = self(virtual, PagedContext([(cache, virtual.count)])) }
    for first in stride(from: 0, to: min(tokens.count, range.upperBound), by: batchTokens) {
      let part = first..<min(first + batchTokens, tokens.count)
      let states = self(Array(tokens[part]), PagedContext([(cache, part.count)]))
      let wanted = part.clamped(to: range)
      for start in stride(from: wanted.lowerBound, to: wanted.upperBound, by: Self.rowsAtOnce) {
        let rows = (start..<min(start + Self.rowsAtOnce, wanted.upperBound)).map { Int32($0 - first) }
        let logits = self.logits(states.rows(at: rows)), vocabulary = logits.shape[1]
        let sums = backend.logSumExp(logits)
        try withExtendedLifetime((logits, sums)) {
          for index in rows.indices {
            let scores = UnsafeMutableBufferPointer(
              rebasing: logits.floats[index * vocabulary..<(index + 1) * vocabulary])
            try body(start + index, scores, sums.floats[index])
          }
        }
      }
    }
  }

  /// The log-probability of each token of a text, and what the model would rather have seen.
  /// - Throws: ``GenerationError`` for a text that is empty, too long, or of tokens that the model does not have.
  public func score(_ tokens: [Int32], alternatives: Int = 0) throws(GenerationError) -> [TokenScore] {
    try check(tokens)
    var result = [TokenScore(token: tokens[0], logProbability: nil, alternatives: [])]
    predictions(of: tokens, at: 0..<tokens.count - 1) { position, scores, sum in
      let best = Self.best(alternatives, of: scores).map { ($0, scores[Int($0)] - sum) }
      let next = tokens[position + 1]
      result.append(TokenScore(token: next, logProbability: scores[Int(next)] - sum, alternatives: best))
    }
    return result
  }

  private static func best(_ count: Int, of scores: UnsafeMutableBufferPointer<Float>) -> [Int32] {
    guard count > 0 else { return [] }
    var best: [Int32] = []
    for token in scores.indices {
      if best.count == count, let last = best.last, scores[token] <= scores[Int(last)] { continue }
      let place = best.firstIndex { scores[token] > scores[Int($0)] } ?? best.count
      best.insert(Int32(token), at: place)
      if best.count > count { best.removeLast() }
    }
    return best
  }

  /// The most tokens of a text, beside those that an adapter puts before it.
  private var textLength: Int { configuration.contextLength - virtualTokens.count }

  private func check(_ tokens: [Int32]) throws(GenerationError) {
    guard !tokens.isEmpty else { throw .emptyPrompt }
    if let token = tokens.first(where: { $0 < 0 || Int($0) >= configuration.vocabulary }) {
      throw .unknownToken(token, vocabulary: configuration.vocabulary)
    }
    guard tokens.count <= textLength else {
      throw .exceededContextWindowSize(promptTokens: tokens.count, contextLength: textLength)
    }
  }

  /// Perplexity over a long text, as llama.cpp measures it: windows of `context` tokens, side by side, of which the
  /// second half is scored.
  ///
  /// - Parameters:
  ///   - first: replaces the first token of each window, where the vocabulary wants a beginning of sequence.
  ///   - progress: called after each window with the windows done, all windows, and the perplexity so far; returns
  ///     whether to go on.
  /// - Throws: ``GenerationError/invalidOption(_:)`` when the text is shorter than one window.
  public func perplexity(
    of tokens: [Int32], context: Int, first: Int32?, progress: (Int, Int, Double) -> Bool = { _, _, _ in true }
  ) throws(GenerationError) -> Perplexity {
    guard context >= 4, context <= textLength else {
      throw .invalidOption("a window of \(context) tokens is not in 4 ... \(textLength)")
    }
    let windows = tokens.count / context
    guard windows > 0 else {
      throw .invalidOption("the text has \(tokens.count) tokens, fewer than one window of \(context)")
    }
    var sum = 0.0, squares = 0.0, count = 0
    for window in 0..<windows {
      var part = Array(tokens[window * context..<(window + 1) * context])
      if let first { part[0] = first }
      try check(part)
      predictions(of: part, at: context / 2..<context - 1) { position, scores, logSum in
        let loss = Double(logSum - scores[Int(part[position + 1])])
        sum += loss
        squares += loss * loss
        count += 1
      }
      if !progress(window + 1, windows, exp(sum / Double(count))) { break }
    }
    let mean = sum / Double(count), deviation = max(0, squares / Double(count) - mean * mean).squareRoot()
    return Perplexity(
      value: exp(mean), standardError: exp(mean) * deviation / Double(max(1, count - 1)).squareRoot(), tokens: count)
  }
}

/// The exponential of the mean loss per token.
public struct Perplexity: Sendable, Codable {
  public var value: Double
  public var standardError: Double
  /// Tokens that were scored.
  public var tokens: Int
}
