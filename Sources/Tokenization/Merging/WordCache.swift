// Text repeats its words; a word seen before costs one probe instead of a merge.

/// A bounded memory of words of up to 15 bytes that became up to four tokens. Each has two places where it may lie, of
/// which a newcomer takes the one used less recently. Not thread-safe.
final class WordCache {
  static let longestWord = 15
  static let mostTokens = 4

  /// The bytes padded with zeros; the top byte of `high` holds the length and, from bit 4, the number of tokens.
  struct Key: BitwiseCopyable {
    var low: UInt64
    var high: UInt64
  }

  private struct Entry: BitwiseCopyable {
    var key: Key
    var tokens: SIMD4<Int32>
  }

  private static let setBits: UInt64 = 14
  private static let countMask: UInt64 = 0xF0 << 56
  private let entries = FlatTable(
    repeating: Entry(key: Key(low: 0, high: 0), tokens: .zero), count: 2 << Int(setBits))

  /// The key of the `length` bytes at `start`, of which `readable` may be read; `length` must be in 1...15.
  @inline(__always)
  static func key(_ start: UnsafePointer<UInt8>, length: Int, readable: Int) -> Key {
    var low: UInt64 = 0
    var high: UInt64 = 0
    if readable >= 16 {
      let raw = UnsafeRawPointer(start)
      low = UInt64(littleEndian: raw.loadUnaligned(as: UInt64.self))
      if length < 8 {
        low &= (1 << UInt64(8 * length)) &- 1
      } else {
        high = UInt64(littleEndian: raw.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
        high &= (1 << UInt64(8 * (length - 8))) &- 1
      }
    } else {
      for index in 0..<min(length, 8) { low |= UInt64(start[index]) << UInt64(8 * index) }
      for index in 8..<max(length, 8) { high |= UInt64(start[index]) << UInt64(8 * (index - 8)) }
    }
    return Key(low: low, high: high | UInt64(length) << 56)
  }

  @inline(__always)
  private static func firstSlot(_ key: Key) -> Int {
    var mixed = (key.low ^ key.high &* 0x9E37_79B9_7F4A_7C15) &* 0xD6E8_FEB8_6659_FD93
    mixed = (mixed ^ mixed >> 32) &* 0xD6E8_FEB8_6659_FD93
    return Int(truncatingIfNeeded: mixed >> (64 - setBits)) * 2
  }

  /// Appends the tokens of the word with `key` if they are remembered.
  @inline(__always)
  func append(_ key: Key, to output: inout TokenBuffer) -> Bool {
    let entry = entries.start + Self.firstSlot(key)
    if Self.matches(entry.pointee.key, key) {
      output.append(entry.pointee.tokens, count: Int(truncatingIfNeeded: entry.pointee.key.high >> 60))
      return true
    }
    guard Self.matches(entry[1].key, key) else { return false }
    swap(&entry[0], &entry[1])
    output.append(entry.pointee.tokens, count: Int(truncatingIfNeeded: entry.pointee.key.high >> 60))
    return true
  }

  @inline(__always)
  private static func matches(_ stored: Key, _ key: Key) -> Bool {
    stored.low == key.low && stored.high & ~countMask == key.high
  }

  /// Remembers that the word with `key` became the tokens of `output` from `position` on, if they are few enough.
  @inline(__always)
  func remember(_ key: Key, _ output: borrowing TokenBuffer, from position: Int) {
    let count = output.count - position
    guard count <= Self.mostTokens else { return }
    let high = key.high | UInt64(count) << 60
    let entry = entries.start + Self.firstSlot(key)
    entry[1] = entry[0]
    entry[0] = Entry(key: Key(low: key.low, high: high), tokens: output.four(from: position))
  }
}
