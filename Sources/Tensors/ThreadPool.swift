// One pool of persistent threads for all compute. A parallel region costs about a microsecond: workers spin for a
// moment after each one and park only when nothing follows.
import CKernels
import Foundation
import Synchronization

/// Threads that share the chunks of a parallel region. Each thread has a run of neighbouring chunks and claims them one
/// by one, in order, so that it reads memory forwards; who has none left takes the last of another's. So a thread that
/// the system holds up is waited for no longer than its current chunk.
public final class ThreadPool: Sendable {
  /// The processors that this process may run on.
  public static var availableProcessors: Int { max(1, ProcessInfo.processInfo.activeProcessorCount) }

  /// The number of threads, the caller's included.
  public let threadCount: Int
  private let crew: Crew

  /// - Parameter threadCount: 1 or more; the calling thread counts as one.
  public init(threadCount: Int = ThreadPool.availableProcessors) {
    crew = Crew(threadCount: threadCount)
    var started = 1
    while started < threadCount, crew.startWorker(started) { started += 1 }
    self.threadCount = started
  }

  deinit { crew.stop() }

  /// Calls `body` for every chunk `0 ..< chunks`, on all threads, and returns when all are done.
  ///
  /// What a chunk computes must not depend on which thread runs it or when. A region inside a chunk runs on the
  /// thread of that chunk alone.
  /// - Parameter isLong: whether a chunk may take a millisecond or more. Then help is worth waiting for, and a thread
  ///   that is at work so long has not lost its processor.
  public func run(chunks: Int, isLong: Bool = false, _ body: (Int) -> Void) {
    guard chunks > 1, chunks <= UInt32.max, threadCount > 1, !crew.isAtWork else {
      for chunk in 0..<max(0, chunks) { body(chunk) }
      return
    }
    crew.run(chunks: chunks, isLong: isLong, body)
  }

  /// What the next region will probably read. Workers fetch it into their caches while they have nothing else to do.
  func expect(_ bytes: UnsafeRawBufferPointer) { crew.expect(bytes) }
}

/// What the pool and its workers share. Workers keep it alive until they have stopped.
private final class Crew: @unchecked Sendable {  // state is atomic, or written before the shares that publish it
  /// Each thread's unclaimed chunks, (first: 32 bits, end: 32 bits). A claim is valid for whatever region is current
  /// when it succeeds, and the region cannot change before the claimed chunk is finished.
  private let shares: UnsafeMutablePointer<Atomic<UInt64>>
  private static let shareStride = 16  // 128 bytes: no two threads' shares lie in one cache line, or in neighbours
  private let threadCount: Int
  private let unfinished = Atomic<Int>(0)
  private let parked = Atomic<Int>(0)
  private let callerWaits = Atomic<Bool>(false)
  private let stopping = Atomic<Bool>(false)
  /// The next address to fetch ahead, and where to end.
  private let ahead = Atomic<UInt>(0)
  private let aheadEnd = Atomic<UInt>(0)
  /// Until when brief regions are the caller's alone.
  private let aloneUntil = Atomic<UInt64>(0)
  /// The running mean of what regions take; the caller's, under its lock.
  private var usualTime: UInt64 = 0
  /// Whether the current region is long.
  private let isLong = Atomic<Bool>(false)
  private var body: UnsafePointer<(Int) -> Void>?
  private let callers = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
  private let lock = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
  private let wake = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
  private let done = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)

  /// The crew whose chunk the current thread runs.
  private static let current: pthread_key_t = {
    var key = pthread_key_t()
    pthread_key_create(&key, nil)
    return key
  }()

  /// Whether the current thread runs a chunk; then waiting for the crew would be waiting for itself.
  var isAtWork: Bool { pthread_getspecific(Self.current) == Unmanaged.passUnretained(self).toOpaque() }

  init(threadCount: Int) {
    self.threadCount = max(1, threadCount)
    shares = .allocate(capacity: self.threadCount * Self.shareStride)
    for index in 0..<self.threadCount * Self.shareStride { (shares + index).initialize(to: Atomic(0)) }
    pthread_mutex_init(callers, nil)
    pthread_mutex_init(lock, nil)
    pthread_cond_init(wake, nil)
    pthread_cond_init(done, nil)
  }

  deinit {
    pthread_mutex_destroy(callers)
    pthread_mutex_destroy(lock)
    pthread_cond_destroy(wake)
    pthread_cond_destroy(done)
    shares.deallocate()
    done.deallocate()
    callers.deallocate()
    lock.deallocate()
    wake.deallocate()
  }

  /// What a new thread is given.
  private final class Start {
    let crew: Crew
    let index: Int

    init(_ crew: Crew, _ index: Int) {
      self.crew = crew
      self.index = index
    }
  }

  /// False when the system gives no more threads.
  func startWorker(_ index: Int) -> Bool {
    let start = Unmanaged.passRetained(Start(self, index))
    #if canImport(Glibc)
    var thread = pthread_t()
    let result = pthread_create(&thread, nil, { argument in
      if let argument { Crew.work(Unmanaged<Start>.fromOpaque(argument).takeRetainedValue()) }
      return nil
    }, start.toOpaque())
    if result == 0 { pthread_detach(thread) }
    #else
    var thread: pthread_t?
    let result = pthread_create(&thread, nil, { argument in
      Crew.work(Unmanaged<Start>.fromOpaque(argument).takeRetainedValue())
      return nil
    }, start.toOpaque())
    if let thread { pthread_detach(thread) }
    #endif
    if result != 0 { start.release() }
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

  func run(chunks: Int, isLong: Bool, _ body: (Int) -> Void) {
    pthread_mutex_lock(callers)
    let outer = pthread_getspecific(Self.current)  // of another pool, when that one's chunk calls this one
    pthread_setspecific(Self.current, Unmanaged.passUnretained(self).toOpaque())
    defer {
      pthread_setspecific(Self.current, outer)
      pthread_mutex_unlock(callers)
    }
    let start = Self.now()
    // Beside long regions none is brief: these wait for the same workers.
    defer { usualTime = (usualTime * 7 + max(Self.now() - start, isLong ? 10 * Self.brief : 0)) / 8 }
    if !isLong, usualTime < Self.brief, start < aloneUntil.load(ordering: .relaxed) {
      for chunk in 0..<chunks { body(chunk) }
      return
    }
    withoutActuallyEscaping(body) { body in
      withUnsafePointer(to: body) { pointer in
        self.body = pointer
        self.isLong.store(isLong, ordering: .relaxed)
        unfinished.store(chunks, ordering: .relaxed)
        aheadEnd.store(0, ordering: .relaxed)
        // The caller's share is the last: the first chunks are what workers may have fetched ahead.
        for index in 0..<threadCount {
          let first = chunks * index / threadCount, end = chunks * (index + 1) / threadCount
          shares[(threadCount - 1 - index) * Self.shareStride].store(
            UInt64(first) << 32 | UInt64(end), ordering: .sequentiallyConsistent)
        }
        if parked.load(ordering: .sequentiallyConsistent) > 0 { wakeAll() }
        while runChunk(thread: 0) {}
        waitForWorkers()
      }
    }
  }

  /// Until every chunk is finished. A worker that is late is often one that waits for a processor: after a moment this
  /// thread sleeps and so gives it its own, which spinning or yielding would not.
  private func waitForWorkers() {
    for _ in 0..<2000 {
      if unfinished.load(ordering: .acquiring) == 0 { return }
      mk_pause()
    }
    callerWaits.store(true, ordering: .sequentiallyConsistent)
    pthread_mutex_lock(lock)
    while unfinished.load(ordering: .sequentiallyConsistent) > 0 { pthread_cond_wait(done, lock) }
    pthread_mutex_unlock(lock)
    callerWaits.store(false, ordering: .relaxed)
  }

  /// Runs a chunk: the next of the thread's own share, else the last of another's. False when none is left.
  private func runChunk(thread: Int) -> Bool {
    for turn in 0..<threadCount {
      let index = thread + turn < threadCount ? thread + turn : thread + turn - threadCount
      guard let chunk = claim(from: shares + index * Self.shareStride, last: turn > 0) else { continue }
      body?.pointee(chunk)
      let isOver = unfinished.subtract(1, ordering: .sequentiallyConsistent).newValue == 0
      if isOver, callerWaits.load(ordering: .sequentiallyConsistent) {
        pthread_mutex_lock(lock)
        pthread_cond_signal(done)
        pthread_mutex_unlock(lock)
      }
      return true
    }
    return false
  }

  private func claim(from share: UnsafeMutablePointer<Atomic<UInt64>>, last: Bool) -> Int? {
    var seen = share.pointee.load(ordering: .acquiring)
    while true {
      let first = seen >> 32, end = seen & 0xffff_ffff
      guard first < end else { return nil }
      let (exchanged, current) = share.pointee.weakCompareExchange(
        expected: seen, desired: last ? seen - 1 : seen + 1 << 32, ordering: .acquiringAndReleasing)
      if exchanged { return Int(last ? end - 1 : first) }
      seen = current
    }
  }

  func expect(_ bytes: UnsafeRawBufferPointer) {
    let first = UInt(bitPattern: bytes.baseAddress)
    ahead.store(first, ordering: .relaxed)
    aheadEnd.store(first + UInt(bytes.count), ordering: .relaxed)
  }

  /// Fetches a little of what is expected; false when there is none left.
  private func fetchAhead() -> Bool {
    let step: UInt = 256, end = aheadEnd.load(ordering: .relaxed)
    guard ahead.load(ordering: .relaxed) < end else { return false }
    let first = ahead.add(step, ordering: .relaxed).oldValue
    guard first < end else { return false }
    mk_fetch(UnsafeRawPointer(bitPattern: first), Int(step))
    return true
  }

  private var hasWork: Bool {
    (0..<threadCount).contains {
      Self.holdsChunk((shares + $0 * Self.shareStride).pointee.load(ordering: .sequentiallyConsistent))
    }
  }

  // Times are in nanoseconds.
  /// A worker offers its processor to others between chunks, before the system would take it away within one, while the
  /// caller waits for that chunk: a turn is a little shorter than the slices of time that systems give.
  private static let turn: UInt64 = 2_000_000
  /// A worker that was away from its processor for longer than this shares it with another program.
  private static let absence: UInt64 = 1_000_000
  /// For how long after that the caller does brief regions alone: it would wait for a worker longer than they take.
  private static let timeAlone: UInt64 = 100_000_000
  /// For how long a worker waits for work before it parks.
  private static let patience: UInt64 = 50_000
  /// What makes a region brief.
  private static let brief: UInt64 = 200_000

  private static func now() -> UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
  }

  private static func work(_ start: Start) {
    let crew = start.crew
    pthread_setspecific(current, Unmanaged.passUnretained(crew).toOpaque())
    let own = crew.shares + start.index * shareStride
    var turnBegan = now(), seen = turnBegan, worked = turnBegan, wasLong = false
    while !crew.stopping.load(ordering: .relaxed) {
      var time = now()
      // Patience begins with the last chunk, so that beside other programs a worker parks soon; after a long one, which
      // has used it up, it begins again.
      if wasLong { (worked, seen) = (time, time) }
      if time - turnBegan > turn {
        sched_yield()
        time = now()
        turnBegan = time
      }
      if time - seen > absence { crew.aloneUntil.store(time + timeAlone, ordering: .relaxed) }
      seen = time
      let hasWorked = crew.runChunk(thread: start.index)
      wasLong = hasWorked && crew.isLong.load(ordering: .relaxed)
      if hasWorked {
        worked = time
      } else if time - worked < patience {
        for _ in 0..<64 where !holdsChunk(own.pointee.load(ordering: .relaxed)) {
          if !crew.fetchAhead() { mk_pause() }
        }
      } else {
        crew.park()
        turnBegan = now()
        seen = turnBegan
        worked = turnBegan
      }
    }
  }

  private static func holdsChunk(_ share: UInt64) -> Bool { share >> 32 < share & 0xffff_ffff }

  private func park() {
    parked.add(1, ordering: .sequentiallyConsistent)
    pthread_mutex_lock(lock)
    if !hasWork, !stopping.load(ordering: .sequentiallyConsistent) { pthread_cond_wait(wake, lock) }
    pthread_mutex_unlock(lock)
    parked.subtract(1, ordering: .sequentiallyConsistent)
  }
}
