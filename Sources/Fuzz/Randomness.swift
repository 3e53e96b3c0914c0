// A run must be repeatable from its seed and number alone, so all chance comes from here.
import Randomness

typealias SeededGenerator = Randomness.SeededGenerator

extension SeededGenerator {
  init(seed: UInt64, run: Int) {
    var mixer = SeededGenerator(seed: seed &* 0xd134_2543_de82_ef95 &+ UInt64(truncatingIfNeeded: run))
    self.init(seed: mixer.next() ^ seed)
  }

  /// True once in `times`.
  mutating func chance(_ times: Int) -> Bool { below(times) == 0 }

  /// A range inside `0 ..< count` of at most `most` elements.
  mutating func range(in count: Int, atMost most: Int) -> Range<Int> {
    let start = below(count)
    return start..<min(count, start + 1 + below(most))
  }

  /// An element; the list is not empty.
  mutating func pick<Element>(_ list: [Element]) -> Element { list[below(list.count)] }
}

/// Numbers at which readers of lengths, counts and offsets break.
let edgeNumbers: [UInt64] = [
  0, 1, 2, 3, 7, 8, 9, 12, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 255, 256, 257, 1023, 4095, 4096, 4097, 65_535,
  65_536, 1 << 20, 1 << 24, 1 << 30, 1 << 31 - 1, 1 << 31, 1 << 32 - 1, 1 << 32, 1 << 53, 1 << 62, 1 << 63 - 1, 1 << 63,
  .max - 31, .max,
]

extension [UInt8] {
  /// Damages bytes without knowing what they mean.
  mutating func damage(_ random: inout SeededGenerator) {
    guard !isEmpty else { return append(UInt8(truncatingIfNeeded: random.next())) }
    let place = random.below(count)
    switch random.below(8) {
    case 0: self[place] ^= 1 << UInt8(random.below(8))
    case 1: self[place] = UInt8(truncatingIfNeeded: random.next())
    case 2: removeLast(random.chance(4) ? count - place : Swift.min(count, 1 + random.below(16)))
    case 3: removeSubrange(random.range(in: count, atMost: 16))
    case 4: insert(UInt8(truncatingIfNeeded: random.next()), at: place)
    case 5: overwrite(at: place, with: random.pick(edgeNumbers), width: random.pick([1, 2, 4, 8]))
    case 6: insert(contentsOf: Array(self[random.range(in: count, atMost: 64)]), at: place)
    default:
      let copied = Array(self[random.range(in: count, atMost: 64)])
      for (offset, byte) in copied.enumerated() where place + offset < count { self[place + offset] = byte }
    }
  }

  /// Writes a little-endian number over what is there, as far as the bytes reach.
  mutating func overwrite(at place: Int, with number: UInt64, width: Int) {
    for index in 0..<width where place + index < count {
      self[place + index] = UInt8(truncatingIfNeeded: number >> UInt64(8 * index))
    }
  }
}
