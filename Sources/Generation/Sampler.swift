// Draws one token from the scores of a vocabulary.
import Foundation
import Randomness

/// Chooses tokens for one sequence.
package struct Sampler {
  private let options: SamplingOptions
  private var generator: SeededGenerator

  private struct Candidate {
    var token: Int32
    var score: Float
    var probability: Double = 0
  }

  package init(_ options: SamplingOptions) {
    self.options = options
    generator = SeededGenerator(seed: options.seed ?? .random(in: 0 ... .max))
  }

  /// - Parameters:
  ///   - logits: a score for every token; changed by penalties.
  ///   - recent: the tokens so far, prompt included.
  package mutating func sample(_ logits: UnsafeMutableBufferPointer<Float>, recent: [Int32]) -> Int32 {
    adjust(logits, recent: recent)
    let best = Self.best(logits)
    guard options.temperature > 0 else { return best }
    var candidates = preselect(logits, best: logits[Int(best)])
    if options.typicalP < 1 { keepTypical(&candidates) }
    if options.topP < 1 { keep(&candidates, upTo: Double(options.topP)) }
    if options.minP > 0, let first = candidates.first {
      let least = first.score + log(options.minP)
      candidates.removeAll { $0.score < least }
    }
    return draw(candidates) ?? best
  }

  /// The token with the highest score; of equals the first. What is no number is never chosen for its score.
  static func best(_ logits: UnsafeMutableBufferPointer<Float>) -> Int32 {
    var best = 0
    for token in 1..<max(1, logits.count) where logits[token] > logits[best] || logits[best].isNaN { best = token }
    return Int32(best)
  }

  private func adjust(_ logits: UnsafeMutableBufferPointer<Float>, recent: [Int32]) {
    for (token, bias) in options.logitBias where logits.indices.contains(Int(token)) { logits[Int(token)] += bias }
    let penalises =
      options.repetitionPenalty != 1 || options.presencePenalty != 0 || options.frequencyPenalty != 0
    guard penalises else { return }
    var counts: [Int32: Int] = [:]
    for token in recent.suffix(options.penaltyWindow) { counts[token, default: 0] += 1 }
    for (token, count) in counts where logits.indices.contains(Int(token)) {
      let score = logits[Int(token)]
      logits[Int(token)] =
        (score > 0 ? score / options.repetitionPenalty : score * options.repetitionPenalty)
        - options.presencePenalty - options.frequencyPenalty * Float(count)
    }
  }

  /// The tokens that later steps can still choose, best first; of equals, the lower number first.
  private func preselect(_ logits: UnsafeMutableBufferPointer<Float>, best: Float) -> [Candidate] {
    // What min-p would drop at the end is dropped here, which spares sorting a vocabulary, unless a step in between
    // looks at all probabilities. Beyond 2^-60 of the best nothing is ever drawn.
    let early = options.minP > 0 && options.topP >= 1 && options.typicalP >= 1
    let spread = 42 * max(1, options.temperature)
    let least = best - (early ? min(spread, -log(options.minP)) : spread)
    var candidates: [Candidate] = []
    for token in 0..<logits.count where logits[token] >= least {
      candidates.append(Candidate(token: Int32(token), score: logits[token]))
    }
    if options.topK > 0, candidates.count / 4 > options.topK {
      // The k-th best score bounds the rest from below.
      var scores = candidates.map(\.score)
      let bound = Self.select(&scores, rank: options.topK - 1)
      candidates.removeAll { $0.score < bound }
    }
    candidates.sort { $0.score != $1.score ? $0.score > $1.score : $0.token < $1.token }
    if options.topK > 0 { candidates.removeLast(max(0, candidates.count - options.topK)) }
    return candidates
  }

  /// The element of this rank, the highest being of rank 0 (Hoare's selection).
  private static func select(_ values: inout [Float], rank: Int) -> Float {
    var low = 0, high = values.count - 1
    while low < high {
      let pivot = values[(low + high) / 2]
      var i = low, j = high
      while i <= j {
        while values[i] > pivot { i += 1 }
        while values[j] < pivot { j -= 1 }
        if i <= j {
          values.swapAt(i, j)
          i += 1
          j -= 1
        }
      }
      if rank <= j { high = j } else if rank >= i { low = i } else { break }
    }
    return values[rank]
  }

  private func normalize(_ candidates: inout [Candidate], temperature: Float = 1) {
    let best = candidates.map(\.score).max() ?? 0
    var sum = 0.0
    for index in candidates.indices {
      let probability = exp(Double(candidates[index].score - best) / Double(temperature))
      candidates[index].probability = probability
      sum += probability
    }
    for index in candidates.indices { candidates[index].probability /= sum }
  }

  /// Keeps candidates in order until their probabilities reach `sum`.
  private func keep(_ candidates: inout [Candidate], upTo sum: Double) {
    normalize(&candidates)
    var total = 0.0
    let last = candidates.firstIndex { total += $0.probability; return total >= sum } ?? candidates.count - 1
    candidates.removeLast(candidates.count - last - 1)
  }

  private func keepTypical(_ candidates: inout [Candidate]) {
    normalize(&candidates)
    let entropy = candidates.reduce(0.0) { $0 - ($1.probability > 0 ? $1.probability * log($1.probability) : 0) }
    candidates.sort { abs(-log($0.probability) - entropy) < abs(-log($1.probability) - entropy) }
    keep(&candidates, upTo: Double(options.typicalP))
    candidates.sort { $0.score != $1.score ? $0.score > $1.score : $0.token < $1.token }
  }

  private mutating func draw(_ candidates: [Candidate]) -> Int32? {
    var candidates = candidates
    normalize(&candidates, temperature: options.temperature)
    var rest = Double.random(in: 0..<1, using: &generator)
    for candidate in candidates {
      rest -= candidate.probability
      if rest < 0 { return candidate.token }
    }
    return candidates.last?.token
  }
}
