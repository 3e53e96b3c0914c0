// A corpus on the disk: used again when it can be, never when it is not whole, refused when it was damaged.
import Foundation
import JSON
import Synchronization
import TestSupport
import Testing
import TrainingData

@Suite struct CorpusCacheTests {
  private struct Stop: Error {}

  private let folder: TemporaryFolder
  private let tokenizer = Result { try chatTokenizer() }

  init() throws {
    folder = try TemporaryFolder()
    try folder.write(jsonLines(documents(200)), to: "texts.jsonl")
  }

  private func prepare(
    _ options: CorpusOptions = smallSizes(threads: 2), observer: @escaping CorpusObserver = { _ in }
  ) throws -> TokenCorpus {
    try TokenCorpus.prepare(
      folder.sources("texts.jsonl"), tokenizer: tokenizer.get(), options: options, cache: folder.path("cache"),
      observer: observer)
  }

  private func modified(_ path: String) throws -> Date? {
    try FileManager.default.attributesOfItem(atPath: path)[.modificationDate] as? Date
  }

  @Test func aCorpusIsMadeOnceForTheSameTextTokenizerAndOptions() throws {
    let first = try prepare()
    let made = try modified(first.path + "/manifest.json")
    let again = try prepare(smallSizes(threads: 1))
    #expect(again.path == first.path)
    #expect(try modified(again.path + "/manifest.json") == made)
    var options = smallSizes()
    options.deduplicates = true
    #expect(try prepare(options).path != first.path)
    let other = try TokenCorpus.prepare(
      folder.sources("texts.jsonl"), tokenizer: smallTokenizer("gpt2"), options: smallSizes(),
      cache: folder.path("cache"))
    #expect(other.path != first.path)
    // Of the same size, and perhaps within the resolution of the file system's clock: what counts are the bytes.
    try folder.write(jsonLines(documents(200, seed: 8)), to: "texts.jsonl")
    #expect(try prepare().path != first.path)
  }

  @Test func progressRisesToTheEndAndAnObserverCanStop() throws {
    let seen = Mutex<[CorpusProgress]>([])
    _ = try prepare { progress in seen.withLock { $0.append(progress) } }
    let all = seen.withLock { $0 }
    #expect(all.count > 100)
    #expect(zip(all, all.dropFirst()).allSatisfy { $0.bytes <= $1.bytes && $0.tokens <= $1.tokens })
    #expect(all.last?.bytes == all.last?.totalBytes)
    #expect(all.last?.documents == 200)
  }

  @Test func whatIsInterruptedLeavesNothingThatCouldBeMistaken() throws {
    #expect(throws: Stop.self) {
      try prepare { if $0.documents > 100 { throw Stop() } }
    }
    let left = try FileManager.default.contentsOfDirectory(atPath: folder.path("cache"))
    #expect(left.allSatisfy { $0.hasSuffix(".lock") })
    // A process that was killed leaves the folder that it wrote aside.
    let fresh = try prepare()
    let expected = try contents(of: fresh.path)
    let aside = fresh.path + ".partial"
    try FileManager.default.moveItem(atPath: fresh.path, toPath: aside)
    try FileManager.default.removeItem(atPath: aside + "/tokens-00003.bin")
    let again = try prepare()
    #expect(try contents(of: again.path) == expected)
    #expect(!FileManager.default.fileExists(atPath: aside))
  }

  @Test func aCancelledTaskStopsTheWork() async throws {
    let files = try folder.sources("texts.jsonl"), tokenizer = try tokenizer.get(), cache = folder.path("cache")
    let (begun, hasBegun) = AsyncStream.makeStream(of: Void.self)
    let task = Task {
      try await TokenCorpus.prepareInBackground(files, tokenizer: tokenizer, options: smallSizes(), cache: cache) { _ in
        hasBegun.yield()
        usleep(2000)
      }
    }
    for await _ in begun { break }
    task.cancel()
    await #expect(throws: CancellationError.self) { try await task.value }
    let left = try FileManager.default.contentsOfDirectory(atPath: cache)
    #expect(left.allSatisfy { $0.hasSuffix(".lock") })
    let corpus = try await TokenCorpus.prepareInBackground(files, tokenizer: tokenizer, cache: cache)
    #expect(corpus.documentCount == 200)
  }

  @Test func damagedShardsAreErrors() throws {
    let corpus = try prepare(), shard = corpus.path + "/tokens-00002.bin"
    let tokenizer = try tokenizer.get()
    let whole = try Data(contentsOf: URL(fileURLWithPath: shard))
    func opening(_ change: (inout Data) -> Void) throws -> TokenCorpus {
      var data = whole
      change(&data)
      try data.write(to: URL(fileURLWithPath: shard))
      return try TokenCorpus(path: corpus.path, tokenizer: tokenizer)
    }
    #expect(throws: TrainingDataError.self) { try opening { $0.removeLast() } }
    #expect(throws: TrainingDataError.self) { try opening { $0.append(0) } }
    let flipped = try opening { $0[70] ^= 1 }
    // What lies before is whole, and can be used.
    let start = 2 * 640
    _ = try flipped.tokens(0..<start + 32)
    let error = #expect(throws: TrainingDataError.self) { try flipped.tokens(start + 10..<start + 40) }
    #expect(error?.path == shard)
    try FileManager.default.removeItem(atPath: shard)
    #expect(throws: TrainingDataError.self) { try TokenCorpus(path: corpus.path, tokenizer: tokenizer) }
  }

  @Test func aShardCutOffWhileOpenIsAnErrorAndNoCrash() throws {
    let corpus = try prepare()
    let file = try FileHandle(forWritingTo: URL(fileURLWithPath: corpus.path + "/tokens-00000.bin"))
    try file.truncate(atOffset: 60)
    #expect(throws: TrainingDataError.self) { try corpus.tokens(0..<96) }
  }

  @Test func tokensThatTheVocabularyLacksAreErrors() throws {
    let corpus = try prepare(), tokenizer = try tokenizer.get()
    // A hostile corpus would have right checksums, so the shard, its checksum and the manifest are all written anew.
    let shard = corpus.path + "/tokens-00000.bin", index = corpus.path + "/index.bin"
    var data = try Data(contentsOf: URL(fileURLWithPath: shard))
    data[1] = 0xFF
    try data.write(to: URL(fileURLWithPath: shard))
    var entries = try Data(contentsOf: URL(fileURLWithPath: index))
    let checksum = checksum(of: Array(data.prefix(64))[...])
    withUnsafeBytes(of: checksum.littleEndian) {
      entries.replaceSubrange(corpus.documentCount * 24..<corpus.documentCount * 24 + 4, with: $0)
    }
    try entries.write(to: URL(fileURLWithPath: index))
    try rewriteManifest(corpus.path) { text in
      text.replacing(#/"index_sha256": "[0-9a-f]+"/#, with: "\"index_sha256\": \"\(sha256(Array(entries)))\"")
    }
    let opened = try TokenCorpus(path: corpus.path, tokenizer: tokenizer)
    let error = #expect(throws: TrainingDataError.self) { try opened.tokens(5..<6) }
    #expect(error?.message.contains("not in 0 ..< 420") == true)
  }

  private func rewriteManifest(_ path: String, _ change: (String) -> String) throws {
    let url = URL(fileURLWithPath: path + "/manifest.json")
    try Data(change(String(contentsOf: url, encoding: .utf8)).utf8).write(to: url)
  }

  @Test func hostileManifestsAndIndexesAreErrors() throws {
    let corpus = try prepare(), tokenizer = try tokenizer.get()
    let manifest = try String(contentsOfFile: corpus.path + "/manifest.json", encoding: .utf8)
    let changes: [(Regex<Substring>, String)] = [
      (#/"tokens": \d+/#, "\"tokens\": 9223372036854775807"), (#/"tokens": \d+/#, "\"tokens\": 281474976710656"),
      (#/"tokens": \d+/#, "\"tokens\": 0"), (#/"documents": \d+/#, "\"documents\": 100000000"),
      (#/"documents": \d+/#, "\"documents\": -1"), (#/"block_bytes": \d+/#, "\"block_bytes\": 0"),
      (#/"block_bytes": \d+/#, "\"block_bytes\": 6"), (#/"token_bytes": \d+/#, "\"token_bytes\": 3"),
      (#/"blocks_per_shard": \d+/#, "\"blocks_per_shard\": 0"), (#/"bytes": \d+/#, "\"bytes\": 5"),
      (#/"vocabulary": \d+/#, "\"vocabulary\": 419"), (#/"format": "[a-z-]+"/#, "\"format\": \"other\""),
      (#/"index_sha256": "[0-9a-f]+"/#, "\"index_sha256\": \"00\""), (#/"version": 1/#, "\"version\": 2"),
      (#/\}\s*$/#, ""),
    ]
    for (pattern, replacement) in changes {
      try rewriteManifest(corpus.path) { _ in manifest.replacing(pattern, with: replacement, maxReplacements: 1) }
      #expect(throws: TrainingDataError.self, "\(replacement)") {
        try TokenCorpus(path: corpus.path, tokenizer: tokenizer)
      }
    }
    // An index with the right hash, in which documents lie in the wrong order.
    var entries = try Data(contentsOf: URL(fileURLWithPath: corpus.path + "/index.bin"))
    entries[24 * 5 + 6] = 0xFF
    try entries.write(to: URL(fileURLWithPath: corpus.path + "/index.bin"))
    try rewriteManifest(corpus.path) { _ in
      manifest.replacing(#/"index_sha256": "[0-9a-f]+"/#, with: "\"index_sha256\": \"\(sha256(Array(entries)))\"")
    }
    let error = #expect(throws: TrainingDataError.self) { try TokenCorpus(path: corpus.path, tokenizer: tokenizer) }
    #expect(error?.message.contains("contradict") == true)
  }
}
