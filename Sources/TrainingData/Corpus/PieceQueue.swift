// Many threads tokenize, and what they make is kept in the order in which it was read.
import Foundation

/// Hands out pieces of work to threads and takes their results back into order.
///
/// A thread that is ahead waits, so that only so many results lie in memory.
final class PieceQueue<Piece, Output>: @unchecked Sendable {
  // Everything below is guarded by `condition`, the reading also by `reading`.
  private let condition = NSCondition()
  private let reading = NSLock()
  private let next: () throws -> Piece?
  private let write: (Output) throws -> Void
  private let window: Int
  private var taken = 0
  private var written = 0
  private var waiting: [Int: Result<Output, any Error>] = [:]
  private var isWriting = false
  private var failure: (any Error)?

  /// - Parameters:
  ///   - window: how many pieces may be under way.
  ///   - next: reads a piece; called by one thread at a time, as is `write`.
  init(window: Int, next: @escaping () throws -> Piece?, write: @escaping (Output) throws -> Void) {
    self.window = window
    self.next = next
    self.write = write
  }

  /// Does all the work with so many threads.
  /// - Throws: the error of the first piece, in order, that has one; so threads do not decide which.
  func run(threads: Int, _ work: @escaping @Sendable (Piece) throws -> Output) throws {
    let group = DispatchGroup()
    for _ in 0..<threads {
      group.enter()
      Thread.detachNewThread {
        while let (number, piece) = self.take() {
          self.give(number, piece.flatMap { piece in Result { try work(piece) } })
        }
        group.leave()
      }
    }
    group.wait()
    if let failure { throw failure }
  }

  private func take() -> (Int, Result<Piece, any Error>)? {
    reading.lock()
    defer { reading.unlock() }
    condition.lock()
    while failure == nil, taken - written >= window { condition.wait() }
    let hasFailed = failure != nil
    condition.unlock()
    // Nothing is read after an error in reading, which counts like one in the piece that could not be read.
    guard !hasFailed, !isReadingOver else { return nil }
    let piece = Result { try next() }
    switch piece {
    case .success(let piece?):
      return (advance(), .success(piece))
    case .success(nil):
      isReadingOver = true
      return nil
    case .failure(let error):
      isReadingOver = true
      return (advance(), .failure(error))
    }
  }

  private var isReadingOver = false

  private func advance() -> Int {
    condition.lock()
    defer { condition.unlock() }
    taken += 1
    return taken - 1
  }

  private func give(_ number: Int, _ result: Result<Output, any Error>) {
    condition.lock()
    defer { condition.unlock() }
    waiting[number] = result
    // Whoever is writing goes on with what has come in the meantime.
    guard !isWriting else { return }
    isWriting = true
    while failure == nil, let ready = waiting.removeValue(forKey: written) {
      condition.unlock()
      let outcome = Result { try write(ready.get()) }
      condition.lock()
      if case .failure(let error) = outcome { failure = error }
      written += 1
      condition.broadcast()
    }
    isWriting = false
  }
}
