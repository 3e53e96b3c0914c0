// Ctrl-C during long work, which is told of it and ends by itself.
import Foundation
import Synchronization

/// Ctrl-C and the like during work that ends in its own way: it leaves nothing half-done behind.
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
