// Makes a corpus aside, in a folder that takes its name only when everything in it is whole.
import Crypto
import Foundation
import Tokenization

/// Makes a corpus in a cache folder, or finds the one that is there.
struct CorpusBuilder {
  let cache: String
  let tokenizer: Tokenizer
  let options: CorpusOptions
  let observer: CorpusObserver

  /// - Returns: the corpus's folder.
  func folder(for files: [SourceFile]) throws -> String {
    try options.validate()
    let boundary = try options.boundary(of: tokenizer)
    do {
      try FileManager.default.createDirectory(atPath: cache, withIntermediateDirectories: true)
    } catch {
      throw TrainingDataError(path: cache, message: "the folder cannot be made: \(error.localizedDescription)")
    }
    let progress = CorpusProgress(bytes: 0, totalBytes: files.reduce(0) { $0 + $1.byteCount }, documents: 0, tokens: 0)
    let sources = try SourceDigests(cache: cache).sources(files) { try observer(progress) }
    let fingerprint = CorpusManifest.fingerprint(
      sources, tokenizer: tokenizer.fingerprint, options, boundary: boundary)
    let place = cache + "/" + fingerprint
    func isThere() -> Bool { FileManager.default.fileExists(atPath: place) }
    if isThere() { return place }
    // Two programs that want the same corpus make it once.
    let lock = try FolderLock(path: place + ".lock") { try observer(progress) }
    defer { lock.unlock() }
    if isThere() { return place }
    let aside = place + ".partial"
    try? FileManager.default.removeItem(atPath: aside)
    do {
      try FileManager.default.createDirectory(atPath: aside, withIntermediateDirectories: false)
      try build(files, sources, fingerprint, boundary, in: aside, progress)
      guard rename(aside, place) == 0 else { throw TrainingDataError.system(place, "cannot be made", code: errno) }
    } catch {
      try? FileManager.default.removeItem(atPath: aside)
      throw error
    }
    return place
  }

  private func build(
    _ files: [SourceFile], _ sources: [CorpusManifest.Source], _ fingerprint: String,
    _ boundary: (before: [Int32], after: [Int32]), in folder: String, _ begin: CorpusProgress
  ) throws {
    let layout = ShardLayout(vocabulary: tokenizer.vocabularyCount, options: options)
    var documents = DocumentWriter(
      shards: ShardWriter(folder: folder, layout: layout), deduplicates: options.deduplicates)
    let encoder = PieceEncoder(tokenizer: tokenizer, texts: PieceTexts(options), boundary: boundary)
    var reader = PieceReader(files, options)
    var progress = begin, skipped = 0
    let queue = PieceQueue<TextPiece, (position: Int, result: PieceEncoder.Result)>(
      window: 4 * options.threads,
      next: { try reader.next() },
      write: { output in
        for part in output.result.parts { try documents.add(part) }
        skipped += output.result.skipped.lines
        progress.bytes = output.position
        progress.documents = documents.entries.count / CorpusManifest.entrySize
        progress.tokens = documents.tokenCount
        try observer(progress)
      })
    try queue.run(threads: options.threads) { piece in (piece.position, try encoder.encode(piece)) }
    let count = documents.entries.count / CorpusManifest.entrySize
    guard count > 0 else {
      throw TrainingDataError(path: files.first?.path, message: "there is no text in the \(files.count) files")
    }
    let (index, tokens) = try documents.finish()
    let manifest = CorpusManifest(
      fingerprint: fingerprint, sources: sources, vocabulary: tokenizer.vocabularyCount, layout: layout,
      tokens: tokens, documents: count, bytes: documents.byteCount, duplicates: documents.duplicates,
      blanks: documents.blanks, skippedLines: skipped, indexDigest: sha256(index))
    try write(index, to: folder + "/" + CorpusManifest.indexName)
    try write(Array((manifest.json.text(indent: 2) + "\n").utf8), to: folder + "/" + CorpusManifest.name)
  }

  private func write(_ bytes: [UInt8], to path: String) throws(TrainingDataError) {
    let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o666)
    guard descriptor >= 0 else { throw .system(path, "cannot be written", code: errno) }
    defer { close(descriptor) }
    var done = 0
    while done < bytes.count {
      let wrote = bytes.withUnsafeBytes { bytes in
        Foundation.write(descriptor, bytes.baseAddress.map { $0 + done }, bytes.count - done)
      }
      if wrote < 0, errno == EINTR { continue }
      guard wrote > 0 else { throw .system(path, "cannot be written", code: errno) }
      done += wrote
    }
    guard fsync(descriptor) == 0 else { throw .system(path, "cannot be written", code: errno) }
  }
}

/// Puts the parts of documents together, in order.
private struct DocumentWriter {
  let shards: ShardWriter
  let deduplicates: Bool
  /// The index: for each document where its tokens begin, its hash, and the bytes of its text.
  private(set) var entries: [UInt8] = []
  private(set) var byteCount = 0
  private(set) var duplicates = 0
  private(set) var blanks = 0
  private var seen: Set<DocumentHash> = []
  private var begin = 0
  private var current: (hash: DocumentHash, bytes: Int, isBlank: Bool)?

  init(shards: ShardWriter, deduplicates: Bool) {
    self.shards = shards
    self.deduplicates = deduplicates
  }

  var tokenCount: Int { shards.count }

  mutating func add(_ part: EncodedPart) throws(TrainingDataError) {
    if part.isFirst { begin = shards.count }
    var sum = (hash: part.hash, bytes: part.byteCount, isBlank: part.isBlank)
    if let current {
      sum = (current.hash.followed(by: part.hash), current.bytes + sum.bytes, current.isBlank && sum.isBlank)
    }
    current = part.isLast ? nil : sum
    // What is known to be left out is not even written; long documents show it only at their end.
    let isBlank = sum.isBlank || shards.count + part.tokens.count == begin
    let isLeftOut = part.isLast && (isBlank || deduplicates && seen.contains(sum.hash))
    guard !isLeftOut else {
      if isBlank { blanks += 1 } else { duplicates += 1 }
      return try shards.truncate(to: begin)
    }
    try shards.append(part.tokens)
    guard part.isLast else { return }
    if deduplicates { seen.insert(sum.hash) }
    for word in [UInt64(begin), sum.hash.high, UInt64(sum.bytes)] {
      withUnsafeBytes(of: word.littleEndian) { entries += $0 }
    }
    byteCount += sum.bytes
  }

  /// - Returns: the index with the checksums, and the number of tokens.
  func finish() throws(TrainingDataError) -> (index: [UInt8], tokens: Int) {
    let tokens = shards.count
    _ = try shards.finish()
    var index = entries
    for checksum in shards.checksums { withUnsafeBytes(of: checksum.littleEndian) { index += $0 } }
    return (index, tokens)
  }
}

/// A lock that ends with its holder, whatever becomes of it.
private struct FolderLock {
  private let descriptor: Int32

  /// Waits for the lock; `wait` is called now and then, and throws to give up.
  init(path: String, wait: () throws -> Void) throws {
    descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o666)
    guard descriptor >= 0 else { throw TrainingDataError.system(path, "cannot be written", code: errno) }
    while flock(descriptor, LOCK_EX | LOCK_NB) != 0 {
      // Where a file system knows no locks, two programs would at worst do the same work.
      guard errno == EWOULDBLOCK || errno == EINTR else { break }
      do { try wait() } catch {
        close(descriptor)
        throw error
      }
      usleep(100_000)
    }
  }

  func unlock() { close(descriptor) }
}

/// The hashes of sources. Those of files that have not changed are known from earlier corpora.
private struct SourceDigests {
  private var known: [String: CorpusManifest.Source] = [:]

  init(cache: String) {
    for name in (try? FileManager.default.contentsOfDirectory(atPath: cache)) ?? [] {
      guard let manifest = try? CorpusManifest(path: cache + "/" + name + "/" + CorpusManifest.name) else { continue }
      for source in manifest.sources { known[source.path] = source }
    }
  }

  func sources(_ files: [SourceFile], check: () throws -> Void) throws -> [CorpusManifest.Source] {
    try files.map { file in
      var status = stat()
      guard stat(file.path, &status) == 0 else {
        throw TrainingDataError.system(file.path, "cannot be read", code: errno)
      }
      #if os(Linux)
      let time = status.st_mtim
      #else
      let time = status.st_mtimespec
      #endif
      let modified = Int(time.tv_sec) &* 1_000_000_000 &+ Int(time.tv_nsec)
      if let source = known[file.path], source.byteCount == Int(status.st_size), source.modified == modified {
        return source
      }
      var hasher = SHA256()
      let descriptor = open(file.path, O_RDONLY | O_CLOEXEC)
      guard descriptor >= 0 else { throw TrainingDataError.system(file.path, "cannot be read", code: errno) }
      defer { close(descriptor) }
      var buffer = [UInt8](repeating: 0, count: 1 << 20), count = 0
      while true {
        let got = buffer.withUnsafeMutableBytes { read(descriptor, $0.baseAddress, $0.count) }
        if got < 0, errno == EINTR { continue }
        guard got >= 0 else { throw TrainingDataError.system(file.path, "cannot be read", code: errno) }
        if got == 0 { break }
        buffer.withUnsafeBytes { hasher.update(bufferPointer: UnsafeRawBufferPointer(rebasing: $0[..<got])) }
        count += got
        try check()
      }
      return CorpusManifest.Source(
        path: file.path, byteCount: count, modified: modified, digest: hasher.finalize().hexadecimal)
    }
  }
}
