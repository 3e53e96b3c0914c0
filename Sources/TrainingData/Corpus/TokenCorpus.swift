// Text that has been tokenized once, on the disk: opened in an instant, read from anywhere.
import Foundation
import Synchronization
import Tokenization

/// The tokens of documents, in files.
///
/// Nothing in the files is believed: the index has a SHA-256, and each block of tokens is checked (CRC-32, and that the
/// vocabulary has all ids) before a token of it is used for the first time. Files are read in place from the system's
/// cache rather than mapped, so that one that is cut off while it is in use is an error and not the end of the program.
public final class TokenCorpus: Sendable {
  /// The folder of the corpus.
  public let path: String
  public let vocabulary: Int
  /// All tokens, boundary tokens included.
  public let tokenCount: Int
  /// Bytes of all texts in UTF-8, for bits per byte.
  public let byteCount: Int
  /// Documents left out because an equal one was there.
  public let duplicateCount: Int
  /// Documents left out because there was nothing but white space in them.
  public let blankCount: Int
  /// Lines left out because they were not UTF-8 or no usable record.
  public let skippedLineCount: Int

  /// Where each document begins, and where the last ends.
  let starts: [Int]
  let hashes: [UInt64]
  let byteCounts: [Int]
  let tokenizer: Tokenizer
  private let layout: ShardLayout
  private let checksums: [UInt32]
  private let shards: [Shard]
  private let isChecked: Mutex<[Bool]>

  public var documentCount: Int { hashes.count }

  private final class Shard: Sendable {
    let path: String
    let descriptor: Int32
    let size: Int

    init(path: String, size: Int) throws(TrainingDataError) {
      self.path = path
      self.size = size
      descriptor = open(path, O_RDONLY | O_CLOEXEC)
      guard descriptor >= 0 else { throw .system(path, "cannot be read", code: errno) }
      var status = stat()
      guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG, Int(status.st_size) == size else {
        throw TrainingDataError(path: path, message: "has \(status.st_size) bytes; expected \(size)" + advice)
      }
    }

    deinit { close(descriptor) }

    func read(_ range: Range<Int>) throws(TrainingDataError) -> [UInt8] {
      var bytes = [UInt8](repeating: 0, count: range.count), done = 0
      while done < range.count {
        let got = bytes.withUnsafeMutableBytes { buffer in
          pread(descriptor, buffer.baseAddress.map { $0 + done }, range.count - done, off_t(range.lowerBound + done))
        }
        if got < 0, errno == EINTR { continue }
        guard got >= 0 else { throw .system(path, "cannot be read", code: errno) }
        guard got > 0 else { throw TrainingDataError(path: path, message: "has been cut off" + advice) }
        done += got
      }
      return bytes
    }
  }

  fileprivate static let advice = "; it has been damaged. Remove the folder, and the corpus is made again"

  /// Makes the corpus of files, or opens it if it has been made before from the same texts in the same way.
  ///
  /// The order of documents is that of the files, whatever the number of threads.
  /// - Parameters:
  ///   - cache: the folder where corpora lie, each in a folder of its own; made if it is not there.
  ///   - observer: told of the progress, by one thread at a time; what it throws ends the work and leaves nothing.
  /// - Throws: ``TrainingDataError``; whatever `observer` throws.
  public static func prepare(
    _ files: [SourceFile], tokenizer: Tokenizer, options: CorpusOptions = CorpusOptions(), cache: String,
    observer: @escaping CorpusObserver = { _ in }
  ) throws -> TokenCorpus {
    let builder = CorpusBuilder(cache: cache, tokenizer: tokenizer, options: options, observer: observer)
    return try TokenCorpus(path: try builder.folder(for: files), tokenizer: tokenizer)
  }

  /// Does the same on threads of its own while a task waits; the task's cancellation ends the work.
  /// - Throws: what ``prepare(_:tokenizer:options:cache:observer:)`` throws, and `CancellationError`.
  public static func prepareInBackground(
    _ files: [SourceFile], tokenizer: Tokenizer, options: CorpusOptions = CorpusOptions(), cache: String,
    observer: @escaping CorpusObserver = { _ in }
  ) async throws -> TokenCorpus {
    let isCancelled = Flag()
    return try await withTaskCancellationHandler {
      try await withCheckedThrowingContinuation { continuation in
        Thread.detachNewThread {
          continuation.resume(
            with: Result {
              try prepare(files, tokenizer: tokenizer, options: options, cache: cache) { progress in
                if isCancelled.value.load(ordering: .relaxed) { throw CancellationError() }
                try observer(progress)
              }
            })
        }
      }
    } onCancel: {
      isCancelled.value.store(true, ordering: .relaxed)
    }
  }

  private final class Flag: Sendable {
    let value = Atomic(false)
  }

  /// Opens a corpus.
  /// - Parameter tokenizer: the one with which it was made.
  /// - Throws: ``TrainingDataError`` that names the file, for whatever in it cannot be.
  public init(path: String, tokenizer: Tokenizer) throws {
    let manifestPath = path + "/" + CorpusManifest.name
    let manifest = try CorpusManifest(path: manifestPath)
    guard manifest.vocabulary == tokenizer.vocabularyCount else {
      throw TrainingDataError(
        path: manifestPath, field: "vocabulary",
        message: "has \(manifest.vocabulary) tokens, the tokenizer \(tokenizer.vocabularyCount)")
    }
    let index = try Shard(path: path + "/" + CorpusManifest.indexName, size: manifest.indexSize)
    let bytes = try index.read(0..<manifest.indexSize)
    guard sha256(bytes) == manifest.indexDigest else {
      throw TrainingDataError(path: index.path, message: "is not what the manifest says" + Self.advice)
    }
    let (documents, blocks) = (manifest.documents, manifest.blockCount)
    func word(_ document: Int, _ field: Int) -> UInt64 {
      bytes.withUnsafeBytes {
        UInt64(
          littleEndian: $0.loadUnaligned(
            fromByteOffset: document * CorpusManifest.entrySize + field * 8, as: UInt64.self))
      }
    }
    starts = (0..<documents).map { Int(clamping: word($0, 0)) } + [manifest.tokens]
    hashes = (0..<documents).map { word($0, 1) }
    byteCounts = (0..<documents).map { Int(clamping: word($0, 2)) }
    checksums = (0..<blocks).map { block in
      bytes.withUnsafeBytes {
        UInt32(
          littleEndian: $0.loadUnaligned(
            fromByteOffset: documents * CorpusManifest.entrySize + block * 4, as: UInt32.self))
      }
    }
    let isOrdered = starts.first == 0 && zip(starts, starts.dropFirst()).allSatisfy { $0 < $1 }
    let sum = byteCounts.reduce(0) { min($0, manifest.bytes + 1) + min($1, manifest.bytes + 1) }
    guard isOrdered, sum == manifest.bytes else {
      throw TrainingDataError(
        path: index.path, message: "the places of documents contradict each other or the manifest" + Self.advice)
    }
    shards = try manifest.shardSizes.enumerated().map { shard, size in
      try Shard(path: path + "/" + ShardLayout.name(ofShard: shard), size: size)
    }
    self.path = path
    self.tokenizer = tokenizer
    vocabulary = manifest.vocabulary
    tokenCount = manifest.tokens
    byteCount = manifest.bytes
    duplicateCount = manifest.duplicates
    blankCount = manifest.blanks
    skippedLineCount = manifest.skippedLines
    layout = manifest.layout
    isChecked = Mutex(Array(repeating: false, count: blocks))
  }

  /// Tokens of the whole stream, documents end to end in their order.
  /// - Throws: ``TrainingDataError`` for a range that is not there, and for damaged files.
  public func tokens(_ range: Range<Int>) throws(TrainingDataError) -> [Int32] {
    guard range.lowerBound >= 0, range.upperBound <= tokenCount else {
      throw TrainingDataError(path: path, message: "tokens \(range) were asked for; there are \(tokenCount)")
    }
    var result: [Int32] = []
    result.reserveCapacity(range.count)
    var rest = range.lowerBound * layout.width..<range.upperBound * layout.width
    if !rest.isEmpty {
      for block in rest.lowerBound / layout.blockSize...(rest.upperBound - 1) / layout.blockSize { try check(block) }
    }
    while !rest.isEmpty {
      let (shard, offset) = rest.lowerBound.quotientAndRemainder(dividingBy: layout.shardSize)
      let end = min(offset + rest.count, layout.shardSize)
      append(try shards[shard].read(offset..<end), to: &result)
      rest = rest.lowerBound + (end - offset)..<rest.upperBound
    }
    return result
  }

  private func append(_ bytes: [UInt8], to tokens: inout [Int32]) {
    bytes.withUnsafeBytes { bytes in
      for offset in stride(from: 0, to: bytes.count, by: layout.width) {
        tokens.append(
          layout.width == 2
            ? Int32(UInt16(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt16.self)))
            : Int32(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: Int32.self)))
      }
    }
  }

  private func check(_ block: Int) throws(TrainingDataError) {
    guard !isChecked.withLock({ $0[block] }) else { return }
    let (number, place) = block.quotientAndRemainder(dividingBy: layout.blocksPerShard)
    let shard = shards[number], start = place * layout.blockSize
    let bytes = try shard.read(start..<min(start + layout.blockSize, shard.size))
    guard checksum(of: bytes[...]) == checksums[block] else {
      throw TrainingDataError(
        path: shard.path, message: "the checksum of bytes \(start) ..< \(start + bytes.count) is wrong" + Self.advice)
    }
    var tokens: [Int32] = []
    append(bytes, to: &tokens)
    if let wrong = tokens.first(where: { $0 < 0 || Int($0) >= vocabulary }) {
      throw TrainingDataError(path: shard.path, message: "has token \(wrong), not in 0 ..< \(vocabulary)" + Self.advice)
    }
    isChecked.withLock { $0[block] = true }
  }
}

private let advice = TokenCorpus.advice
