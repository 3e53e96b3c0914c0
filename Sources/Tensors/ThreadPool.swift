// One pool of persistent threads for all compute. A parallel region costs about a microsecond: workers spin for a
// moment after each one and park only when nothing follows.
import CKernels
import Foundation
import Synchronization

/// Threads that share the chunks of a parallel region. Chunks are claimed one by one, so that a thread which the
/// system holds up is waited for no longer than its current chunk.
public final class ThreadPool: Sendable {
  /// The processors that this process may run on.
  public static var availableProcessors: Int { max(1, ProcessInfo.processInfo.activeProcessorCount) }

  /// The number of threads, the caller's included.
  public let threadCount: Int
  private let crew = Crew()

  /// - Parameter threadCount: 1 or more; the calling thread counts as one.
  public init(threadCount: Int = ThreadPool.availableProcessors) {
    var started = 1
    while started < threadCount, crew.startWorker() { started += 1 }
    self.threadCount = started
  }

  deinit { crew.stop() }

  /// Calls `body` for every chunk `0 ..< chunks`, on all threads, and returns when all are done.
  ///
  /// What a chunk computes must not depend on which thread runs it or when. A region inside a chunk runs on the
  /// thread of that chunk alone.
  public func run(chunks: Int, _ body: (Int) -> Void) {
    guard chunks > 1, threadCount > 1, !crew.isAtWork else {
      for chunk in 0..<max(0, chunks) { body(chunk) }
      return
    }
    guard chunks < 1 << 20 else {
      // More chunks than a ticket can count: several of them make one.
      let group = (chunks + (1 << 19)) >> 19
      return run(chunks: (chunks + group - 1) / group) { first in
        for chunk in first * group..<min(chunks, (first + 1) * group) { body(chunk) }
      }
    }
    crew.run(chunks: chunks, body)
  }
}

/// What the pool and its workers share. Workers keep it alive until they have stopped.
private final class Crew: @unchecked Sendable {  // state is atomic, or written before the ticket that publishes it
  // A ticket is (region number: 24 bits, chunks: 20, next chunk: 20): one atomic claims a chunk of a known region.
  private let ticket = Atomic<UInt64>(0)
  private let unfinished = Atomic<Int>(0)
  private let parked = Atomic<Int>(0)
  private let stopping = Atomic<Bool>(false)
  private var body: UnsafePointer<(Int) -> Void>?
  private let callers = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
  private let lock = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
  private let wake = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)

  /// The crew whose chunk the current thread runs.
  private static let current: pthread_key_t = {
    var key = pthread_key_t()
    pthread_key_create(&key, nil)
    return key
  }()

  /// Whether the current thread runs a chunk; then waiting for the crew would be waiting for itself.
  var isAtWork: Bool { pthread_getspecific(Self.current) == Unmanaged.passUnretained(self).toOpaque() }

  init() {
    pthread_mutex_init(callers, nil)
    pthread_mutex_init(lock, nil)
    pthread_cond_init(wake, nil)
  }

  deinit {
    pthread_mutex_destroy(callers)
    pthread_mutex_destroy(lock)
    pthread_cond_destroy(wake)
    callers.deallocate()
    lock.deallocate()
    wake.deallocate()
  }

  /// False when the system gives no more threads.
  func startWorker() -> Bool {
    let crew = Unmanaged.passRetained(self)
    #if canImport(Glibc)
    var thread = pthread_t()
    let result = pthread_create(&thread, nil, { argument in
      if let argument { Unmanaged<Crew>.fromOpaque(argument).takeRetainedValue().work() }
      return nil
    }, crew.toOpaque())
    if result == 0 { pthread_detach(thread) }
    #else
    var thread: pthread_t?
    let result = pthread_create(&thread, nil, { argument in
      Unmanaged<Crew>.fromOpaque(argument).takeRetainedValue().work()
      return nil
    }, crew.toOpaque())
    if let thread { pthread_detach(thread) }
    #endif
    if result != 0 { crew.release() }
    return result == 0
  }

  func stop() {
    stopping.store(true, ordering: .sequentiallyConsistent)
    wakeAll()
  }

  private func wakeAll() {
    pthread_mutex_lock(lock)
    pthread_cond_broadcast(wake)
    pthread_mutex_unlock(lock)
  }

  func run(chunks: Int, _ body: (Int) -> Void) {
    pthread_mutex_lock(callers)
    let outer = pthread_getspecific(Self.current)  // of another pool, when that one's chunk calls this one
    pthread_setspecific(Self.current, Unmanaged.passUnretained(self).toOpaque())
    defer {
      pthread_setspecific(Self.current, outer)
      pthread_mutex_unlock(callers)
    }
    withoutActuallyEscaping(body) { body in
      withUnsafePointer(to: body) { pointer in
        self.body = pointer
        unfinished.store(chunks, ordering: .relaxed)
        let number = (ticket.load(ordering: .relaxed) >> 40) &+ 1
        ticket.store(number << 40 | UInt64(chunks) << 20, ordering: .sequentiallyConsistent)
        if parked.load(ordering: .sequentiallyConsistent) > 0 { wakeAll() }
        while claim() {}
        var spins = 0
        while unfinished.load(ordering: .acquiring) > 0 {
          mk_pause()
          spins += 1
          // The worker that holds the last chunk may be waiting for this very processor.
          if spins > 2000 { sched_yield() }
        }
      }
    }
  }

  /// Runs the next chunk of the current region; false when none is left.
  private func claim() -> Bool {
    var seen = ticket.load(ordering: .acquiring)
    while true {
      let chunks = seen >> 20 & 0xfffff, next = seen & 0xfffff
      guard next < chunks else { return false }
      let (exchanged, current) = ticket.weakCompareExchange(
        expected: seen, desired: seen + 1, ordering: .acquiringAndReleasing)
      if exchanged {
        // The region cannot change before this chunk is finished.
        body?.pointee(Int(next))
        unfinished.subtract(1, ordering: .acquiringAndReleasing)
        return true
      }
      seen = current
    }
  }

  private func work() {
    pthread_setspecific(Self.current, Unmanaged.passUnretained(self).toOpaque())
    var idle = 0
    while !stopping.load(ordering: .relaxed) {
      if claim() {
        idle = 0
      } else if idle < 4000 {  // about 50 µs
        mk_pause()
        idle += 1
      } else {
        parked.add(1, ordering: .sequentiallyConsistent)
        pthread_mutex_lock(lock)
        let now = ticket.load(ordering: .sequentiallyConsistent)
        if now & 0xfffff >= now >> 20 & 0xfffff, !stopping.load(ordering: .sequentiallyConsistent) {
          pthread_cond_wait(wake, lock)
        }
        pthread_mutex_unlock(lock)
        parked.subtract(1, ordering: .sequentiallyConsistent)
        idle = 0
      }
    }
  }
}
