// The few things that are done with files here: whole ones that appear complete or not at all, and ones that grow.
import Foundation
import JSON

/// An open file that is closed with its owner.
final class OpenFile {
  let path: String
  let descriptor: Int32

  /// Opens a plain file; a pipe or a device, which could block or never end, is refused.
  init(path: String, _ flags: Int32) throws(TrackingError) {
    self.path = path
    descriptor = open(path, flags | O_CLOEXEC | O_NONBLOCK, 0o666)
    guard descriptor >= 0 else { throw TrackingError.system(path) }
    var information = stat()
    guard fstat(descriptor, &information) == 0, information.st_mode & S_IFMT == S_IFREG else {
      throw TrackingError(path: path, message: "is not a plain file")
    }
  }

  deinit { if descriptor >= 0 { close(descriptor) } }

  var size: Int {
    var information = stat()
    return fstat(descriptor, &information) == 0 ? Int(information.st_size) : 0
  }

  /// Up to `count` bytes from where the file is; none at its end.
  func next(_ count: Int) throws(TrackingError) -> [UInt8] {
    var failed = false
    let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
      var got: Int
      repeat { got = read(descriptor, buffer.baseAddress, count) } while got < 0 && errno == EINTR
      failed = got < 0
      filled = max(0, got)
    }
    if failed { throw TrackingError.system(path) }
    return bytes
  }

  func put(_ bytes: some Collection<UInt8>) throws(TrackingError) {
    let all = Array(bytes)
    var done = 0
    while done < all.count {
      let count = all[done...].withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { throw TrackingError.system(path) }
      done += count
    }
  }

  /// Whether nobody else held the lock, which ends with this object, also by the death of its process.
  func lock(exclusively: Bool) -> Bool { flock(descriptor, (exclusively ? LOCK_EX : LOCK_SH) | LOCK_NB) == 0 }
}

extension TrackingError {
  /// What the system said last about a file.
  static func system(_ path: String) -> TrackingError {
    TrackingError(path: path, message: String(cString: strerror(errno)))
  }
}

/// A file that is only ever added to, by whole records.
struct GrowingFile {
  let file: OpenFile
  private var length: Int

  /// - Parameter keeping: the bytes that stay of a file that is there already.
  init(_ file: OpenFile, keeping: Int = .max) throws(TrackingError) {
    self.file = file
    length = min(keeping, file.size)
    guard ftruncate(file.descriptor, off_t(length)) == 0 else { throw TrackingError.system(file.path) }
  }

  /// Adds a record; where that fails, as on a full disk, nothing of it stays in the way of the next.
  mutating func append(_ record: some Collection<UInt8>) throws(TrackingError) {
    do {
      try file.put(record)
    } catch {
      ftruncate(file.descriptor, off_t(length))
      throw error
    }
    length += record.count
  }
}

enum RunFiles {
  /// The largest JSON document of a run that is read.
  static let greatestDocument = 64 << 20

  static func document(_ path: String) throws(TrackingError) -> JSONValue {
    let file = try OpenFile(path: path, O_RDONLY)
    guard file.size <= greatestDocument else {
      throw TrackingError(path: path, message: "\(file.size) bytes; at most \(greatestDocument) are read")
    }
    var bytes: [UInt8] = []
    while bytes.count <= greatestDocument, case let piece = try file.next(1 << 16), !piece.isEmpty { bytes += piece }
    do {
      return try JSONValue(parsing: bytes)
    } catch {
      throw TrackingError(path: path, field: error.field?.printable, message: error.message.printable)
    }
  }

  /// Writes a document that takes its name when it is complete and on the disk.
  static func write(_ value: JSONValue, to path: String) throws(TrackingError) {
    try write((value.text(indent: 2) + "\n").utf8, to: path)
  }

  /// Writes a file that takes its name when it is complete and on the disk.
  static func write(_ bytes: some Collection<UInt8>, to path: String) throws(TrackingError) {
    let aside = "\(path).\(getpid())-\(UInt32.random(in: 0 ... .max)).partial"
    let file = try OpenFile(path: aside, O_WRONLY | O_CREAT | O_EXCL)
    do throws(TrackingError) {
      try file.put(bytes)
      guard fsync(file.descriptor) == 0, rename(aside, path) == 0 else { throw TrackingError.system(path) }
    } catch {
      unlink(aside)
      throw error
    }
  }
}
