// Lookup tables are read on every word; plain memory spares them the reference counting of arrays in class fields.

/// Zeroed memory for `count` elements, owned by one object and written only while that object is being built.
final class FlatTable<Element: BitwiseCopyable>: @unchecked Sendable {
  let start: UnsafeMutablePointer<Element>
  let count: Int

  init(repeating value: Element, count: Int) {
    self.count = count
    start = .allocate(capacity: max(1, count))
    start.initialize(repeating: value, count: count)
  }

  deinit { start.deallocate() }
}

/// The smallest power of two that keeps an open-addressing table of `count` entries at most two thirds full.
func tableCapacity(for count: Int) -> Int {
  var capacity = 16
  while capacity / 3 * 2 < count { capacity *= 2 }
  return capacity
}

/// Keyed hashing of short byte strings by folded multiplication, as in wyhash. The key is drawn per process, so that
/// nobody can write a vocabulary whose pieces all collide.
package struct ByteHash: Sendable {
  package static let shared = ByteHash()
  private let key0 = UInt64.random(in: .min ... .max) | 1
  private let key1 = UInt64.random(in: .min ... .max) | 1

  @inline(__always)
  private static func fold(_ a: UInt64, _ b: UInt64) -> UInt64 {
    // Not `multipliedFullWidth`, which is a call into the library for every word.
    let product = UInt128(truncatingIfNeeded: a) &* UInt128(truncatingIfNeeded: b)
    return UInt64(truncatingIfNeeded: product >> 64) ^ UInt64(truncatingIfNeeded: product)
  }

  @inline(__always)
  package func callAsFunction(_ start: UnsafePointer<UInt8>, _ count: Int) -> UInt64 {
    let raw = UnsafeRawPointer(start)
    var state = key0 ^ UInt64(truncatingIfNeeded: count)
    var offset = 0
    while offset + 8 < count {
      state = Self.fold(state ^ raw.loadUnaligned(fromByteOffset: offset, as: UInt64.self), key1)
      offset += 8
    }
    var tail: UInt64 = 0
    if count >= 8 {
      tail = raw.loadUnaligned(fromByteOffset: count - 8, as: UInt64.self)
    } else if count >= 4 {
      let low = raw.loadUnaligned(fromByteOffset: 0, as: UInt32.self)
      let high = raw.loadUnaligned(fromByteOffset: count - 4, as: UInt32.self)
      tail = UInt64(low) | UInt64(high) << 32
    } else if count > 0 {
      tail = UInt64(start[0]) | UInt64(start[count / 2]) << 8 | UInt64(start[count - 1]) << 16
    }
    return Self.fold(state ^ tail, key1)
  }

  @inline(__always)
  package func callAsFunction(_ value: UInt64) -> UInt64 { Self.fold(value ^ key0, key1) }
}
