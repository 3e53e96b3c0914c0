// What a model is to learn from plain text: three ways to make a question of it.
import Randomness
import Tokenization

/// What is asked about a text.
public enum TrainingObjective: Sendable, Equatable {
  /// What comes next, at every token: for decoders.
  case nextToken
  /// What was there, at some tokens: for encoders.
  case maskedTokens(MaskedTokens)
  /// What stood where spans were cut out: for encoder–decoders.
  case spanCorruption(SpanCorruption)

  func validate(sequenceLength: Int) throws(TrainingDataError) {
    if case .spanCorruption(let spans) = self { try spans.validate(sequenceLength: sequenceLength) }
  }

  func example(_ sequence: TokenSequence, _ random: inout SeededGenerator) -> TrainingBatch {
    let tokens = sequence.tokens
    switch self {
    case .nextToken:
      let targets = tokens.dropFirst() + [sequence.next ?? TrainingBatch.ignored]
      return TrainingBatch(tokens: tokens, targets: Array(targets), lengths: [tokens.count])
    case .maskedTokens(let masking):
      let (masked, targets) = masking.apply(tokens, &random)
      return TrainingBatch(tokens: masked, targets: targets, lengths: [tokens.count])
    case .spanCorruption(let spans):
      let (source, target) = spans.apply(tokens, &random)
      return TrainingBatch(
        tokens: [spans.decoderStart] + target.dropLast(), targets: target, lengths: [target.count],
        source: TrainingBatch.Sequences(tokens: source, lengths: [source.count]))
    }
  }
}

/// Masked language modelling (Devlin et al.: BERT, 2018): of the tokens 15 % are chosen, each by itself; of these 80 %
/// become the mask, 10 % another token, and 10 % stay. Special tokens are neither chosen nor put in.
public struct MaskedTokens: Sendable, Equatable {
  public var share = 0.15
  /// Of those chosen.
  public var maskedShare = 0.8
  public var replacedShare = 0.1
  public let mask: Int32
  private let isSpecial: [Bool]
  private let ordinary: [Int32]

  /// - Parameter mask: the mask token; nil for the one spelled `[MASK]` or `<mask>`.
  /// - Throws: ``TrainingDataError`` for a tokenizer without a mask token.
  public init(_ tokenizer: Tokenizer, mask: Int32? = nil) throws(TrainingDataError) {
    let found = mask ?? tokenizer.id(ofPiece: "[MASK]") ?? tokenizer.id(ofPiece: "<mask>")
    guard let found, found >= 0, found < tokenizer.vocabularyCount else {
      throw TrainingDataError(message: "the tokenizer has no mask token ([MASK] or <mask>), which masking needs")
    }
    self.mask = found
    isSpecial = tokenizer.kinds.enumerated().map {
      $1 == .control || $1 == .unknown || $1 == .unused || $0 == Int(found)
    }
    ordinary = isSpecial.indices.filter { [isSpecial] in !isSpecial[$0] }.map { Int32($0) }
    guard !ordinary.isEmpty else { throw TrainingDataError(message: "the tokenizer has special tokens only") }
  }

  func apply(_ tokens: [Int32], _ random: inout SeededGenerator) -> (tokens: [Int32], targets: [Int32]) {
    var masked = tokens, targets = Array(repeating: TrainingBatch.ignored, count: tokens.count)
    for (index, token) in tokens.enumerated() where !isSpecial[Int(token)] {
      // All three are drawn for every token, so that a share that is changed changes nothing else.
      let chance = random.uniform(), way = random.uniform(), other = ordinary[random.below(ordinary.count)]
      guard chance < share else { continue }
      targets[index] = token
      if way < maskedShare {
        masked[index] = mask
      } else if way < maskedShare + replacedShare {
        masked[index] = other
      }
    }
    return (masked, targets)
  }
}

/// Span corruption (Raffel et al.: T5, 2019): 15 % of the tokens, in spans of 3 on average, are cut out of the source,
/// each span giving place to a sentinel (`<extra_id_0>`, `<extra_id_1>` …); the target is the sentinels, each with its
/// span. Both end with the end-of-sequence token.
public struct SpanCorruption: Sendable, Equatable {
  public var noiseShare = 0.15
  public var meanSpan = 3.0
  public let sentinels: [Int32]
  public let endOfSequence: Int32
  /// What a decoder reads first.
  public let decoderStart: Int32

  /// - Parameter decoderStart: nil for the padding token, with which T5 begins.
  /// - Throws: ``TrainingDataError`` for a tokenizer that lacks a token which is needed.
  public init(_ tokenizer: Tokenizer, decoderStart: Int32? = nil) throws(TrainingDataError) {
    var sentinels: [Int32] = []
    while let id = tokenizer.id(ofPiece: "<extra_id_\(sentinels.count)>") { sentinels.append(id) }
    guard !sentinels.isEmpty, let end = tokenizer.endOfSequence ?? tokenizer.id(ofPiece: "</s>") else {
      throw TrainingDataError(
        message: "the tokenizer has no <extra_id_0> or no end-of-sequence token, which span corruption needs")
    }
    guard let start = decoderStart ?? tokenizer.padding ?? tokenizer.id(ofPiece: "<pad>"), start >= 0,
      start < tokenizer.vocabularyCount
    else { throw TrainingDataError(message: "the tokenizer has no padding token, with which the decoder would begin") }
    self.sentinels = sentinels
    endOfSequence = end
    self.decoderStart = start
  }

  func validate(sequenceLength: Int) throws(TrainingDataError) {
    guard 0.0..<1 ~= noiseShare, meanSpan >= 1 else {
      throw TrainingDataError(
        message: "noise of \(noiseShare) in spans of \(meanSpan); expected 0 ..< 1 and at least 1")
    }
    let spans = spanCount(sequenceLength).spans
    guard spans <= sentinels.count else {
      throw TrainingDataError(
        message: "rows of \(sequenceLength) tokens have \(spans) spans; the tokenizer has \(sentinels.count) sentinels")
    }
  }

  private func spanCount(_ length: Int) -> (noise: Int, spans: Int) {
    let noise = min(max(Int((Double(length) * noiseShare).rounded(.toNearestOrEven)), 1), length - 1)
    let spans = max(Int((Double(noise) / meanSpan).rounded(.toNearestOrEven)), 1)
    return (noise, min(spans, length - noise))
  }

  /// A sequence of one token has no span that could be cut out of it: nothing but the end is to be learnt from it.
  func apply(_ tokens: [Int32], _ random: inout SeededGenerator) -> (source: [Int32], target: [Int32]) {
    let tokens = tokens.last == endOfSequence ? tokens.dropLast() : tokens[...]
    guard tokens.count > 1 else { return (tokens + [endOfSequence], [endOfSequence]) }
    let (noise, spans) = spanCount(tokens.count)
    let kept = Self.parts(tokens.count - noise, spans, &random), cut = Self.parts(noise, spans, &random)
    var source: [Int32] = [], target: [Int32] = [], rest = tokens
    for (sentinel, (kept, cut)) in zip(sentinels, zip(kept, cut)) {
      source += rest.prefix(kept) + [sentinel]
      rest = rest.dropFirst(kept)
      target += [sentinel] + rest.prefix(cut)
      rest = rest.dropFirst(cut)
    }
    return (source + [endOfSequence], target + [endOfSequence])
  }

  /// `count` as a sum of `parts` numbers above 0, each such sum as likely.
  private static func parts(_ count: Int, _ parts: Int, _ random: inout SeededGenerator) -> [Int] {
    var result: [Int] = [], length = 0, cutsLeft = parts - 1
    for place in 0..<count {
      length += 1
      let gapsLeft = count - 1 - place
      if gapsLeft > 0, random.below(gapsLeft) < cutsLeft {
        result.append(length)
        length = 0
        cutsLeft -= 1
      }
    }
    return result + [length]
  }
}
