// The sampler's draws against the distribution that its options define, computed the plain way.
import Foundation
import Generation
import TestSupport
import Testing

/// The probabilities of all tokens, by the definition of each step over the whole vocabulary.
private func distribution(_ logits: [Float], _ options: SamplingOptions, recent: [Int32] = []) -> [Double] {
  var scores = logits.map(Double.init)
  for (token, bias) in options.logitBias { scores[Int(token)] += Double(bias) }
  let window = recent.suffix(options.penaltyWindow)
  for token in Set(window) {
    let count = Double(window.count { $0 == token }), score = scores[Int(token)]
    let repetition = Double(options.repetitionPenalty)
    scores[Int(token)] = (score > 0 ? score / repetition : score * repetition)
      - Double(options.presencePenalty) - Double(options.frequencyPenalty) * count
  }
  func softmax(_ tokens: [Int], temperature: Double = 1) -> [Int: Double] {
    let best = tokens.map { scores[$0] }.max() ?? 0
    let weights = tokens.map { ($0, exp((scores[$0] - best) / temperature)) }
    let sum = weights.reduce(0) { $0 + $1.1 }
    return Dictionary(uniqueKeysWithValues: weights.map { ($0, $1 / sum) })
  }
  /// The first of `tokens` whose probabilities reach `sum`.
  func reaching(_ sum: Double, _ tokens: [Int], _ probabilities: [Int: Double]) -> [Int] {
    var total = 0.0, kept: [Int] = []
    for token in tokens {
      kept.append(token)
      total += probabilities[token] ?? 0
      if total >= sum { break }
    }
    return kept
  }
  func byScore(_ tokens: [Int]) -> [Int] {
    tokens.sorted { scores[$0] != scores[$1] ? scores[$0] > scores[$1] : $0 < $1 }
  }
  var tokens = byScore(Array(scores.indices))
  if options.topK > 0 { tokens = Array(tokens.prefix(options.topK)) }
  if options.typicalP < 1 {
    let probabilities = softmax(tokens)
    let entropy = probabilities.values.reduce(0) { $0 - ($1 > 0 ? $1 * log($1) : 0) }
    let surprise = { (token: Int) in abs(-log(probabilities[token] ?? 0) - entropy) }
    tokens = byScore(reaching(Double(options.typicalP), tokens.sorted { surprise($0) < surprise($1) }, probabilities))
  }
  if options.topP < 1 { tokens = reaching(Double(options.topP), tokens, softmax(tokens)) }
  if options.minP > 0, let first = tokens.first {
    tokens = tokens.filter { scores[$0] >= scores[first] + log(Double(options.minP)) }
  }
  var result = [Double](repeating: 0, count: logits.count)
  for (token, probability) in softmax(tokens, temperature: Double(options.temperature)) { result[token] = probability }
  return result
}

private func draw(_ count: Int, _ logits: [Float], _ options: SamplingOptions, recent: [Int32] = []) -> [Int32] {
  var sampler = Sampler(options)
  return (0..<count).map { _ in
    var scores = logits
    return scores.withUnsafeMutableBufferPointer { sampler.sample($0, recent: recent) }
  }
}

/// Pearson's χ² of the draws, and its degrees of freedom; infinite when something impossible was drawn.
private func chiSquare(_ draws: [Int32], _ probabilities: [Double]) -> (value: Double, freedom: Int) {
  var counts = [Int](repeating: 0, count: probabilities.count)
  for token in draws { counts[Int(token)] += 1 }
  var value = 0.0, freedom = -1, rareCount = 0, rare = 0.0
  for (count, probability) in zip(counts, probabilities) {
    let expected = probability * Double(draws.count)
    if probability == 0, count > 0 { return (.infinity, 1) }
    if expected < 5 {
      rareCount += count
      rare += expected
    } else {
      value += (Double(count) - expected) * (Double(count) - expected) / expected
      freedom += 1
    }
  }
  if rare >= 1 {
    value += (Double(rareCount) - rare) * (Double(rareCount) - rare) / rare
    freedom += 1
  }
  return (value, max(1, freedom))
}

private func options(_ change: (inout SamplingOptions) -> Void) -> SamplingOptions {
  var options = SamplingOptions(temperature: 1, topK: 0, topP: 1, minP: 0, seed: 42)
  change(&options)
  return options
}

@Suite struct `The sampler` {
  private static let logits: [Float] = {
    var random = SeededRandom(1)
    return random.floats(40, spread: 4)
  }()

  private static let choices: [SamplingOptions] = [
    options { _ in },
    options { $0.temperature = 0.5 },
    options { $0.temperature = 3 },
    options { $0.topK = 5 },
    options { $0.topK = 1 },
    options { ($0.topK, $0.temperature) = (100, 2) },
    options { $0.topP = 0.7 },
    options { $0.topP = 0 },
    options { $0.minP = 0.2 },
    options { $0.minP = 1 },
    options { ($0.minP, $0.topP, $0.temperature) = (0.1, 0.9, 1.5) },
    options { $0.typicalP = 0.5 },
    options { ($0.typicalP, $0.topK, $0.topP, $0.minP) = (0.8, 20, 0.95, 0.05) },
    options { $0.repetitionPenalty = 1.8 },
    options { ($0.presencePenalty, $0.frequencyPenalty, $0.penaltyWindow) = (0.5, 0.7, 5) },
    options { $0.penaltyWindow = 0; $0.repetitionPenalty = 5 },
    options { $0.logitBias = [3: 4, 7: -.infinity, 1000: 5, -1: 5] },
    options { ($0.topK, $0.repetitionPenalty, $0.logitBias, $0.temperature) = (8, 1.3, [0: 2], 0.8) },
    SamplingOptions(seed: 9),
  ]

  @Test(arguments: choices) func `draws from the distribution that its options define`(options: SamplingOptions) {
    let recent: [Int32] = [1, 2, 3, 3, 5, 8, 8, 8, 13, 39]
    var defined = options
    defined.logitBias = options.logitBias.filter { Self.logits.indices.contains(Int($0.key)) }
    let expected = distribution(Self.logits, defined, recent: recent)
    let (value, freedom) = chiSquare(draw(2000, Self.logits, options, recent: recent), expected)
    // Four standard deviations of χ² above its mean.
    #expect(value < Double(freedom) + 4 * (2 * Double(freedom)).squareRoot())
  }

  @Test func `temperature 0 takes the best token, of equals the first`() {
    #expect(draw(1, [1, 5, 2, 5, 5], .greedy) == [1])
    #expect(draw(1, [0, 0, 0], .greedy) == [0])
    #expect(draw(1, [-3], .greedy) == [0])
    #expect(draw(1, [-.infinity, -.infinity, -1], .greedy) == [2])
    var greedy = SamplingOptions.greedy
    greedy.logitBias = [1: -.infinity, 3: -2]
    #expect(draw(1, [1, 5, 2, 5, 4], greedy) == [4])
    greedy = .greedy
    greedy.repetitionPenalty = 3
    #expect(draw(1, [2, 5], greedy, recent: [1]) == [0])
    #expect(draw(1, [-2, -1], greedy, recent: [1]) == [0])
  }

  @Test func `equal scores are equally likely`() {
    let flat = [Float](repeating: 1.5, count: 16)
    let (value, freedom) = chiSquare(draw(3000, flat, options { _ in }), [Double](repeating: 1 / 16, count: 16))
    #expect(value < Double(freedom) + 4 * (2 * Double(freedom)).squareRoot())
    // Where only some of them are kept, it is the first.
    #expect(Set(draw(500, flat, options { $0.topK = 3 })) == [0, 1, 2])
    #expect(Set(draw(500, flat, options { $0.topP = 0.25 })) == [0, 1, 2, 3])
  }

  @Test func `a seed repeats its draws, and another seed does not`() {
    let first = draw(200, Self.logits, options { $0.seed = 5 })
    #expect(draw(200, Self.logits, options { $0.seed = 5 }) == first)
    #expect(draw(200, Self.logits, options { $0.seed = 6 }) != first)
    #expect(draw(200, Self.logits, options { $0.seed = nil }) != draw(200, Self.logits, options { $0.seed = nil }))
  }

  @Test func `forbidden tokens are never drawn, however hot`() {
    var hot = options { $0.temperature = .greatestFiniteMagnitude }
    hot.logitBias = [0: -.infinity, 5: -.infinity, 39: -.infinity]
    #expect(Set(draw(500, Self.logits, hot)).isDisjoint(with: [0, 5, 39]))
  }

  @Test func `scores that are no numbers do no harm`() {
    let broken: [[Float]] = [
      [.nan, 1, 2], [1, .nan, 2], [.nan, .nan, .nan], [.infinity, 1, .nan], [-.infinity, -.infinity],
      [.infinity, .infinity], [.nan], Array(repeating: .nan, count: 300),
    ]
    let all = Self.choices + [.greedy, options { $0.topK = .max }, options { $0.penaltyWindow = .max }]
    for logits in broken {
      for options in all {
        #expect(draw(3, logits, options, recent: [0]).allSatisfy { logits.indices.contains(Int($0)) })
      }
    }
    #expect(draw(1, [.nan, 1, 2], .greedy) == [2])
    #expect(Set(draw(100, [.nan, 1, 2], options { _ in })) == [1, 2])
  }

  @Test func `a large vocabulary's best tokens are found whatever their order`() {
    var random = SeededRandom(3)
    for topK in [1, 2, 40, 1000] {
      let logits = (0..<2000).map { _ in Float(random.below(300)) / 100 }  // many equals
      let kept = Set(draw(400, logits, options { $0.topK = topK }))
      let best = logits.indices.sorted { logits[$0] != logits[$1] ? logits[$0] > logits[$1] : $0 < $1 }.prefix(topK)
      #expect(kept.isSubset(of: best.map(Int32.init)))
      if topK <= 40 { #expect(kept.count == topK) }
    }
  }

  @Test(arguments: [
    options { $0.temperature = -1 }, options { $0.temperature = .nan }, options { $0.temperature = .infinity },
    options { $0.topK = -1 }, options { $0.topP = 1.1 }, options { $0.topP = .nan }, options { $0.minP = -0.1 },
    options { $0.typicalP = 2 }, options { $0.repetitionPenalty = 0 }, options { $0.presencePenalty = .infinity },
    options { $0.frequencyPenalty = .nan }, options { $0.penaltyWindow = -1 }, options { $0.logitBias = [0: .nan] },
    options { $0.logitBias = [0: .infinity] },
  ]) func `options without meaning are refused`(options: SamplingOptions) {
    #expect(throws: GenerationError.self) { try options.validate() }
  }
}
