// Text that is no list of words is still made of parts that repeat; here their tokens are kept with their lengths.

/// A bounded memory of parts of up to 15 bytes that became up to four tokens. Not thread-safe.
final class PartCache {
  struct Tokens: BitwiseCopyable {
    var count = 0
    var ids = SIMD4<Int32>(repeating: 0)
    /// Where each token ends in the part.
    var ends = SIMD4<UInt8>(repeating: 0)

    mutating func append(_ id: Int32, _ end: Int) {
      if count < 4 {
        ids[count] = id
        ends[count] = UInt8(truncatingIfNeeded: end)
      }
      count += 1
    }
  }

  private struct Entry: BitwiseCopyable {
    var key = WordCache.Key(low: 0, high: 0)
    var tokens = Tokens()
  }

  private let entries = FlatTable(repeating: Entry(), count: 1 << 14)

  private static func slot(_ key: WordCache.Key) -> Int {
    let mixed = (key.low ^ key.high &* 0x9E37_79B9_7F4A_7C15) &* 0xD6E8_FEB8_6659_FD93
    return Int(truncatingIfNeeded: ((mixed ^ mixed >> 32) &* 0xD6E8_FEB8_6659_FD93) >> 50)
  }

  /// Calls `emit` with the tokens of the part with `key` if they are remembered, and says whether they are.
  @inline(__always)
  func forEach(_ key: WordCache.Key, _ emit: (Int32, Int, Int) -> Void) -> Bool {
    let entry = entries.start + Self.slot(key)
    guard entry.pointee.key.low == key.low, entry.pointee.key.high == key.high else { return false }
    var start = 0
    for index in 0..<entry.pointee.tokens.count {
      let end = Int(entry.pointee.tokens.ends[index])
      emit(entry.pointee.tokens.ids[index], start, end)
      start = end
    }
    return true
  }

  func remember(_ key: WordCache.Key, _ tokens: Tokens) {
    if tokens.count <= 4 { entries.start[Self.slot(key)] = Entry(key: key, tokens: tokens) }
  }
}
