// A terminal in which a test runs a program as a person would.
import Foundation
import Synchronization

/// A program in a pseudo-terminal of its own.
public final class Terminal: Sendable {
  private let master: Int32
  private let process: pid_t
  private let output = Mutex("")
  private let status = Mutex<Int32?>(nil)

  public struct Failure: Error, CustomStringConvertible {
    public let description: String
  }

  /// Starts a program.
  /// - Parameter environment: all of its environment.
  public init(
    _ executable: URL, _ arguments: [String], environment: [String: String], columns: Int = 80, rows: Int = 24
  ) throws {
    func check(_ holds: Bool, _ what: String) throws {
      if !holds { throw Failure(description: "\(what): \(String(cString: strerror(errno)))") }
    }
    var size = winsize(ws_row: UInt16(rows), ws_col: UInt16(columns), ws_xpixel: 0, ws_ypixel: 0)
    var ends: (master: Int32, slave: Int32) = (-1, -1)
    try check(openpty(&ends.master, &ends.slave, nil, nil, &size) == 0, "no pseudo-terminal")
    master = ends.master
    defer { close(ends.slave) }
    for end in [ends.master, ends.slave] { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    guard let name = ttyname(ends.slave).map({ String(cString: $0) }) else {
      throw Failure(description: "the pseudo-terminal has no name")
    }
    #if os(Linux)
    // Glibc's header has POSIX_SPAWN_SETSID for GNU C only.
    let newSession: Int16 = 0x80
    var actions = posix_spawn_file_actions_t(), attributes = posix_spawnattr_t()
    #else
    let newSession = Int16(POSIX_SPAWN_SETSID)
    var actions: posix_spawn_file_actions_t?, attributes: posix_spawnattr_t?
    #endif
    posix_spawn_file_actions_init(&actions)
    posix_spawnattr_init(&attributes)
    defer {
      posix_spawn_file_actions_destroy(&actions)
      posix_spawnattr_destroy(&attributes)
    }
    // The first terminal that the leader of a session opens controls it: Ctrl-C becomes a signal.
    posix_spawn_file_actions_addopen(&actions, 0, name, O_RDWR, 0)
    posix_spawn_file_actions_adddup2(&actions, 0, 1)
    posix_spawn_file_actions_adddup2(&actions, 0, 2)
    var defaults = sigset_t()
    sigemptyset(&defaults)
    sigaddset(&defaults, SIGINT)
    posix_spawnattr_setsigdefault(&attributes, &defaults)
    posix_spawnattr_setflags(&attributes, newSession | Int16(POSIX_SPAWN_SETSIGDEF))

    var words = ([executable.path] + arguments).map { strdup($0) } + [nil]
    var variables = environment.map { strdup("\($0)=\($1)") } + [nil]
    defer { for text in words + variables { free(text) } }
    var started = pid_t()
    let result = posix_spawn(&started, executable.path, &actions, &attributes, &words, &variables)
    process = started
    guard result == 0 else {
      close(master)
      throw Failure(description: "\(executable.path): \(String(cString: strerror(result)))")
    }
    // A descriptor of its own: this object may go, and close the other, at any time.
    let reader = dup(master)
    Thread.detachNewThread { [weak self] in
      defer { close(reader) }
      var bytes = [UInt8](repeating: 0, count: 65536)
      var rest: [UInt8] = []
      while true {
        let count = read(reader, &bytes, bytes.count)
        if count < 0, errno == EINTR { continue }
        guard count > 0 else { break }
        rest += bytes.prefix(count)
        // A character may come in two parts.
        let whole = rest.count - (1...4).reduce(0) { cut, back in
          guard rest.count >= back, rest[rest.count - back] >= 0xC0 else { return cut }
          let byte = rest[rest.count - back], length = byte >= 0xF0 ? 4 : byte >= 0xE0 ? 3 : 2
          return length > back ? back : cut
        }
        let text = String(decoding: rest.prefix(whole), as: UTF8.self)
        rest.removeFirst(whole)
        self?.output.withLock { $0 += text }
      }
    }
  }

  deinit {
    if status.withLock({ $0 }) == nil {
      kill(process, SIGKILL)
      waitpid(process, nil, 0)
    }
    close(master)
  }

  /// All that has been shown, escape sequences and echo included.
  public var text: String { output.withLock { $0 } }

  /// Types.
  public func send(_ text: String) {
    let bytes = Array(text.utf8)
    _ = write(master, bytes, bytes.count)
  }

  /// Waits until `expected` is shown, and takes all output up to its end.
  /// - Returns: what stood before it, without escape sequences.
  @discardableResult
  public func wait(for expected: String, seconds: Double = 30) throws -> String {
    let end = Date().addingTimeInterval(seconds)
    while Date() < end {
      let found = output.withLock { output -> String? in
        let plain = Self.withoutEscapes(output)
        guard let range = plain.range(of: expected) else { return nil }
        output = String(plain[range.upperBound...])
        return String(plain[..<range.lowerBound])
      }
      if let found { return found }
      Thread.sleep(forTimeInterval: 0.01)
    }
    throw Failure(description: "“\(expected)” did not come in \(seconds) s, but: \(Self.withoutEscapes(text))")
  }

  /// Waits for the program's end.
  /// - Returns: its exit status; 128 and the signal's number where one ended it.
  public func exitStatus(seconds: Double = 30) throws -> Int32 {
    let end = Date().addingTimeInterval(seconds)
    while Date() < end {
      var code: Int32 = 0
      if waitpid(process, &code, WNOHANG) == process {
        status.withLock { $0 = code }
        return code & 0x7F == 0 ? code >> 8 & 0xFF : 128 + code & 0x7F
      }
      Thread.sleep(forTimeInterval: 0.01)
    }
    throw Failure(description: "still running after \(seconds) s; shown: \(Self.withoutEscapes(text))")
  }

  /// Text without CSI sequences and carriage returns; one that is not whole yet stays.
  private static func withoutEscapes(_ text: String) -> String {
    var plain = String.UnicodeScalarView(), rest = text.unicodeScalars[...]
    while let scalar = rest.first {
      if scalar == "\u{1B}", rest.dropFirst().first == "[",
        let end = rest.dropFirst(2).firstIndex(where: { (0x40...0x7E).contains($0.value) })
      {
        rest = rest[rest.index(after: end)...]
      } else {
        if scalar != "\r" { plain.append(scalar) }
        rest.removeFirst()
      }
    }
    return String(plain)
  }
}

/// A program of this package, which the build leaves beside the tests.
public func program(_ name: String) -> URL {
  #if os(macOS)
  let bundle = Bundle.allBundles.first { $0.bundlePath.hasSuffix(".xctest") } ?? .main
  return bundle.bundleURL.deletingLastPathComponent().appendingPathComponent(name)
  #else
  return Bundle.main.bundleURL.appendingPathComponent(name)
  #endif
}
