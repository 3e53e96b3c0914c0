// What a person sees while a model is fetched.
import Foundation
import Malmoi
import Synchronization

/// Shows the progress of a pull on standard error: one line that changes on a terminal, a line per phase elsewhere.
final class PullDisplay: Sendable {
  private let last = Mutex<PullProgress?>(nil)

  func show(_ progress: PullProgress) {
    let before = last.withLock { state in
      defer { state = progress }
      return state
    }
    if isatty(2) == 1 {
      Output.status(Self.describe(progress))
    } else if before?.phase != progress.phase || before?.place != progress.place {
      Output.note(Self.describe(progress))
    }
    if case .placeFailed = progress.phase, isatty(2) == 1 { Output.note("") }
  }

  func end() {
    if last.withLock({ $0 }) != nil { Output.status("") }
  }

  private static func describe(_ progress: PullProgress) -> String {
    switch progress.phase {
    case .waitingForOtherProcess: return "waiting for another process that fetches the same model"
    case .connecting: return "asking \(progress.place)"
    case .installing: return "fetching \(progress.place) with pip"
    case .verifying: return "verifying \(amount(progress))"
    case .retrying(let reason, let pause): return "\(reason); again in \(pause)"
    case .placeFailed(let reason): return "\(progress.place): \(reason)"
    case .downloading: return "fetching \(progress.file ?? progress.place): \(amount(progress))\(rate(progress))"
    }
  }

  private static func amount(_ progress: PullProgress) -> String {
    guard let total = progress.total, total > 0 else { return Output.bytes(progress.bytes) }
    return "\(Output.bytes(progress.bytes)) of \(Output.bytes(total)) (\(progress.bytes * 100 / total) %)"
  }

  private static func rate(_ progress: PullProgress) -> String {
    guard let rate = progress.bytesPerSecond, rate > 0 else { return "" }
    guard let total = progress.total else { return ", \(Output.bytes(Int64(rate)))/s" }
    return ", \(Output.bytes(Int64(rate)))/s, \(Int(Double(total - progress.bytes) / rate)) s left"
  }
}
