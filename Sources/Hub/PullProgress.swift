// What a command shows while a model is fetched.
import Foundation
import Synchronization

/// How far a pull has come.
public struct PullProgress: Sendable, Equatable {
  public enum Phase: Sendable, Equatable {
    /// Another process fetches the same model; this one waits and then uses its result.
    case waitingForOtherProcess
    /// A place is being asked.
    case connecting
    case downloading
    /// A package installer is at work, which does not say how far it is.
    case installing
    /// What is already here is being read again, or put together.
    case verifying
    /// A passing failure; the next try comes after the pause.
    case retrying(reason: String, pause: Duration)
    /// A place failed for good; the next one is tried.
    case placeFailed(reason: String)
  }

  public var phase: Phase = .connecting
  /// Where the model comes from, such as `hf:owner/repository` or `pip:package==version`.
  public var place = ""
  /// The file being fetched.
  public var file: String?
  /// Of all the model's files, those fetched earlier included.
  public var bytes: Int64 = 0
  /// Nil where the place has not told.
  public var total: Int64?
  /// Measured over about the last second; nil until known.
  public var bytesPerSecond: Double?
}

/// Counts bytes on whatever thread they come, and reports no more than ten times a second.
final class PullMeter: Sendable {
  private let report: @Sendable (PullProgress) -> Void
  private let state = Mutex(State())

  private struct State {
    var progress = PullProgress()
    var finished: Int64 = 0
    var lastReport: ContinuousClock.Instant?
    var windowStart: ContinuousClock.Instant?
    var windowBytes: Int64 = 0
  }

  init(report: @escaping @Sendable (PullProgress) -> Void) { self.report = report }

  func begin(place: String, total: Int64?) {
    state.withLock { $0 = State() }
    change {
      $0.progress.place = place
      $0.progress.total = total
    }
  }

  func enter(_ phase: PullProgress.Phase, file: String? = nil) {
    change {
      $0.progress.phase = phase
      $0.progress.file = file ?? $0.progress.file
    }
  }

  /// The file in hand has `count` bytes now, which did not just come in.
  func restart(at count: Int64) {
    change {
      $0.progress.bytes = $0.finished + count
      $0.windowStart = nil
    }
  }

  func finishFile(size: Int64) {
    change {
      $0.finished += size
      $0.progress.bytes = $0.finished
    }
  }

  /// More bytes of the file in hand came in.
  func add(_ count: Int) {
    let now = ContinuousClock.now
    let progress = state.withLock { state -> PullProgress? in
      state.progress.bytes += Int64(count)
      state.windowBytes += Int64(count)
      if let start = state.windowStart {
        let seconds = (now - start) / .seconds(1)
        if seconds >= 0.5 {
          let rate = Double(state.windowBytes) / seconds
          state.progress.bytesPerSecond = state.progress.bytesPerSecond.map { ($0 + rate) / 2 } ?? rate
          state.windowStart = now
          state.windowBytes = 0
        }
      } else {
        state.windowStart = now
        state.windowBytes = 0
      }
      if let last = state.lastReport, now - last < .milliseconds(100) { return nil }
      state.lastReport = now
      return state.progress
    }
    if let progress { report(progress) }
  }

  private func change(_ body: (inout State) -> Void) {
    report(
      state.withLock {
        body(&$0)
        $0.lastReport = .now
        return $0.progress
      })
  }
}
