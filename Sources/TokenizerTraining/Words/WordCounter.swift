// Counting words is most of the work on a large text, and every line can be cut alone: all threads do it.
import Dispatch
import Synchronization
import Tokenization

/// Cuts a line of text into the words that are learnt from.
protocol WordSplitter: Sendable {
  /// Calls `body` with each word of `line`, which is well-formed UTF-8 with its line break.
  func forEachWord(in line: UnsafeBufferPointer<UInt8>, _ body: (UnsafeBufferPointer<UInt8>) -> Void)
}

/// Counts the words of files with a table per thread.
///
/// Files are cut into lines first, as the trainers of Hugging Face's `tokenizers` do; no word spans two lines.
struct WordCounter {
  let splitter: any WordSplitter
  let threads: Int
  let observer: TrainingObserver

  private struct Shared {
    var table = WordTable()
    var bytesRead = 0
    var failure: (any Error)?
  }

  /// - Throws: ``TrainingError`` for files that cannot be read, are not UTF-8, or are all empty; whatever the observer
  ///   throws.
  func count(_ paths: [String]) throws -> WordTable {
    let reader = try TextReader(paths: paths)
    let shared = Mutex(Shared())
    try observer(.reading(bytes: 0, of: reader.byteCount))
    DispatchQueue.concurrentPerform(iterations: threads) { _ in
      var table = WordTable()
      do {
        while shared.withLock({ $0.failure == nil }), let piece = try reader.next() {
          try add(piece, to: &table)
          try shared.withLock {
            $0.bytesRead += piece.bytes.count
            try observer(.reading(bytes: $0.bytesRead, of: reader.byteCount))
          }
        }
        shared.withLock { [table] in
          if $0.table.isEmpty { $0.table = table } else { $0.table.merge(table) }
        }
      } catch {
        shared.withLock { $0.failure = $0.failure ?? error }
      }
    }
    let (table, failure) = shared.withLock { ($0.table, $0.failure) }
    if let failure { throw failure }
    guard !table.isEmpty else { throw TrainingError.noText(paths) }
    return table
  }

  private func add(_ piece: TextReader.Piece, to table: inout WordTable) throws(TrainingError) {
    let malformed = piece.bytes.withUnsafeBufferPointer { bytes -> Int? in
      if let malformed = firstMalformed(in: bytes) { return malformed }
      var rest = bytes[...]
      while !rest.isEmpty {
        let end = rest.firstIndex(of: 0x0A).map { $0 + 1 } ?? rest.endIndex
        splitter.forEachWord(in: UnsafeBufferPointer(rebasing: rest[..<end])) { table.add($0) }
        rest = rest[end...]
      }
      return nil
    }
    if let malformed { throw .notUTF8(path: piece.path, offset: piece.offset + malformed) }
  }
}
