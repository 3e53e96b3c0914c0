// Training sees a text as its distinct words and how often each occurs; this is the table that counts them.
import Tokenization

/// Distinct byte strings with a count each: an open-addressing table over one buffer of bytes.
struct WordTable: Sendable {
  struct Entry: BitwiseCopyable {
    var offset: Int
    var length: UInt32
    /// The word's hash, which places it in the table.
    var tag: UInt32
    var count: Int
  }

  private(set) var entries: [Entry] = []
  private(set) var bytes: [UInt8] = []
  /// Tag and entry number plus one, or zero.
  private var slots = [UInt64](repeating: 0, count: 1 << 12)

  var isEmpty: Bool { entries.isEmpty }

  /// Calls `body` with each word and its count.
  func forEach(_ body: (UnsafeBufferPointer<UInt8>, Int) throws -> Void) rethrows {
    try bytes.withUnsafeBufferPointer { bytes in
      for entry in entries {
        let end = entry.offset + Int(entry.length)
        try body(UnsafeBufferPointer(rebasing: bytes[entry.offset..<end]), entry.count)
      }
    }
  }

  mutating func add(_ word: UnsafeBufferPointer<UInt8>, count: Int = 1) {
    guard let start = word.baseAddress, word.count > 0 else { return }
    add(start, word.count, tag: UInt32(truncatingIfNeeded: ByteHash.shared(start, word.count)), count: count)
  }

  mutating func merge(_ other: WordTable) {
    other.bytes.withUnsafeBufferPointer { bytes in
      guard let base = bytes.baseAddress else { return }
      for entry in other.entries {
        add(base + entry.offset, Int(entry.length), tag: entry.tag, count: entry.count)
      }
    }
  }

  @inline(__always)
  private mutating func add(_ start: UnsafePointer<UInt8>, _ length: Int, tag: UInt32, count: Int) {
    let mask = slots.count - 1
    var slot = Int(tag) & mask
    while true {
      let content = slots[slot]
      if content == 0 { break }
      if UInt32(truncatingIfNeeded: content >> 32) == tag {
        let index = Int(UInt32(truncatingIfNeeded: content)) - 1
        if holds(index, start, length) {
          entries[index].count += count
          return
        }
      }
      slot = (slot + 1) & mask
    }
    entries.append(Entry(offset: bytes.count, length: UInt32(length), tag: tag, count: count))
    bytes.append(contentsOf: UnsafeBufferPointer(start: start, count: length))
    slots[slot] = UInt64(tag) << 32 | UInt64(entries.count)
    if entries.count > slots.count / 2 { grow() }
  }

  @inline(__always)
  private func holds(_ index: Int, _ start: UnsafePointer<UInt8>, _ length: Int) -> Bool {
    let entry = entries[index]
    guard Int(entry.length) == length else { return false }
    return bytes.withUnsafeBufferPointer { bytes in
      for offset in 0..<length where bytes[entry.offset + offset] != start[offset] { return false }
      return true
    }
  }

  private mutating func grow() {
    let mask = slots.count * 2 - 1
    slots = [UInt64](repeating: 0, count: mask + 1)
    for (index, entry) in entries.enumerated() {
      var slot = Int(entry.tag) & mask
      while slots[slot] != 0 { slot = (slot + 1) & mask }
      slots[slot] = UInt64(entry.tag) << 32 | UInt64(index + 1)
    }
  }
}
