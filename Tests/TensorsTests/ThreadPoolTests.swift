// Every chunk runs exactly once, and nothing waits for ever, whatever else the machine does.
import Foundation
import Synchronization
import Tensors
import Testing

/// Counts how often each chunk runs.
private final class Counts: Sendable {
  private let counts: Mutex<[Int: Int]> = Mutex([:])
  func add(_ chunk: Int) { counts.withLock { $0[chunk, default: 0] += 1 } }
  func areOnce(_ chunks: Int) -> Bool {
    counts.withLock { $0.count == chunks && $0.allSatisfy { (0..<chunks).contains($0.key) && $0.value == 1 } }
  }
}

/// Threads of their own, since the tests' tasks have only as many as there are processors.
private func onThreads(_ count: Int, _ body: @escaping @Sendable (Int) -> Void) {
  let group = DispatchGroup()
  for index in 0..<count {
    group.enter()
    Thread { body(index); group.leave() }.start()
  }
  group.wait()
}

@Suite struct `The thread pool` {
  @Test(arguments: [1, 2, 3, 4, 9]) func `runs every chunk exactly once`(threads: Int) {
    let pool = ThreadPool(threadCount: threads)
    #expect(pool.threadCount == threads)
    for chunks in [0, 1, 2, 3, 7, 64, 1000] {
      let counts = Counts()
      pool.run(chunks: chunks) { counts.add($0) }
      #expect(counts.areOnce(chunks), "\(chunks) chunks")
    }
  }

  @Test func `runs more than a million chunks`() {
    let pool = ThreadPool(threadCount: 3), chunks = (1 << 20) + 77
    let sum = Atomic<Int>(0), squares = Atomic<Int>(0)
    pool.run(chunks: chunks) { chunk in
      sum.add(chunk, ordering: .relaxed)
      squares.wrappingAdd(chunk &* chunk, ordering: .relaxed)
    }
    let total = sum.load(ordering: .relaxed)
    #expect(total == chunks * (chunks - 1) / 2)
    let totalOfSquares = squares.load(ordering: .relaxed)
    #expect(totalOfSquares == (chunks - 1) * chunks * (2 * chunks - 1) / 6)
  }

  @Test func `what chunks wrote is there when the region ends`() {
    let pool = ThreadPool(threadCount: 4)
    let numbers = UnsafeMutablePointer<Int>.allocate(capacity: 64)
    defer { numbers.deallocate() }
    nonisolated(unsafe) let target = numbers
    for round in 0..<5000 {
      pool.run(chunks: 64) { target[$0] = round + $0 }
      guard (0..<64).allSatisfy({ numbers[$0] == round + $0 }) else {
        Issue.record("a chunk's result is missing in round \(round)")
        return
      }
    }
  }

  @Test(.timeLimit(.minutes(1))) func `takes regions of several callers at once`() {
    let pool = ThreadPool(threadCount: 3), isRight = Atomic<Bool>(true)
    onThreads(5) { caller in
      for round in 0..<200 {
        let sum = Atomic<Int>(0), chunks = 2 + (caller * 31 + round) % 50
        pool.run(chunks: chunks) { sum.add($0, ordering: .relaxed) }
        if sum.load(ordering: .relaxed) != chunks * (chunks - 1) / 2 { isRight.store(false, ordering: .relaxed) }
      }
    }
    let wasRight = isRight.load(ordering: .relaxed)
    #expect(wasRight)
  }

  @Test(.timeLimit(.minutes(1))) func `runs regions within chunks`() {
    let pool = ThreadPool(threadCount: 3), other = ThreadPool(threadCount: 2), sum = Atomic<Int>(0)
    onThreads(3) { _ in
      for _ in 0..<50 {
        pool.run(chunks: 8) { _ in
          pool.run(chunks: 5) { sum.add($0, ordering: .relaxed) }
          other.run(chunks: 3) { sum.add($0, ordering: .relaxed) }
        }
      }
    }
    let total = sum.load(ordering: .relaxed)
    #expect(total == 3 * 50 * 8 * (10 + 3))
  }

  @Test(.timeLimit(.minutes(1))) func `wakes workers that have parked`() {
    let pool = ThreadPool(threadCount: 4)
    for pause in [0, 20, 60, 100, 200, 1000, 5000] {
      for _ in 0..<30 {
        let counts = Counts()
        pool.run(chunks: 12) { counts.add($0) }
        #expect(counts.areOnce(12))
        if pause > 0 { usleep(UInt32(pause)) }
      }
    }
  }

  @Test(.timeLimit(.minutes(1))) func `can be thrown away at any time, and its threads end`() throws {
    let before = try threadsOfThisProcess()
    for round in 0..<300 {
      let pool = ThreadPool(threadCount: 4)
      if round % 3 > 0 { pool.run(chunks: round % 3 * 4) { _ in } }
      if round % 50 == 0 { usleep(500) }  // long enough for workers to park
    }
    guard let before else { return }
    for _ in 0..<200 {
      if let now = try threadsOfThisProcess(), now <= before + 40 { return }  // other tests' threads come and go
      usleep(10_000)
    }
    Issue.record("threads of pools that are gone still run")
  }

  /// Nil where the system does not say.
  private func threadsOfThisProcess() throws -> Int? {
    guard FileManager.default.fileExists(atPath: "/proc/self/task") else { return nil }
    return try FileManager.default.contentsOfDirectory(atPath: "/proc/self/task").count
  }

  @Test(.timeLimit(.minutes(1))) func `gets on with more threads than processors beside busy loops`() {
    let stop = Atomic<Bool>(false), isRight = Atomic<Bool>(true)
    for _ in 0..<2 { Thread { while !stop.load(ordering: .relaxed) {} }.start() }
    let pool = ThreadPool(threadCount: 4 * ThreadPool.availableProcessors)
    let end = ContinuousClock.now + .seconds(2)
    onThreads(2) { _ in
      while ContinuousClock.now < end {
        let sum = Atomic<Int>(0)
        pool.run(chunks: 37) { sum.add($0, ordering: .relaxed) }
        if sum.load(ordering: .relaxed) != 666 { isRight.store(false, ordering: .relaxed) }
      }
    }
    stop.store(true, ordering: .relaxed)
    let wasRight = isRight.load(ordering: .relaxed)
    #expect(wasRight)
  }
}
