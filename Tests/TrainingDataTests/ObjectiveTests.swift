// Questions made of text: in the published proportions, and with answers that give the text back.
import Foundation
import TestSupport
import Testing
import Tokenization
import TrainingData

@Suite struct ObjectiveTests {
  private let folder: TemporaryFolder

  init() throws {
    folder = try TemporaryFolder()
    try folder.write(jsonLines(documents(1500, words: 60)), to: "texts.jsonl")
  }

  private func batches(
    _ tokenizer: Tokenizer, _ objective: TrainingObjective, length: Int = 128, seed: UInt64 = 3
  ) throws -> PackedBatches {
    let corpus = try TokenCorpus.prepare(
      folder.sources("texts.jsonl"), tokenizer: tokenizer, cache: folder.path("cache"))
    return try PackedBatches(
      corpus.parts(validationFraction: 0).training, sequenceLength: length, rowsPerBatch: 8, seed: seed,
      objective: objective)
  }

  @Test func maskingHasTheProportionsOfBERT() throws {
    let tokenizer = try smallTokenizer("bert-uncased"), masking = try MaskedTokens(tokenizer)
    let masked = try batches(tokenizer, .maskedTokens(masking)), plain = try batches(tokenizer, .nextToken)
    var ordinary = 0, chosen = 0, asMask = 0, kept = 0, replaced: [Int32: Int] = [:]
    for index in 0..<masked.batchesPerEpoch {
      let batch = try masked.batch(at: index), original = try plain.batch(at: index)
      #expect(batch.lengths == original.lengths)
      for (place, token) in original.tokens.enumerated() {
        let isSpecial = tokenizer.kinds[Int(token)] != .normal
        if !isSpecial { ordinary += 1 }
        guard batch.targets[place] != TrainingBatch.ignored else {
          #expect(batch.tokens[place] == token)
          continue
        }
        #expect(!isSpecial && batch.targets[place] == token)
        chosen += 1
        switch batch.tokens[place] {
        case masking.mask: asMask += 1
        case token: kept += 1
        case let other: replaced[other, default: 0] += 1
        }
      }
    }
    #expect(ordinary > 50_000)
    func share(_ part: Int, _ whole: Int) -> Double { Double(part) / Double(whole) }
    #expect(abs(share(chosen, ordinary) - 0.15) < 0.01)
    #expect(abs(share(asMask, chosen) - 0.8) < 0.02)
    #expect(abs(share(kept, chosen) - 0.1) < 0.02)
    #expect(replaced.keys.allSatisfy { tokenizer.kinds[Int($0)] == .normal })
    #expect(replaced.count > 200)
  }

  @Test func masksChangeWithTheEpochAndNotWithThePast() throws {
    let tokenizer = try smallTokenizer("bert-uncased"), masking = try MaskedTokens(tokenizer)
    let first = try batches(tokenizer, .maskedTokens(masking)), second = try batches(tokenizer, .maskedTokens(masking))
    _ = try first.batch(at: 0)
    #expect(try first.batch(at: 40) == second.batch(at: 40))
    #expect(try first.batch(at: 0) == second.batch(at: 0))
    // The same rows in every epoch, as there is but one.
    let corpus = try TokenCorpus.prepare(
      folder.sources("texts.jsonl"), tokenizer: tokenizer, cache: folder.path("cache"))
    let one = try PackedBatches(
      corpus.parts(validationFraction: 0).training, sequenceLength: 1 << 20, rowsPerBatch: 1, seed: 1,
      objective: .maskedTokens(masking))
    #expect(try one.batch(at: 0).targets.count { $0 >= 0 } != one.batch(at: 1).targets.count { $0 >= 0 })
  }

  @Test func spansAreThoseOfT5AndGiveTheTextBack() throws {
    let tokenizer = try sentinelTokenizer(100), spans = try SpanCorruption(tokenizer)
    #expect(spans.sentinels.count == 100)
    let corrupted = try batches(tokenizer, .spanCorruption(spans)), plain = try batches(tokenizer, .nextToken)
    var tokens = 0, noise = 0, spanCount = 0, lengths: Set<Int> = []
    for index in 0..<corrupted.batchesPerEpoch {
      let batch = try corrupted.batch(at: index), original = try plain.batch(at: index)
      let source = try #require(batch.source)
      #expect(batch.lengths.count == original.lengths.count && source.lengths.count == original.lengths.count)
      var (at, from, start) = (0, 0, 0)
      for number in original.lengths.indices {
        var text = Array(original.tokens[at..<at + original.lengths[number]])
        let read = Array(source.tokens[from..<from + source.lengths[number]])
        let target = Array(batch.targets[start..<start + batch.lengths[number]])
        let input = Array(batch.tokens[start..<start + batch.lengths[number]])
        at += original.lengths[number]
        from += source.lengths[number]
        start += batch.lengths[number]
        #expect(read.last == spans.endOfSequence && target.last == spans.endOfSequence)
        #expect(input == [spans.decoderStart] + target.dropLast())
        if text.last == spans.endOfSequence { text.removeLast() }
        // Each sentinel of the source gives place to what follows it in the target.
        var answers: [Int32: [Int32]] = [:], current: Int32?
        for token in target.dropLast() {
          if spans.sentinels.contains(token) {
            current = token
          } else {
            answers[current ?? -1, default: []].append(token)
          }
        }
        let restored = read.dropLast().flatMap { spans.sentinels.contains($0) ? answers[$0] ?? [] : [$0] }
        #expect(restored == text)
        let used = read.filter { spans.sentinels.contains($0) }
        #expect(used == Array(spans.sentinels.prefix(used.count)))
        #expect(answers.values.allSatisfy { !$0.isEmpty } && answers.count == used.count)
        if text.count > 1 {
          #expect(answers.values.reduce(0) { $0 + $1.count }
            == min(max(Int((Double(text.count) * 0.15).rounded(.toNearestOrEven)), 1), text.count - 1))
          // Text comes first, and the last span ends the text.
          #expect(!spans.sentinels.contains(read[0]) && spans.sentinels.contains(read[read.count - 2]))
        }
        tokens += text.count
        noise += answers.values.reduce(0) { $0 + $1.count }
        spanCount += answers.count
        lengths.formUnion(answers.values.map(\.count))
      }
    }
    #expect(abs(Double(noise) / Double(tokens) - 0.15) < 0.01)
    #expect(abs(Double(noise) / Double(spanCount) - 3) < 0.4)
    #expect(lengths.isSuperset(of: 1...8))
  }

  @Test func tokenizersThatLackATokenAreRefused() throws {
    #expect(throws: TrainingDataError.self) { try MaskedTokens(smallTokenizer("gpt2")) }
    #expect(throws: TrainingDataError.self) { try MaskedTokens(smallTokenizer("gpt2"), mask: 420) }
    #expect(throws: TrainingDataError.self) { try SpanCorruption(smallTokenizer("gpt2")) }
    let few = try sentinelTokenizer(5)
    #expect(throws: TrainingDataError.self) {
      try batches(few, .spanCorruption(SpanCorruption(few)), length: 512)
    }
    _ = try batches(few, .spanCorruption(SpanCorruption(few)), length: 100)
  }
}
