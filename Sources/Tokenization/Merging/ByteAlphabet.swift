// GPT-2 spells every byte as a printable character, so that vocabularies can be text files.

/// The byte-to-unicode alphabet of GPT-2's `encoder.py`: printable Latin-1 bytes stand for themselves and the other 68
/// for U+0100 onwards, in order.
package struct ByteAlphabet: Sendable {
  package static let shared = ByteAlphabet()

  private var codes = [UInt16](repeating: 0, count: 256)
  private var bytes = [Int16](repeating: -1, count: 256 + 68)

  private init() {
    var next: UInt16 = 0x100
    for byte in 0..<256 {
      let isPrintable = (0x21...0x7E).contains(byte) || (0xA1...0xAC).contains(byte) || byte >= 0xAE
      codes[byte] = isPrintable ? UInt16(byte) : next
      if !isPrintable { next += 1 }
      bytes[Int(codes[byte])] = Int16(byte)
    }
  }

  /// Appends the spelling of `byte` in UTF-8.
  @inline(__always)
  package func appendSpelling(of byte: UInt8, to result: inout [UInt8]) {
    let code = codes[Int(byte)]
    if code < 0x80 {
      result.append(UInt8(truncatingIfNeeded: code))
    } else {
      result.append(0xC0 | UInt8(truncatingIfNeeded: code >> 6))
      result.append(0x80 | UInt8(truncatingIfNeeded: code & 0x3F))
    }
  }

  /// Appends the bytes that `spelling` stands for; false, with nothing appended, if it is not in this alphabet.
  func appendBytes(of spelling: ArraySlice<UInt8>, to result: inout [UInt8]) -> Bool {
    let before = result.count
    var at = spelling.startIndex
    while at < spelling.endIndex {
      var code = Int(spelling[at])
      at += 1
      if code >= 0x80, at < spelling.endIndex {
        code = code & 0xE0 == 0xC0 ? (code & 0x1F) << 6 | Int(spelling[at] & 0x3F) : bytes.count
        at += 1
      }
      guard code < bytes.count, bytes[code] >= 0 else {
        result.removeSubrange(before...)
        return false
      }
      result.append(UInt8(truncatingIfNeeded: bytes[code]))
    }
    return true
  }
}
