// A tensor's bytes lie in a mapped file or in memory, and must outlive everyone who holds a pointer to them.
import Tensors

/// A copy of bytes in memory.
final class OwnedBytes: ByteSource {
  private let address: UInt
  private let count: Int

  init(_ bytes: [UInt8]) {
    let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: max(1, bytes.count), alignment: 64)
    copy.copyBytes(from: bytes)
    address = UInt(bitPattern: copy.baseAddress)
    count = bytes.count
  }

  var bytes: UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(start: UnsafeRawPointer(bitPattern: address), count: count)
  }

  deinit {
    UnsafeMutableRawPointer(bitPattern: address)?.deallocate()
  }
}
