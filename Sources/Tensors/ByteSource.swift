// A tensor's bytes may lie in a mapped file or in memory; they must outlive everyone who holds a pointer to them.

/// Bytes that stay at one address for as long as the object lives.
public protocol ByteSource: AnyObject, Sendable {
  var bytes: UnsafeRawBufferPointer { get }

  /// Copies the bytes in `range`. A file is read for it, not mapped, so that its pages do not count as this process's.
  /// - Throws: when a file has become shorter or cannot be read.
  func copy(_ range: Range<Int>, to target: UnsafeMutableRawPointer) throws
}

extension ByteSource {
  public func copy(_ range: Range<Int>, to target: UnsafeMutableRawPointer) throws {
    UnsafeMutableRawBufferPointer(start: target, count: range.count).copyMemory(
      from: UnsafeRawBufferPointer(rebasing: bytes[range]))
  }
}

extension MappedFile: ByteSource {}
