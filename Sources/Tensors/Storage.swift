// Memory of tensors. Activations live for microseconds, so freed buffers are kept and handed out again: fresh pages
// from the system would cost more than the work on them.
import Synchronization

/// Bytes that tensors share: owned and 64-byte aligned, or borrowed from a mapped file.
public final class Storage: @unchecked Sendable {  // contents are written by the op that makes it, before it is shared
  public let bytes: UnsafeMutableRawBufferPointer
  private let owner: Owner

  private enum Owner {
    case pool(sizeClass: Int)
    case source(any ByteSource, Range<Int>)
  }

  /// Uninitialised memory of `byteCount` bytes, aligned to 64.
  public init(byteCount: Int) {
    let (sizeClass, address) = BufferPool.shared.take(atLeast: byteCount)
    bytes = UnsafeMutableRawBufferPointer(start: address, count: byteCount)
    owner = .pool(sizeClass: sizeClass)
  }

  /// A part of a file, read-only by agreement.
  init(source: any ByteSource, range: Range<Int>) {
    bytes = UnsafeMutableRawBufferPointer(mutating: UnsafeRawBufferPointer(rebasing: source.bytes[range]))
    owner = .source(source, range)
  }

  /// Gives the memory of a mapped file's pages back; reading them again fetches them again. Owned memory stays.
  func discardFilePages() {
    if case .source(let source, let range) = owner { source.discard(range) }
  }

  deinit {
    if case .pool(let sizeClass) = owner, let address = bytes.baseAddress {
      BufferPool.shared.give(address, sizeClass: sizeClass)
    }
  }
}

/// Freed buffers by size. Sizes are rounded up to four steps per power of two, so that at most a fifth is unused.
final class BufferPool: Sendable {
  static let shared = BufferPool()

  /// Larger buffers, weights among them, go straight back to the system.
  private static let largestKept = 64 << 20
  private let free = Mutex<[Int: [UInt]]>([:])

  private static func sizeClass(_ bytes: Int) -> Int {
    let bytes = max(bytes, 64)
    guard bytes <= largestKept else { return (bytes + 4095) & ~4095 }
    let step = max(64, 1 << (Int.bitWidth - 1 - bytes.leadingZeroBitCount - 2))
    return (bytes + step - 1) / step * step
  }

  func take(atLeast byteCount: Int) -> (Int, UnsafeMutableRawPointer) {
    let size = Self.sizeClass(byteCount)
    if let kept = free.withLock({ $0[size]?.popLast() }), let address = UnsafeMutableRawPointer(bitPattern: kept) {
      return (size, address)
    }
    return (size, UnsafeMutableRawPointer.allocate(byteCount: size, alignment: 64))
  }

  func give(_ address: UnsafeMutableRawPointer, sizeClass: Int) {
    guard sizeClass <= Self.largestKept else { return address.deallocate() }
    free.withLock { $0[sizeClass, default: []].append(UInt(bitPattern: address)) }
  }
}
