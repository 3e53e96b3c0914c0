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
    /// Keys that a Ctrl-C presses: the cursor goes behind the whole text, then the line is given up.
    var interruption: [Int32] = []
    var isInterrupted = false
  }

  /// Where lines are shown: standard output is for answers only when it goes to a file.
  static let output: Int32 = isatty(1) == 1 ? 1 : 2

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
    editline_start({ _ in LineEditor.nextKey() }, LineEditor.complete, Self.output)
    stifle_history(Int32(ChatHistory.limit))
    // Only now that libedit has seen how the terminal was.
    TerminalEcho.off()
  }

  /// libedit counts columns by the locale's encoding; a machine without a locale still has a UTF-8 terminal.
  private static func chooseEncoding() {
    for name in ["", "C.UTF-8", "en_US.UTF-8"] where setlocale(LC_CTYPE, name) != nil {
      if String(cString: nl_langinfo(nl_item(CODESET))).uppercased() == "UTF-8" { return }
    }
  }

  /// Puts a line where the arrow keys find it.
  func remember(_ line: String) { add_history(line) }

  /// Before and after, the terminal has no echo.
  /// - Parameter prompt: shown before the line; escape sequences stand between U+0001 and U+0002.
  func read(_ prompt: String) async -> Input {
    await withCheckedContinuation { continuation in
      queue.async { continuation.resume(returning: Self.read(prompt)) }
    }
  }

  private static func read(_ prompt: String) -> Input {
    setBracketedPaste(true)
    let line = readline(prompt)
    TerminalEcho.off()
    setBracketedPaste(false)
    defer { free(line) }
    guard let text = line.map({ String(cString: $0) }) else { return .end }
    return shared.withLock { state in
      defer { state.isInterrupted = false }
      return state.isInterrupted ? .interrupted(wasEmpty: text.isEmpty) : .line(text)
    }
  }

  private static func setBracketedPaste(_ isOn: Bool) {
    let code = Array("\u{1B}[?2004\(isOn ? "h" : "l")".utf8)
    _ = write(output, code, code.count)
  }

  /// The next key for libedit; -1 makes it leave off.
  private static func nextKey() -> Int32 {
    guard let signals = shared.withLock({ $0.signals }) else { return -1 }
    while true {
      if let key = shared.withLock({ $0.interruption.popLast() }) { return key }
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
        case .interrupt?: interrupt()
        case .resize?: rl_resize_terminal()
        case .resume?: editline_resume()
        case nil: break
        }
      } else if waited[0].revents != 0, !fill() {
        return -1
      }
    }
  }

  private static func interrupt() {
    let controlE: Int32 = 5, carriageReturn: Int32 = 13
    shared.withLock {
      $0.interruption = [carriageReturn, controlE]
      $0.isInterrupted = true
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
    // The first of the list is what all have in common.
    let common = found.dropFirst().reduce(first) { $0.commonPrefix(with: $1) }
    return cStrings([common] + found)
  }

  /// A nil-terminated array of C strings, for libedit to free.
  private static func cStrings(_ strings: [String]) -> UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>? {
    typealias Element = UnsafeMutablePointer<CChar>?
    let array = calloc(strings.count + 1, MemoryLayout<Element>.stride)?
      .bindMemory(to: Element.self, capacity: strings.count + 1)
    for (index, string) in strings.enumerated() { array?[index] = strdup(string) }
    return array
  }
}
