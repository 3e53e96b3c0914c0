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
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0 else { throw Failure(path: path, reason: String(cString: strerror(errno))) }
    guard status.st_mode & S_IFMT == S_IFREG else { throw Failure(path: path, reason: "not a regular file") }
    guard status.st_size > 0 else { throw Failure(path: path, reason: "the file is empty") }
    count = Int(status.st_size)
    guard let mapped = mmap(nil, count, PROT_READ, MAP_SHARED, descriptor, 0), mapped != MAP_FAILED else {
      throw Failure(path: path, reason: "cannot be mapped: " + String(cString: strerror(errno)))
    }
    address = UInt(bitPattern: mapped)
  }

  deinit {
    munmap(UnsafeMutableRawPointer(bitPattern: address), count)
  }

  /// Tells the system that the pages of `range` are not needed soon; reading them again brings them back.
  ///
  /// The system maps whole groups of pages at a first touch, so what lies around the range, up to the next 2 MiB, goes
  /// along: otherwise a file that is read piece by piece stays half in memory.
  public func discard(_ range: Range<Int>) {
    let group = 2 << 20
    let first = max(0, range.lowerBound) / group * group
    let last = min((range.upperBound + group - 1) / group * group, count)
    guard first < last else { return }
    madvise(UnsafeMutableRawPointer(bitPattern: address + UInt(first)), last - first, MADV_DONTNEED)
  }
}
