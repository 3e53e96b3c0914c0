// Long work in a terminal: it may be interrupted, and says how far it is.
import Foundation
import Synchronization

/// Ctrl-C and the like while something is being written: the work ends in its own way, which leaves nothing half done.
enum Interruption {
  private static let asked = Atomic<Bool>(false)
  private static let signals = [SIGINT, SIGTERM, SIGHUP]

  static var isAsked: Bool { asked.load(ordering: .relaxed) }

  static func during(_ body: () throws -> Void) rethrows {
    asked.store(false, ordering: .relaxed)
    let before = signals.map { signal($0) { _ in Interruption.asked.store(true, ordering: .relaxed) } }
    // Who starts programs from a thread of Dispatch hands on that it takes no signals.
    var set = sigset_t()
    sigemptyset(&set)
    for number in signals { sigaddset(&set, number) }
    pthread_sigmask(SIG_UNBLOCK, &set, nil)
    defer { for (number, handler) in zip(signals, before) { signal(number, handler) } }
    try body()
  }
}

/// Tells how far a long piece of work is, and how long it will still take.
struct ProgressClock {
  private let verb: String
  private let start = ContinuousClock.now
  private var shown = ContinuousClock.now

  init(_ verb: String) {
    self.verb = verb
  }

  mutating func show(_ done: Int, of all: Int, _ what: String = "") {
    let now = ContinuousClock.now
    guard done == all || now - shown > .milliseconds(100) else { return }
    shown = now
    let left = (now - start) / .seconds(1) / Double(max(1, done)) * Double(all - done)
    let share = done * 100 / max(1, all)
    Output.status("\(verb) \(what)\(what.isEmpty ? "" : ", ")\(share) %, \(Int(left.rounded(.up))) s left")
  }
}
