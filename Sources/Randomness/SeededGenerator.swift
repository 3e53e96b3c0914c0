// All chance comes from seeds: what was drawn once can be drawn again, from any place and on every machine.

/// A sequence of random numbers that a seed determines (SplitMix64; Steele, Lea, Flood 2014).
package struct SeededGenerator: RandomNumberGenerator, Sendable {
  private var state: UInt64

  package init(seed: UInt64) {
    state = seed
  }

  /// The numbers for one thing of many, which need not be drawn in order: no `index` has to wait for those before.
  /// - Parameters:
  ///   - stream: what the numbers are for, so that two uses of one seed have nothing to do with each other.
  ///   - index: the step, the row, the epoch.
  package init(seed: UInt64, stream: UInt64, index: Int) {
    // Each word passes the mixer before the next joins, so that neighbours begin far apart.
    var mixer = SeededGenerator(seed: seed)
    mixer.state = mixer.next() ^ stream
    mixer.state = mixer.next() ^ UInt64(truncatingIfNeeded: index)
    self.init(seed: mixer.next())
  }

  /// A stream for something that has a name, so that its numbers do not depend on what else there is (FNV-1a; Fowler,
  /// Noll, Vo).
  package static func stream(of name: String) -> UInt64 {
    name.utf8.reduce(0xcbf2_9ce4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
  }

  package mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ z >> 30) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ z >> 27) &* 0x94d0_49bb_1331_11eb
    return z ^ z >> 31
  }

  /// A number in `0 ..< bound`, each as likely; 0 for a bound below 1. The same whatever the version of Swift, which
  /// the standard library does not promise (Lemire: Fast random integer generation in an interval, 2019).
  package mutating func below(_ bound: Int) -> Int {
    guard bound > 1 else { return 0 }
    let bound = UInt64(bound)
    var product = next().multipliedFullWidth(by: bound)
    if product.low < bound {
      let least = (0 &- bound) % bound
      while product.low < least { product = next().multipliedFullWidth(by: bound) }
    }
    return Int(product.high)
  }

  /// A number in `0 ..< 1`.
  package mutating func uniform() -> Double { Double(next() >> 11) * 0x1p-53 }

  /// Puts the elements into one of all their orders, each as likely (Fisher and Yates).
  package mutating func shuffle<Element>(_ elements: inout [Element]) {
    for last in stride(from: elements.count - 1, to: 0, by: -1) { elements.swapAt(last, below(last + 1)) }
  }
}
