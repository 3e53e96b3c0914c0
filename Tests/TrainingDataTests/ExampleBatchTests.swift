// Fine-tuning batches: every example once an epoch, lengths alike, any batch without those before it.
import Foundation
import JSON
import TestSupport
import Testing
import TrainingData

@Suite struct ExampleBatchTests {
  private func set(_ count: Int) throws -> ExampleSet<TrainingBatch> {
    let folder = try TemporaryFolder()
    let records = documents(count, words: 40).map { #"{"prompt":"Q","completion":\#(JSONValue.string($0).text())}"# }
    try folder.write(records.joined(separator: "\n"), to: "records.jsonl")
    return try ExampleSet(
      folder.sources("records.jsonl"),
      encoder: ExampleEncoder(tokenizer: chatTokenizer(), template: nil, maximumLength: 1000))
  }

  @Test(arguments: [nil, 150] as [Int?]) func anEpochHasEveryExampleOnce(budget: Int?) throws {
    let set = try set(103)
    let batches = try ExampleBatches(set, examplesPerBatch: 4, tokenBudget: budget, batchesPerWindow: 5, seed: 1)
    if budget == nil { #expect(batches.batchesPerEpoch == 26) }
    var epochs: Set<[[Int]]> = []
    for epoch in 0..<3 {
      let all = try (0..<batches.batchesPerEpoch).map {
        try batches.examples(ofBatch: epoch * batches.batchesPerEpoch + $0)
      }
      #expect(all.flatMap(\.self).sorted() == Array(0..<103))
      #expect(all.allSatisfy { 1...4 ~= $0.count })
      for batch in all where batch.count > 1 {
        #expect(batch.reduce(0) { $0 + set.examples[$1].tokens.count } <= budget ?? .max)
      }
      epochs.insert(all)
    }
    #expect(epochs.count == 3)
  }

  @Test func lengthsInABatchAreAlike() throws {
    let set = try set(400)
    func spread(_ window: Int) throws -> Int {
      let batches = try ExampleBatches(set, examplesPerBatch: 8, batchesPerWindow: window, seed: 1)
      return try (0..<batches.batchesPerEpoch).reduce(0) { sum, index in
        let lengths = try batches.batch(at: index).lengths
        return sum + (lengths.max() ?? 0) - (lengths.min() ?? 0)
      }
    }
    #expect(try spread(50) * 8 < spread(1))
  }

  @Test func batchesAreTheSameWhereverOneBegins() throws {
    let set = try set(50)
    func batches(seed: UInt64 = 6) throws -> ExampleBatches<TrainingBatch> {
      try ExampleBatches(set, examplesPerBatch: 3, batchesPerWindow: 4, seed: seed)
    }
    let expected = try (0..<60).map { try batches().batch(at: $0) }
    for index in [59, 0, 17, 34, 16, 33] { #expect(try batches().batch(at: index) == expected[index]) }
    #expect(try batches(seed: 7).batch(at: 0) != expected[0])
    #expect(throws: TrainingDataError.self) { try batches().batch(at: -1) }
    #expect(throws: TrainingDataError.self) { try ExampleBatches(set, examplesPerBatch: 0, seed: 1) }
    #expect(throws: TrainingDataError.self) { try ExampleBatches(set, examplesPerBatch: 1, tokenBudget: 0, seed: 1) }
  }

  @Test func setsAreDividedByChanceThatCanBeRepeated() throws {
    let set = try set(60)
    let parts = try set.split(validationFraction: 0.1, seed: 3), again = try set.split(validationFraction: 0.1, seed: 3)
    #expect(parts.validation.examples.count == 6 && parts.training.examples.count == 54)
    #expect(parts.validation.examples == again.validation.examples)
    #expect(try set.split(validationFraction: 0.1, seed: 4).validation.examples != parts.validation.examples)
    let tokens = (parts.training.examples + parts.validation.examples).map(\.tokens)
    #expect(Set(tokens) == Set(set.examples.map(\.tokens)))
    #expect(try set.split(validationFraction: 0.001, seed: 3).validation.examples.count == 1)
    #expect(try set.split(validationFraction: 0, seed: 3).validation.examples.isEmpty)
    #expect(throws: TrainingDataError.self) { try set.split(validationFraction: 1, seed: 3) }
  }
}
