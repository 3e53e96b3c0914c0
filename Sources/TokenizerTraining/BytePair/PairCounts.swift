// Which pairs of symbols there are and how often: the table that every merge changes in a few hundred places.

/// Two neighbouring symbols; pairs are ordered by the first, then the second.
typealias Pair = UInt64

@inline(__always) func pair(_ first: UInt32, _ second: UInt32) -> Pair { UInt64(first) << 32 | UInt64(second) }
@inline(__always) func first(_ pair: Pair) -> UInt32 { UInt32(truncatingIfNeeded: pair >> 32) }
@inline(__always) func second(_ pair: Pair) -> UInt32 { UInt32(truncatingIfNeeded: pair) }

/// Numbers pairs in the order in which they are met, and counts them.
struct PairCounts {
  private(set) var counts: [Int] = []
  private var pairs: [Pair] = []
  /// Index plus one, or zero.
  private var slots = [UInt32](repeating: 0, count: 1 << 12)
  private let factor = UInt64.random(in: .min ... .max) | 1

  var count: Int { pairs.count }

  func pair(at index: Int) -> Pair { pairs[index] }

  @inline(__always)
  mutating func add(_ delta: Int, at index: Int) { counts[index] += delta }

  /// The number of `pair`, which is added with a count of zero unless it is there.
  @inline(__always)
  mutating func index(of pair: Pair) -> Int {
    var slot = home(pair)
    while slots[slot] != 0 {
      let index = Int(slots[slot]) - 1
      if pairs[index] == pair { return index }
      slot = (slot + 1) & (slots.count - 1)
    }
    pairs.append(pair)
    counts.append(0)
    slots[slot] = UInt32(pairs.count)
    if pairs.count > slots.count / 2 { grow() }
    return pairs.count - 1
  }

  @inline(__always)
  private func home(_ pair: Pair) -> Int {
    let product = (pair ^ pair >> 29) &* factor
    return Int(truncatingIfNeeded: (product ^ product >> 32) & UInt64(slots.count - 1))
  }

  private mutating func grow() {
    slots = [UInt32](repeating: 0, count: slots.count * 2)
    for (index, pair) in pairs.enumerated() {
      var slot = home(pair)
      while slots[slot] != 0 { slot = (slot + 1) & (slots.count - 1) }
      slots[slot] = UInt32(index + 1)
    }
  }
}
