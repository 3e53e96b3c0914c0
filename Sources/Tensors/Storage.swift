// Memory of tensors.

/// Bytes that tensors share: owned and 64-byte aligned, or borrowed from a mapped file.
public final class Storage: @unchecked Sendable {  // contents are written by the op that makes it, before it is shared
  public let bytes: UnsafeMutableRawBufferPointer
  private let owner: Owner

  private enum Owner {
    case pool(sizeClass: Int)
    case slab(Slab)
    case source(any ByteSource, Range<Int>)
  }

  /// Uninitialised memory of `byteCount` bytes, aligned to 64.
  /// - Parameter stays: whether it outlives most that is asked for after it, as a weight's gradient does.
  public init(byteCount: Int, stays: Bool = false) {
    let (sizeClass, address) = BufferPool.shared.take(atLeast: byteCount, stays: stays)
    bytes = UnsafeMutableRawBufferPointer(start: address, count: byteCount)
    owner = .pool(sizeClass: sizeClass)
  }

  /// Uninitialised memory for what stays, such as a weight.
  init(lastingByteCount byteCount: Int) {
    let (slab, address) = Slab.take(byteCount)
    bytes = UnsafeMutableRawBufferPointer(start: address, count: byteCount)
    owner = .slab(slab)
  }

  /// A part of a file, read-only by agreement.
  init(source: any ByteSource, range: Range<Int>) {
    bytes = UnsafeMutableRawBufferPointer(mutating: UnsafeRawBufferPointer(rebasing: source.bytes[range]))
    owner = .source(source, range)
  }

  /// Copies a part of these bytes; a file is read for it, not mapped.
  func copy(_ part: Range<Int>, to target: UnsafeMutableRawPointer) throws {
    guard case .source(let source, let range) = owner else {
      return UnsafeMutableRawBufferPointer(start: target, count: part.count).copyMemory(
        from: UnsafeRawBufferPointer(rebasing: bytes[part]))
    }
    try source.copy(range.lowerBound + part.lowerBound..<range.lowerBound + part.upperBound, to: target)
  }

  deinit {
    if case .pool(let sizeClass) = owner, let address = bytes.baseAddress {
      BufferPool.shared.give(address, sizeClass: sizeClass)
    }
  }
}
