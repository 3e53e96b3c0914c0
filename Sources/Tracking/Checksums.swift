// The sums that event files (CRC-32C) and PNG files (CRC-32, Adler-32) carry.

/// A cyclic redundancy check of 32 bits, least significant bit first, begun and ended with all bits set.
package struct CRC32: Sendable {
  private let table: [UInt32]

  /// CRC-32 as in PNG and zip.
  package static let ieee = CRC32(reversedPolynomial: 0xEDB8_8320)
  /// CRC-32C (RFC 3720), after Castagnoli.
  package static let castagnoli = CRC32(reversedPolynomial: 0x82F6_3B78)

  private init(reversedPolynomial: UInt32) {
    table = (0..<256).map { byte in
      (0..<8).reduce(UInt32(byte)) { sum, _ in sum & 1 == 0 ? sum >> 1 : sum >> 1 ^ reversedPolynomial }
    }
  }

  package func callAsFunction(_ bytes: some Sequence<UInt8>) -> UInt32 {
    ~bytes.reduce(UInt32.max) { sum, byte in sum >> 8 ^ table[Int(UInt8(truncatingIfNeeded: sum) ^ byte)] }
  }
}

/// Adler-32 (RFC 1950).
package func adler32(_ bytes: [UInt8]) -> UInt32 {
  var low: UInt32 = 1, high: UInt32 = 0
  for byte in bytes {
    low = (low + UInt32(byte)) % 65_521
    high = (high + low) % 65_521
  }
  return high << 16 | low
}
