// The process that may die: it runs its share of a campaign and says on the board where it is.
import Foundation

struct Worker: Sendable {
  /// Bytes of memory that no input may make the process exceed.
  static let memoryLimit = 1 << 30
  /// What a thread gets on some systems when nobody asks for more; parsers must do with it.
  static let stackSize = 512 << 10

  let campaign: Campaign
  let board: Board
  /// The runs of this worker: `first`, `first + step`, … below `end`.
  let first, step, end: Int
  let isLimited: Bool

  /// Runs all, and ends the process.
  func run() -> Never {
    if isLimited { limitMemory() }
    onThread(stackSize: isLimited ? Self.stackSize : 64 << 20) {
      var run = first
      while run < end {
        board[.run] = run
        let (target, accepted) = campaign.execute(run: run)
        board.count(target, accepted: accepted)
        board[.done] += 1
        run += step
      }
      board[.run] = run
    }
    exit(0)
  }

  /// An allocation beyond the limit fails, and failing to allocate ends the process.
  private func limitMemory() {
    var limit = rlimit(rlim_cur: rlim_t(Self.memoryLimit), rlim_max: rlim_t(Self.memoryLimit))
    #if os(Linux)
    setrlimit(__rlimit_resource_t(RLIMIT_DATA.rawValue), &limit)
    #else
    setrlimit(RLIMIT_DATA, &limit)
    #endif
  }
}

/// Runs `body` on a thread of its own.
private func onThread(stackSize: Int, _ body: @escaping @Sendable () -> Void) {
  let finished = DispatchSemaphore(value: 0)
  let thread = Thread {
    body()
    finished.signal()
  }
  thread.stackSize = stackSize
  thread.start()
  finished.wait()
}
