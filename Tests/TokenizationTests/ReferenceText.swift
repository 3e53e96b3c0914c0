// The Swift half of Fixtures/reference_text.py: the same random lines and the same hashes.
import Foundation
import TestSupport

/// Random Unicode text by line number.
struct ReferenceText: Decodable {
  private let ranges: [[UInt32]]
  private let snippets: [String]

  static func load() throws -> ReferenceText {
    try JSONDecoder().decode(ReferenceText.self, from: fixture("random-text.json"))
  }

  func line(_ number: Int) -> String {
    var random = SplitMix64(state: UInt64(number))
    var line = String.UnicodeScalarView()
    for _ in 0..<1 + random.below(24) {
      if random.below(3) == 0 {
        line.append(contentsOf: snippets[random.below(snippets.count)].unicodeScalars)
        continue
      }
      let range = ranges[random.below(ranges.count)]
      for _ in 0..<1 + random.below(4) {
        let code = range[0] + UInt32(random.below(Int(range[1] - range[0]) + 1))
        line.append(UnicodeScalar(code) ?? "\u{FFFD}")
      }
    }
    return String(line)
  }
}

/// Steele, Lea and Flood's SplitMix64.
struct SplitMix64 {
  var state: UInt64

  mutating func below(_ bound: Int) -> Int {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ z >> 30) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ z >> 27) &* 0x94D0_49BB_1331_11EB
    return Int((z ^ z >> 31) % UInt64(bound))
  }
}

/// 64-bit FNV-1a over the ids as little-endian 32-bit integers.
func fnv1a(_ ids: [Int32]) -> UInt64 {
  var state: UInt64 = 0xCBF2_9CE4_8422_2325
  for id in ids {
    for shift in stride(from: UInt32(0), to: 32, by: 8) {
      state = (state ^ UInt64(UInt32(bitPattern: id) >> shift & 0xFF)) &* 0x100_0000_01B3
    }
  }
  return state
}

/// The low 32 bits of `fnv1a` as eight hexadecimal digits.
func shortHash(_ ids: [Int32]) -> String {
  let digits = String(UInt32(truncatingIfNeeded: fnv1a(ids)), radix: 16)
  return String(repeating: "0", count: 8 - digits.count) + digits
}
