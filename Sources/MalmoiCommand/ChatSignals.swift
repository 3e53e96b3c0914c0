// Ctrl-C, suspension and changes of the window, as events that a chat can wait for.
import Foundation
import Synchronization

/// Takes over the signals of a terminal for as long as it exists. Ctrl-C goes to whoever asked for it, and otherwise,
/// like the rest, into a pipe that the line editor watches.
final class ChatSignals: Sendable {
  enum Event: UInt8 {
    case interrupt, resize, resume
  }

  /// The pipe's end to wait on.
  let descriptor: Int32
  private let writer: Int32
  private let taker = Mutex<(@Sendable () -> Void)?>(nil)
  private let sources = Mutex<[any DispatchSourceSignal]>([])

  init() throws {
    var ends: [Int32] = [0, 0]
    guard pipe(&ends) == 0 else { throw Failure("no pipe: \(String(cString: strerror(errno)))") }
    for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    // A full pipe must not hold up the signals' queue.
    _ = fcntl(ends[1], F_SETFL, O_NONBLOCK)
    (descriptor, writer) = (ends[0], ends[1])
    let queue = DispatchQueue(label: "malmoi signals")
    signal(SIGINT, SIG_IGN)
    let handlers: [(Int32, @Sendable () -> Void)] = [
      (SIGINT, { [weak self] in self?.interrupt() }),
      (SIGWINCH, { [weak self] in self?.send(.resize) }),
      (SIGCONT, { [weak self] in
        TerminalEcho.resume()
        // During an answer there is no line to show.
        if self?.taker.withLock({ $0 == nil }) ?? false { self?.send(.resume) }
      }),
    ]
    sources.withLock {
      $0 = handlers.map { number, handler in
        let source = DispatchSource.makeSignalSource(signal: number, queue: queue)
        source.setEventHandler(handler: handler)
        source.resume()
        return source
      }
    }
  }

  deinit {
    sources.withLock { for source in $0 { source.cancel() } }
    signal(SIGINT, SIG_DFL)
    close(descriptor)
    close(writer)
  }

  /// Calls `action` for every Ctrl-C while `body` runs.
  func onInterrupt<Result>(
    _ action: @escaping @Sendable () -> Void, while body: () async throws -> Result
  ) async rethrows -> Result {
    taker.withLock { $0 = action }
    defer { taker.withLock { $0 = nil } }
    return try await body()
  }

  /// The event that made ``descriptor`` readable.
  func next() -> Event? {
    var byte: UInt8 = 0
    return read(descriptor, &byte, 1) == 1 ? Event(rawValue: byte) : nil
  }

  private func interrupt() {
    guard let action = taker.withLock({ $0 }) else { return send(.interrupt) }
    tcflush(0, TCIFLUSH)  // what was typed ahead is given up too
    action()
  }

  private func send(_ event: Event) {
    var byte = event.rawValue
    _ = write(writer, &byte, 1)
  }
}

/// The terminal's echo. It is off while no line is read, so that what is typed ahead waits for the next prompt instead
/// of standing in the middle of an answer.
enum TerminalEcho {
  private static let original = Mutex<termios?>(nil)
  private static let restoresAtExit: Void = { atexit { TerminalEcho.on() } }()

  static func off() {
    _ = restoresAtExit
    original.withLock { original in
      var mode = termios()
      if original == nil, tcgetattr(0, &mode) == 0 { original = mode }
      if let original { silence(original) }
    }
  }

  /// Leaves the terminal as ``off()`` first found it.
  static func on() {
    original.withLock {
      if var mode = $0 { tcsetattr(0, TCSADRAIN, &mode) }
      $0 = nil
    }
  }

  /// Turns the echo off again where a shell turned it on while the program was suspended.
  static func resume() {
    original.withLock { if let mode = $0 { silence(mode) } }
  }

  private static func silence(_ mode: termios) {
    var mode = mode
    mode.c_lflag &= ~tcflag_t(ECHO | ICANON)
    mode.c_lflag |= tcflag_t(NOFLSH)  // Ctrl-C would take with it what of an answer has not been shown yet
    tcsetattr(0, TCSADRAIN, &mode)
  }
}
