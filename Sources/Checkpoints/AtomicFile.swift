// Nobody may ever find half a checkpoint under its name, whatever happens while it is being written.
#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// Bytes on their way into a file that takes its name only when it is complete and on the disk.
package final class AtomicFile {
  private static let bufferSize = 1 << 20

  private let path: String
  private let asidePath: String
  private var descriptor: Int32
  private var buffer: [UInt8] = []
  private var isInPlace = false

  /// Creates the file that is written aside, in the folder of `path`.
  package init(path: String) throws(CheckpointError) {
    self.path = path
    asidePath = "\(path).\(getpid())-\(UInt32.random(in: 0 ... .max)).partial"
    let opened = open(asidePath, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o666)
    guard opened >= 0 else {
      throw CheckpointError(path: path, message: "cannot be written: " + String(cString: strerror(errno)))
    }
    descriptor = opened
    buffer.reserveCapacity(Self.bufferSize)
  }

  package func append(_ bytes: UnsafeRawBufferPointer) throws {
    if buffer.count + bytes.count > Self.bufferSize { try flush() }
    if bytes.count >= Self.bufferSize {
      try write(bytes)
    } else {
      buffer.append(contentsOf: bytes)
    }
  }

  /// Brings everything to the disk and puts the file in its place, over an older one if there is one.
  package func commit() throws {
    try flush()
    guard fsync(descriptor) == 0 else { throw failure() }
    guard close(descriptor) == 0 else {
      descriptor = -1
      throw failure()
    }
    descriptor = -1
    guard rename(asidePath, path) == 0 else { throw failure() }
    isInPlace = true
    syncFolder()
  }

  deinit {
    if descriptor >= 0 { _ = close(descriptor) }
    if !isInPlace { unlink(asidePath) }
  }

  private func flush() throws {
    try buffer.withUnsafeBytes { try write($0) }
    buffer.removeAll(keepingCapacity: true)
  }

  private func write(_ bytes: UnsafeRawBufferPointer) throws(CheckpointError) {
    var rest = bytes
    while let start = rest.baseAddress, !rest.isEmpty {
      #if canImport(Glibc)
      let count = Glibc.write(descriptor, start, rest.count)
      #else
      let count = Darwin.write(descriptor, start, rest.count)
      #endif
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { throw failure() }
      rest = UnsafeRawBufferPointer(rebasing: rest[count...])
    }
  }

  /// The new name is on the disk only when the folder is; a file system that cannot do this is no failure.
  private func syncFolder() {
    let folder = path.lastIndex(of: "/").map { String(path[...$0]) } ?? "."
    let folderDescriptor = open(folder, O_RDONLY | O_CLOEXEC)
    guard folderDescriptor >= 0 else { return }
    fsync(folderDescriptor)
    close(folderDescriptor)
  }

  private func failure() -> CheckpointError {
    CheckpointError(path: path, message: "cannot be written: " + String(cString: strerror(errno)))
  }
}
