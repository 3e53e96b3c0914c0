// One line from a person, edited with libedit.
import CEditLine
import Foundation
import Synchronization

/// Reads lines from the terminal. There is one, because libedit has one state per process.
final class LineEditor: Sendable {
  enum Input {
    case line(String)
    case interrupted(wasEmpty: Bool)
    case end
  }

  private struct State {
    var decoder = KeyDecoder()
    var signals: ChatSignals?
    var completions: [String] = []
    var isInterrupted = false
    var wasEmpty = false
  }

  // libedit calls functions that know nothing but themselves.
  private static let shared = Mutex(State())
  private let queue = DispatchQueue(label: "malmoi terminal")

  /// - Parameter completions: what Tab makes of the beginning of a line.
  init(signals: ChatSignals, completions: [String]) {
    Self.shared.withLock {
      $0.signals = signals
      $0.completions = completions
    }
    Self.chooseEncoding()
    editline_start({ _ in LineEditor.nextKey() }, LineEditor.complete, isatty(1) == 1 ? 1 : 2)
    stifle_history(Int32(ChatHistory.limit))
  }

  /// libedit counts columns by the locale's encoding; a machine without a locale still has a UTF-8 terminal.
  private static func chooseEncoding() {
    for name in ["", "C.UTF-8", "en_US.UTF-8"] where setlocale(LC_CTYPE, name) != nil {
      if String(cString: nl_langinfo(nl_item(CODESET))).uppercased() == "UTF-8" { return }
    }
  }

  /// Puts a line where the arrow keys find it.
  func remember(_ line: String) { add_history(line) }

  /// - Parameter prompt: shown before the line; escape sequences stand between U+0001 and U+0002.
  func read(_ prompt: String) async -> Input {
    await withCheckedContinuation { continuation in
      queue.async { continuation.resume(returning: Self.read(prompt)) }
    }
  }

  private static func read(_ prompt: String) -> Input {
    shared.withLock { $0.isInterrupted = false }
    setBracketedPaste(true)
    let line = readline(prompt)
    setBracketedPaste(false)
    defer { free(line) }
    if let line { return .line(String(cString: line)) }
    return shared.withLock { $0.isInterrupted ? .interrupted(wasEmpty: $0.wasEmpty) : .end }
  }

  private static func setBracketedPaste(_ isOn: Bool) {
    let code = Array("\u{1B}[?2004\(isOn ? "h" : "l")".utf8)
    _ = write(isatty(1) == 1 ? 1 : 2, code, code.count)
  }

  /// The next key for libedit; -1 makes it leave off.
  private static func nextKey() -> Int32 {
    let (signals, isInterrupted) = shared.withLock { ($0.signals, $0.isInterrupted) }
    guard let signals, !isInterrupted else { return -1 }
    while true {
      let (key, isWaiting) = shared.withLock { ($0.decoder.next(), $0.decoder.isWaiting) }
      if let key { return Int32(key.value) }
      var waited = [
        pollfd(fd: 0, events: Int16(POLLIN), revents: 0),
        pollfd(fd: signals.descriptor, events: Int16(POLLIN), revents: 0),
      ]
      let ready = poll(&waited, 2, isWaiting ? 50 : -1)
      if ready < 0, errno != EINTR { return -1 }
      if ready == 0, let key = shared.withLock({ $0.decoder.next(isComplete: true) }) { return Int32(key.value) }
      guard ready > 0 else { continue }
      if waited[1].revents != 0 {
        switch signals.next() {
        case .interrupt?:
          interrupt()
          return endOfLine
        case .redraw?: editline_redraw()
        case nil: break
        }
      } else if waited[0].revents != 0, !fill() {
        return -1
      }
    }
  }

  /// Ctrl-E: the cursor goes behind the whole text before it is abandoned.
  private static let endOfLine: Int32 = 5

  private static func interrupt() {
    shared.withLock {
      $0.isInterrupted = true
      $0.wasEmpty = editline_line_is_empty() != 0
      $0.decoder.reset()
    }
  }

  /// Takes what the terminal has; false at its end.
  private static func fill() -> Bool {
    var bytes = [UInt8](repeating: 0, count: 4096)
    let count = Foundation.read(0, &bytes, bytes.count)
    if count < 0 { return errno == EINTR || errno == EAGAIN }
    shared.withLock { $0.decoder.append(bytes.prefix(count)) }
    return count > 0
  }

  private static let complete: @convention(c) (
    UnsafePointer<CChar>?, Int32, Int32
  ) -> UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>? = { word, start, _ in
    // Further words are names of files.
    guard start == 0, let word else { return nil }
    editline_complete_no_files()
    let beginning = String(cString: word)
    let found = shared.withLock { $0.completions }.filter { $0.hasPrefix(beginning) }
    guard let first = found.first else { return nil }
    let common = found.dropFirst().reduce(first) { $0.commonPrefix(with: $1) }
    // libedit frees the list and its texts: the common beginning, all of them, nil.
    let list = [common] + found
    return list.withCStringArray { $0 }
  }
}

extension [String] {
  /// A nil-terminated array of C strings that belongs to whoever gets it.
  fileprivate func withCStringArray<Result>(
    _ body: (UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?) -> Result
  ) -> Result {
    let size = MemoryLayout<UnsafeMutablePointer<CChar>?>.stride
    let array = calloc(count + 1, size)?.bindMemory(to: UnsafeMutablePointer<CChar>?.self, capacity: count + 1)
    for (index, string) in enumerated() { array?[index] = strdup(string) }
    return body(array)
  }
}
