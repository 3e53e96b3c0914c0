// Text for training is refused where it is not UTF-8, and whoever brought it wants to know where.

/// The position of the first byte that does not belong to a well-formed UTF-8 sequence (RFC 3629), or nil.
package func firstMalformed(in bytes: UnsafeBufferPointer<UInt8>) -> Int? {
  let raw = UnsafeRawBufferPointer(bytes)
  var at = 0
  while at < bytes.count {
    if at + 8 <= bytes.count, raw.loadUnaligned(fromByteOffset: at, as: UInt64.self) & 0x8080_8080_8080_8080 == 0 {
      at += 8
      continue
    }
    let lead = bytes[at]
    if lead < 0x80 {
      at += 1
      continue
    }
    // The second byte's bounds exclude overlong forms, surrogates and what lies beyond U+10FFFF.
    let length: Int
    var second: ClosedRange<UInt8> = 0x80...0xBF
    switch lead {
    case 0xC2...0xDF: length = 2
    case 0xE0: (length, second) = (3, 0xA0...0xBF)
    case 0xED: (length, second) = (3, 0x80...0x9F)
    case 0xE1...0xEF: length = 3
    case 0xF0: (length, second) = (4, 0x90...0xBF)
    case 0xF4: (length, second) = (4, 0x80...0x8F)
    case 0xF1...0xF3: length = 4
    default: return at
    }
    guard at + length <= bytes.count, second.contains(bytes[at + 1]) else { return at }
    for offset in 2..<max(2, length) where bytes[at + offset] & 0xC0 != 0x80 { return at }
    at += length
  }
  return nil
}
