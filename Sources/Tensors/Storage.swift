// Memory of tensors. Activations live for microseconds, so freed buffers are kept and handed out again: fresh pages
// from the system would cost more than the work on them.
import Synchronization

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
  public init(byteCount: Int) {
    let (sizeClass, address) = BufferPool.shared.take(atLeast: byteCount)
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

/// Freed buffers by size. Sizes are rounded up to four steps per power of two, so that at most a fifth is unused.
package final class BufferPool: Sendable {
  package static let shared = BufferPool(keepsAtMost: 256 << 20)

  private struct Kept {
    var buffers: [Int: [UInt]] = [:]
    var bytes = 0
    var most: Int
    /// Larger buffers go straight back to the system.
    var largest = 64 << 20
  }
  private let kept: Mutex<Kept>

  /// - Parameter keepsAtMost: bytes of freed buffers beyond which all of them go back to the system: what is in use
  ///   now comes again, what served a longer text or a larger batch does not stay for ever.
  package init(keepsAtMost mostKept: Int) {
    kept = Mutex(Kept(most: mostKept))
  }

  /// For training, whose every step asks for the same buffers again, gradients of embeddings among them. No more is
  /// kept: a step frees in the order in which it does not ask, and the most memory would be what all steps ever freed.
  package func keepForTraining() { kept.withLock { ($0.most, $0.largest) = (768 << 20, 256 << 20) } }

  deinit { Self.deallocate(kept.withLock(\.buffers)) }

  /// Bytes of freed buffers.
  package var keptBytes: Int { kept.withLock(\.bytes) }

  private static func sizeClass(_ bytes: Int) -> Int {
    let bytes = max(bytes, 64)
    guard bytes <= 64 << 20 else { return (bytes + 4095) & ~4095 }
    let step = max(64, 1 << (Int.bitWidth - 1 - bytes.leadingZeroBitCount - 2))
    return (bytes + step - 1) / step * step
  }

  package func take(atLeast byteCount: Int) -> (Int, UnsafeMutableRawPointer) {
    let size = Self.sizeClass(byteCount)
    let address = kept.withLock { kept in
      let address = kept.buffers[size]?.popLast()
      if address != nil { kept.bytes -= size }
      return address
    }
    if let address, let pointer = UnsafeMutableRawPointer(bitPattern: address) { return (size, pointer) }
    return (size, UnsafeMutableRawPointer.allocate(byteCount: size, alignment: 64))
  }

  package func give(_ address: UnsafeMutableRawPointer, sizeClass: Int) {
    let number = UInt(bitPattern: address)
    let surplus: [Int: [UInt]] = kept.withLock { kept in
      guard sizeClass <= kept.largest else { return [sizeClass: [number]] }
      var surplus: [Int: [UInt]] = [:]
      if kept.bytes + sizeClass > kept.most {
        surplus = kept.buffers
        kept.buffers = [:]
        kept.bytes = 0
      }
      kept.buffers[sizeClass, default: []].append(number)
      kept.bytes += sizeClass
      return surplus
    }
    Self.deallocate(surplus)
  }

  private static func deallocate(_ buffers: [Int: [UInt]]) {
    for address in buffers.values.joined() { UnsafeMutableRawPointer(bitPattern: address)?.deallocate() }
  }
}
