// Two processes that want the same model take turns.
import Foundation

/// An advisory lock (`flock`) on a file, which ends with the process at the latest.
package final class FileLock: Sendable {
  private let descriptor: Int32

  /// Takes the lock, or gives nil where someone else has it.
  ///
  /// The file is left in place afterwards: removing it would let two holders lock two files of one name.
  package init?(at url: URL) throws {
    try makeFolder(url.deletingLastPathComponent())
    let opened = open(url.path, O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
    guard opened >= 0 else { throw HubError.system(url.path, doing: "the lock cannot be made") }
    descriptor = opened
    while flock(descriptor, LOCK_EX | LOCK_NB) != 0 {
      let code = errno
      if code == EINTR { continue }
      close(descriptor)
      if code == EWOULDBLOCK { return nil }
      throw HubError.system(url.path, doing: "cannot be locked", code: code)
    }
  }

  /// Waits for the lock without holding a thread, calling `onWait` once where it has to wait.
  static func wait(for url: URL, onWait: () -> Void) async throws -> FileLock {
    var told = false
    while true {
      if let lock = try FileLock(at: url) { return lock }
      if !told { onWait() }
      told = true
      try await Task.sleep(for: .milliseconds(100))
    }
  }

  package func release() {
    flock(descriptor, LOCK_UN)
    close(descriptor)
  }
}
