// A file that is being written: hashed as it grows, and given its name only when it is whole and on the disk.
import Crypto
import Foundation
import Synchronization

/// A growing file and the SHA-256 of what it holds so far.
final class PartialFile: Sendable {
  let url: URL
  private let descriptor: Int32
  private let state: Mutex<State>

  private struct State: @unchecked Sendable {
    var hasher = SHA256()
    var count: Int64 = 0
  }

  /// Opens or makes the file. What it already holds is read and hashed where it is to be kept, else dropped.
  init(at url: URL, keeping: Bool) throws {
    self.url = url
    descriptor = open(url.path, O_RDWR | O_CREAT | O_CLOEXEC | (keeping ? 0 : O_TRUNC), 0o644)
    guard descriptor >= 0 else { throw HubError.system(url.path, doing: "cannot be opened") }
    state = Mutex(State())
    if keeping { try hashContents() }
  }

  deinit { close(descriptor) }

  /// In bytes.
  var count: Int64 { state.withLock { $0.count } }

  /// The SHA-256 of everything written, in hexadecimal.
  var digest: String {
    state.withLock { $0.hasher.finalize() }.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
  }

  func append(_ data: Data) throws {
    try data.withUnsafeBytes { try append($0) }
  }

  func append(_ bytes: UnsafeRawBufferPointer) throws {
    var rest = bytes[...]
    while !rest.isEmpty {
      let written = write(descriptor, UnsafeRawBufferPointer(rebasing: rest).baseAddress, rest.count)
      if written < 0 {
        if errno == EINTR { continue }
        throw HubError.system(url.path, doing: "cannot be written")
      }
      let part = UnsafeRawBufferPointer(rebasing: rest.prefix(written))
      state.withLock {
        $0.hasher.update(bufferPointer: part)
        $0.count += Int64(written)
      }
      rest = rest.dropFirst(written)
    }
  }

  /// Begins again with an empty file.
  func restart() throws {
    guard count > 0 else { return }
    guard ftruncate(descriptor, 0) == 0, lseek(descriptor, 0, SEEK_SET) == 0 else {
      throw HubError.system(url.path, doing: "cannot be emptied")
    }
    state.withLock { $0 = State() }
  }

  /// Writes everything through to the disk and gives the file its name, replacing any file of that name.
  func finish(as destination: URL) throws {
    guard fsync(descriptor) == 0 else { throw HubError.system(url.path, doing: "cannot be written to disk") }
    guard rename(url.path, destination.path) == 0 else {
      throw HubError.system(destination.path, doing: "cannot be put in place")
    }
    // The new name is safe only when the folder is too; not every file system can do it, so a failure is no error.
    let folder = open(destination.deletingLastPathComponent().path, O_RDONLY | O_CLOEXEC)
    if folder >= 0 {
      fsync(folder)
      close(folder)
    }
  }

  /// Leaves the write position at the end.
  private func hashContents() throws {
    try withUnsafeTemporaryAllocation(byteCount: 1 << 20, alignment: 64) { buffer in
      while true {
        let count = read(descriptor, buffer.baseAddress, buffer.count)
        if count == 0 { return }
        if count < 0 {
          if errno == EINTR { continue }
          throw HubError.system(url.path, doing: "cannot be read")
        }
        state.withLock {
          $0.hasher.update(bufferPointer: UnsafeRawBufferPointer(rebasing: buffer[..<count]))
          $0.count += Int64(count)
        }
      }
    }
  }
}

/// Runs slow file work on a thread of its own rather than on one of the few that carry all tasks.
func offTasks<Value: Sendable>(_ work: @escaping @Sendable () throws -> Value) async throws -> Value {
  try await withCheckedThrowingContinuation { continuation in
    DispatchQueue.global().async { continuation.resume(with: Result { try work() }) }
  }
}
