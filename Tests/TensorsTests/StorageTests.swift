// Buffers are used again, but what was needed once is not kept for ever.
import Foundation
import Tensors
import Testing

@Suite struct `Memory of tensors` {
  @Test func `is aligned to 64 bytes at any size`() {
    for count in [0, 1, 63, 64, 65, 100, 4097, 1 << 20, (64 << 20) + 1] {
      let storage = Storage(byteCount: count)
      #expect(storage.bytes.count == count)
      #expect(UInt(bitPattern: storage.bytes.baseAddress) % 64 == 0)
    }
  }

  @Test func `freed buffers serve again, up to a limit`() {
    let pool = BufferPool(keepsAtMost: 1 << 20)
    let (size, first) = pool.take(atLeast: 1000)
    pool.give(first, sizeClass: size)
    #expect(pool.keptBytes == size)
    let (_, again) = pool.take(atLeast: 1000)
    #expect(again == first)
    #expect(pool.keptBytes == 0)
    pool.give(again, sizeClass: size)

    let many = (0..<100).map { _ in pool.take(atLeast: 100_000) }
    for (size, address) in many {
      pool.give(address, sizeClass: size)
      #expect(pool.keptBytes <= 1 << 20)
    }
    let (hugeSize, huge) = pool.take(atLeast: 65 << 20)
    let kept = pool.keptBytes
    pool.give(huge, sizeClass: hugeSize)
    #expect(pool.keptBytes == kept)
  }

  @Test func `sizes waste less than a fifth`() {
    let pool = BufferPool(keepsAtMost: 0)
    for bytes in [257, 1000, 5121, 70_001, 10_000_001] {
      let (size, address) = pool.take(atLeast: bytes)
      #expect(size >= bytes && Double(size) <= Double(bytes) * 1.25)
      address.deallocate()
    }
  }
}
