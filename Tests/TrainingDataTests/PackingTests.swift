// Rows: every token of an epoch once, no sequence across documents, and any batch without those before it.
import Foundation
import TestSupport
import Testing
import Tokenization
import TrainingData

@Suite struct PackingTests {
  private let folder: TemporaryFolder
  private let corpus: TokenCorpus
  private let all: [Int32]
  private let documents: [[Int32]]

  init() throws {
    folder = try TemporaryFolder()
    // Every document has an end of its own, so no two have the same tokens.
    try folder.write(jsonLines(TrainingDataTests.documents(250, words: 20)), to: "texts.jsonl")
    corpus = try TokenCorpus.prepare(
      folder.sources("texts.jsonl"), tokenizer: chatTokenizer(), options: smallSizes(), cache: folder.path("cache"))
    all = try corpus.tokens(0..<corpus.tokenCount)
    let end = try #require(chatTokenizer().endOfSequence)
    documents = all.split(separator: end, omittingEmptySubsequences: false).dropLast().map { Array($0) + [end] }
  }

  private func batches(
    length: Int = 64, rows: Int = 3, seed: UInt64 = 1, validation: Double = 0,
    packing: PackedBatches.Packing = .documents
  ) throws -> PackedBatches {
    try PackedBatches(
      corpus.parts(validationFraction: validation).training, sequenceLength: length, rowsPerBatch: rows, seed: seed,
      packing: packing)
  }

  private func sequences(_ batch: TrainingBatch) -> [(tokens: [Int32], targets: [Int32])] {
    var result: [(tokens: [Int32], targets: [Int32])] = [], start = 0
    for length in batch.lengths {
      result.append((Array(batch.tokens[start..<start + length]), Array(batch.targets[start..<start + length])))
      start += length
    }
    return result
  }

  @Test(arguments: [1, 7, 64, 1000, 100_000]) func anEpochHasEveryTokenOnce(length: Int) throws {
    let batches = try batches(length: length)
    for epoch in [0, 1, 5] {
      var tokens: [Int32] = [], learnt = 0, lastRow = 0
      for index in 0..<batches.batchesPerEpoch {
        let batch = try batches.batch(at: epoch * batches.batchesPerEpoch + index)
        #expect(batch.lengths.reduce(0, +) == batch.tokens.count && batch.targets.count == batch.tokens.count)
        if batch.tokens.count % length != 0 || batch.tokens.count < 3 * length { lastRow += 1 }
        tokens += batch.tokens
        learnt += batch.learntCount
      }
      #expect(tokens.sorted() == all.sorted())
      // Of every document all but the first token are the target of some token.
      #expect(learnt == all.count - documents.count)
      #expect(lastRow <= 2)
    }
  }

  @Test func sequencesArePiecesOfDocumentsWithTheNextTokenAsTarget() throws {
    let batches = try batches(length: 50, rows: 4)
    var seen: [Int: [Range<Int>]] = [:]
    let places = Dictionary(uniqueKeysWithValues: documents.enumerated().map { ($1, $0) })
    #expect(places.count == documents.count)
    for index in 0..<batches.batchesPerEpoch {
      for (tokens, targets) in sequences(try batches.batch(at: index)) {
        #expect(Array(targets.dropLast()) == Array(tokens.dropFirst()))
        // Where the piece lies: its document is the only one that holds it, or one of several that hold it alike.
        let whole = targets.last == TrainingBatch.ignored ? tokens : tokens + targets.suffix(1)
        let holder = documents.indices.first { document in
          documents[document].indices.contains { start in
            documents[document][start...].starts(with: whole)
              && (targets.last != -1 || start + whole.count == documents[document].count)
          }
        }
        let document = try #require(holder)
        seen[document, default: []].append(0..<tokens.count)
      }
    }
    #expect(seen.count > documents.count / 2)
  }

  @Test func batchesAreTheSameWhereverOneBegins() throws {
    let first = try batches(), count = first.batchesPerEpoch
    let expected = try (0..<3 * count).map { try first.batch(at: $0) }
    for start in [0, 1, count - 1, count, 2 * count + 3, 3 * count - 1] {
      let resumed = try batches()
      for index in start..<min(start + 3, 3 * count) { #expect(try resumed.batch(at: index) == expected[index]) }
    }
    let backwards = try batches()
    for index in stride(from: 3 * count - 1, through: 0, by: -7) {
      #expect(try backwards.batch(at: index) == expected[index])
    }
    #expect(expected[0] != expected[count] && expected[0] != expected[2 * count])
    #expect(try batches(seed: 2).batch(at: 0) != expected[0])
    #expect(throws: TrainingDataError.self) { try first.batch(at: -1) }
  }

  @Test func batchesCanBeAskedForByManyThreads() async throws {
    let batches = try batches(), count = 2 * batches.batchesPerEpoch
    let expected = try (0..<count).map { try self.batches().batch(at: $0) }
    try await withThrowingTaskGroup(of: (Int, TrainingBatch).self) { group in
      for index in 0..<count { group.addTask { (index, try batches.batch(at: index)) } }
      for try await (index, batch) in group { #expect(batch == expected[index]) }
    }
  }

  @Test func cropsBeginAnywhereAndCrossDocuments() throws {
    let batches = try batches(length: 80, rows: 5, packing: .crops)
    var starts: Set<Int> = []
    for index in 0..<30 {
      let batch = try batches.batch(at: index)
      #expect(batch.lengths.allSatisfy { $0 == 80 })
      #expect(batch.learntCount == batch.tokens.count)
      for (tokens, targets) in sequences(batch) {
        let row = tokens + targets.suffix(1)
        #expect(Array(targets.dropLast()) == Array(tokens.dropFirst()))
        let start = try #require(all.indices.first { all[$0...].starts(with: row) })
        starts.insert(start)
      }
      #expect(try self.batches(length: 80, rows: 5, packing: .crops).batch(at: index) == batch)
    }
    #expect(starts.count > 100)
    #expect(starts.contains { $0 < all.count / 5 } && starts.contains { $0 > all.count * 4 / 5 })
    let short = try self.batches(length: all.count - 1, rows: 1, packing: .crops)
    #expect(try short.batch(at: 3).tokens == Array(all.dropLast()))
    #expect(throws: TrainingDataError.self) { try self.batches(length: all.count, packing: .crops) }
  }

  @Test func documentsAreDividedByHashSoThatOthersChangeNothing() throws {
    let parts = try corpus.parts(validationFraction: 0.2)
    #expect(parts.training.documentCount + parts.validation.documentCount == 250)
    #expect(parts.training.tokenCount + parts.validation.tokenCount == corpus.tokenCount)
    #expect(parts.training.byteCount + parts.validation.byteCount == corpus.byteCount)
    #expect(30...70 ~= parts.validation.documentCount)
    func texts(_ part: CorpusPart) throws -> Set<[Int32]> {
      let batches = try PackedBatches(part, sequenceLength: 100_000, rowsPerBatch: 1, seed: 1)
      return Set(sequences(try batches.batch(at: 0)).map(\.tokens))
    }
    let others = TrainingDataTests.documents(300, seed: 99)
    try folder.write(jsonLines(TrainingDataTests.documents(250, words: 20) + others), to: "more.jsonl")
    let grown = try TokenCorpus.prepare(
      folder.sources("more.jsonl"), tokenizer: chatTokenizer(), options: smallSizes(), cache: folder.path("cache"))
    let more = try grown.parts(validationFraction: 0.2)
    #expect(try texts(parts.validation).isSubset(of: texts(more.validation)))
    #expect(try texts(parts.training).isSubset(of: texts(more.training)))
    #expect(try texts(parts.training).isDisjoint(with: texts(parts.validation)))
    // A larger share holds what the smaller held.
    #expect(try texts(parts.validation).isSubset(of: texts(corpus.parts(validationFraction: 0.4).validation)))
  }

  @Test func ofFewDocumentsTheLastShareOfEachIsForValidation() throws {
    let texts = TrainingDataTests.documents(5, words: 200), tokenizer = try chatTokenizer()
    try folder.write(jsonLines(texts), to: "few.jsonl")
    let few = try TokenCorpus.prepare(folder.sources("few.jsonl"), tokenizer: tokenizer, cache: folder.path("cache"))
    let parts = try few.parts(validationFraction: 0.1)
    #expect(parts.validation.documentCount == 5)
    #expect(parts.training.tokenCount + parts.validation.tokenCount == few.tokenCount)
    #expect(parts.training.byteCount + parts.validation.byteCount == few.byteCount)
    #expect(abs(Double(parts.validation.tokenCount) / Double(few.tokenCount) - 0.1) < 0.01)
    let training = try PackedBatches(parts.training, sequenceLength: 100_000, rowsPerBatch: 1, seed: 1)
    let validation = try PackedBatches(parts.validation, sequenceLength: 100_000, rowsPerBatch: 1, seed: 1)
    // In bytes, since a document may be divided within a character.
    func bytes(_ batch: TrainingBatch) -> [[UInt8]] {
      sequences(batch).map { $0.tokens.filter { $0 != tokenizer.endOfSequence }.flatMap(tokenizer.bytes) }
    }
    let begins = try bytes(training.batch(at: 0)), ends = try bytes(validation.batch(at: 0))
    for text in texts {
      #expect(begins.contains { begin in ends.contains { begin + $0 == Array(text.utf8) } })
    }
    #expect(ends.reduce(0) { $0 + $1.count } == parts.validation.byteCount)
    // No training row looks into what is for validation: the last token of each part has nothing to be followed by.
    #expect(sequences(try training.batch(at: 0)).allSatisfy { $0.targets.last == TrainingBatch.ignored })
    for fraction in [-0.1, 1, 0.0001, .nan] {
      #expect(throws: TrainingDataError.self) { try few.parts(validationFraction: fraction) }
    }
    #expect(try few.parts(validationFraction: 0).validation.tokenCount == 0)
  }

  @Test func lengthsThatCannotBeAreErrors() throws {
    #expect(throws: TrainingDataError.self) { try batches(length: 0) }
    #expect(throws: TrainingDataError.self) { try batches(rows: 0) }
    #expect(throws: TrainingDataError.self) { try batches(length: .max, rows: .max) }
  }
}
