// Weights are read from the page cache in place: a file is mapped, never copied.
#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// A file mapped read-only into memory for as long as this object lives.
public final class MappedFile: Sendable {
  /// Why a file could not be mapped.
  public struct Failure: Error, CustomStringConvertible {
    public let path: String
    public let reason: String
    public var description: String { "\(path): \(reason)" }
  }

  public let path: String
  private let address: UInt
  private let descriptor: CInt
  public let count: Int

  /// The file's bytes; valid while this object lives.
  public var bytes: UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(start: UnsafeRawPointer(bitPattern: address), count: count)
  }

  /// Maps the file at `path`.
  /// - Throws: ``Failure`` when the file cannot be opened, is no regular file, or is empty.
  public init(path: String) throws {
    self.path = path
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw Failure(path: path, reason: String(cString: strerror(errno))) }
    do {
      (address, count) = try Self.map(descriptor, path: path)
    } catch {
      close(descriptor)
      throw error
    }
    self.descriptor = descriptor
  }

  private static func map(_ descriptor: CInt, path: String) throws -> (UInt, Int) {
    var status = stat()
    guard fstat(descriptor, &status) == 0 else { throw Failure(path: path, reason: String(cString: strerror(errno))) }
    guard status.st_mode & S_IFMT == S_IFREG else { throw Failure(path: path, reason: "not a regular file") }
    guard status.st_size > 0 else { throw Failure(path: path, reason: "the file is empty") }
    let count = Int(status.st_size)
    guard let mapped = mmap(nil, count, PROT_READ, MAP_SHARED, descriptor, 0), mapped != MAP_FAILED else {
      throw Failure(path: path, reason: "cannot be mapped: " + String(cString: strerror(errno)))
    }
    return (UInt(bitPattern: mapped), count)
  }

  deinit {
    munmap(UnsafeMutableRawPointer(bitPattern: address), count)
    close(descriptor)
  }

  /// - Throws: ``Failure`` when the file has become shorter or cannot be read.
  public func copy(_ range: Range<Int>, to target: UnsafeMutableRawPointer) throws {
    var done = 0
    while done < range.count {
      let read = pread(descriptor, target + done, range.count - done, off_t(range.lowerBound + done))
      if read < 0, errno == EINTR { continue }
      guard read > 0 else {
        let reason = read < 0 ? String(cString: strerror(errno)) : "the file ends at byte \(range.lowerBound + done)"
        throw Failure(path: path, reason: reason + ", while it is being read up to byte \(range.upperBound)")
      }
      done += read
    }
  }
}
