// A tensor's bytes may lie in a mapped file or in memory; they must outlive everyone who holds a pointer to them.

/// Bytes that stay at one address for as long as the object lives.
public protocol ByteSource: AnyObject, Sendable {
  var bytes: UnsafeRawBufferPointer { get }

  /// The bytes in `range` are not needed soon; a file's pages may leave memory until they are read again.
  func discard(_ range: Range<Int>)
}

extension ByteSource {
  public func discard(_ range: Range<Int>) {}
}

extension MappedFile: ByteSource {}
