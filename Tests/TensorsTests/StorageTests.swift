// Buffers are used again, but what was needed once is not kept for ever.
import Foundation
import Tensors
import TestSupport
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
    #expect(pool.keptBytes <= kept)
  }

  @Test func `sizes waste less than a fifth`() {
    let pool = BufferPool(keepsAtMost: 0)
    for bytes in [257, 1000, 5121, 70_001, 10_000_001] {
      let (size, address) = pool.take(atLeast: bytes)
      #expect(size >= bytes && Double(size) <= Double(bytes) * 1.25)
      pool.give(address, sizeClass: size)
    }
  }

  @Test func `what large buffers leave serves other sizes`() {
    let pool = BufferPool(keepsAtMost: .max)
    let parts = (0..<8).map { _ in pool.take(atLeast: 1 << 20) }
    let first = parts.map(\.1).min()
    // In an order in which free parts meet from either side, from both, and not at all.
    for index in [1, 5, 3, 0, 7, 2, 6, 4] { pool.give(parts[index].1, sizeClass: parts[index].0) }
    #expect(pool.keptBytes == 8 << 20)
    let (size, whole) = pool.take(atLeast: 8 << 20)
    #expect(whole == first && pool.keptBytes == 0)
    pool.give(whole, sizeClass: size)
  }

  @Test(arguments: [0, 4 << 20, Int.max])
  func `large buffers never share a byte`(kept: Int) {
    let pool = BufferPool(keepsAtMost: kept)
    var random = SeededRandom(3), held: [(size: Int, address: UnsafeMutableRawPointer, mark: UInt64)] = []
    for _ in 0..<4000 {
      if held.count < 40, Bool.random(using: &random) {
        let (size, address) = pool.take(
          atLeast: Int.random(in: 1...2_000_000, using: &random), stays: Bool.random(using: &random)), mark = random.next()
        address.storeBytes(of: mark, as: UInt64.self)
        address.storeBytes(of: mark, toByteOffset: (size - 8) & ~7, as: UInt64.self)
        held.append((size, address, mark))
      } else if !held.isEmpty {
        let (size, address, mark) = held.remove(at: Int.random(in: 0..<held.count, using: &random))
        #expect(address.load(as: UInt64.self) == mark)
        #expect(address.load(fromByteOffset: (size - 8) & ~7, as: UInt64.self) == mark)
        pool.give(address, sizeClass: size)
      }
    }
    for (size, address, _) in held { pool.give(address, sizeClass: size) }
  }
}
