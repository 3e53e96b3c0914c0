// SentencePiece normalizes by a map compiled into the model, because what it was trained with must not drift.

/// SentencePiece's `precompiled_charsmap`: a double-array trie (the format of Darts-clone) from UTF-8 to places in a
/// block of replacements that end in zero bytes.
struct CharacterMap: Sendable {
  /// What is wrong with a map.
  struct MapError: Error { let message: String }

  /// The map as it is written in files.
  let bytes: [UInt8]
  private let units: [UInt32]
  private let replacements: [UInt8]
  /// The replacements of ASCII characters: offset + 1, or 0 for none.
  private let ascii: [Int]
  let isEmpty: Bool

  /// - Parameter bytes: the size of the trie in bytes as a little-endian 32-bit number, the trie, the replacements.
  init(_ bytes: [UInt8]) throws(MapError) {
    self.bytes = bytes
    guard bytes.count >= 4 else { throw MapError(message: "expected at least 4 bytes, found \(bytes.count)") }
    func unit(at offset: Int) -> UInt32 {
      (0..<4).reduce(0) { $0 | UInt32(bytes[offset + $1]) << UInt32(8 * $1) }
    }
    let size = Int(unit(at: 0))
    guard size % 4 == 0, size <= bytes.count - 4 else {
      throw MapError(message: "a trie of \(size) bytes does not fit the \(bytes.count - 4) that follow")
    }
    let units = (0..<size / 4).map { unit(at: 4 + 4 * $0) }
    self.units = units
    let replacements = Array(bytes[(4 + size)...])
    guard replacements.withUnsafeBufferPointer(isStrictUTF8) else {
      throw MapError(message: "the replacements are not UTF-8")
    }
    self.replacements = replacements
    isEmpty = units.isEmpty
    var ascii: [Int] = []
    for byte in 0..<128 as Range<UInt8> {
      ascii.append(withUnsafePointer(to: byte) { Self.find(units, replacements, $0, 1) ?? -1 } + 1)
    }
    self.ascii = ascii
  }

  /// A map that changes nothing.
  init() {
    bytes = []
    units = []
    replacements = []
    ascii = Array(repeating: 0, count: 128)
    isEmpty = true
  }

  /// The replacement of the longest entry with which the bytes from `start` begin, and the end of that entry.
  func longestMatch(
    in bytes: UnsafeBufferPointer<UInt8>, from start: Int
  ) -> (replacement: ArraySlice<UInt8>, end: Int)? {
    guard !isEmpty, let base = bytes.baseAddress else { return nil }
    var found: (place: Int, end: Int)?
    Self.forEachMatch(units, replacements, base + start, bytes.count - start) { place, length in
      found = (place, start + length)
      return true
    }
    guard let found else { return nil }
    let end = replacements[found.place...].firstIndex(of: 0) ?? replacements.count
    return (replacements[found.place..<end], found.end)
  }

  /// The place of the replacement of the shortest entry with which the bytes begin.
  private static func find(
    _ units: [UInt32], _ replacements: [UInt8], _ start: UnsafePointer<UInt8>, _ count: Int
  ) -> Int? {
    var found: Int?
    forEachMatch(units, replacements, start, count) { place, _ in
      found = place
      return false
    }
    return found
  }

  /// Calls `body` with the places of the replacements of all entries with which the bytes begin, and their lengths,
  /// shorter ones first, until it returns false.
  private static func forEachMatch(
    _ units: [UInt32], _ replacements: [UInt8], _ start: UnsafePointer<UInt8>, _ count: Int,
    _ body: (Int, Int) -> Bool
  ) {
    guard let root = units.first else { return }
    func offset(_ unit: UInt32) -> UInt32 { (unit >> 10) << ((unit & 1 << 9) >> 6) }
    var node = offset(root)
    for index in 0..<count {
      let byte = UInt32(start[index])
      if byte == 0 { return }
      node ^= byte
      guard node < units.count else { return }
      let unit = units[Int(node)]
      guard unit & (1 << 31 | 0xFF) == byte else { return }
      node ^= offset(unit)
      if unit >> 8 & 1 == 1 {
        guard node < units.count else { return }
        let place = Int(units[Int(node)] & 0x7FFF_FFFF)
        // A place within a character, or an entry that ends within one, would make text that is not UTF-8.
        let isWhole = place < replacements.count && replacements[place] & 0xC0 != 0x80
          && (index + 1 == count || start[index + 1] & 0xC0 != 0x80)
        if isWhole, !body(place, index + 1) { return }
      }
    }
  }

  private func find(_ bytes: UnsafeBufferPointer<UInt8>, _ range: Range<Int>) -> Int? {
    guard let base = bytes.baseAddress else { return nil }
    if range.count == 1 {
      let place = ascii[Int(bytes[range.lowerBound] & 0x7F)]
      return place > 0 ? place - 1 : nil
    }
    return Self.find(units, replacements, base + range.lowerBound, range.count)
  }

  func normalize(_ text: inout AlignedText) {
    guard !isEmpty else { return }
    text.rewrite { reader, writer in
      let bytes = reader.bytes
      // A character is written when it is known what after it is left out.
      var last: (code: UInt32, change: Int)?
      func write(_ code: UInt32, _ change: Int) {
        if let last { writer.append(last.code, change: last.change) }
        last = (code, change)
      }
      func replace(_ count: Int, at place: Int) {
        let scalars = replacement(at: place)
        // Characters beyond those replaced are additional; a lack of them is charged to the one before.
        for (index, code) in scalars.enumerated() { write(code, index >= count ? 1 : 0) }
        if scalars.count < count { last?.change -= count - scalars.count }
      }
      GraphemeScanner.forEachCluster(in: bytes) { start, end in
        if end - start < 6, let place = find(bytes, start..<end) {
          return replace(count(bytes, start, end), at: place)
        }
        var at = start
        while at < end {
          let (code, length) = scalar(in: bytes, at: at)
          if let place = find(bytes, at..<at + length) {
            replace(1, at: place)
          } else {
            write(code, 0)
          }
          at += length
        }
      }
      if let last { writer.append(last.code, change: last.change) }
    }
  }

  private func count(_ bytes: UnsafeBufferPointer<UInt8>, _ start: Int, _ end: Int) -> Int {
    (start..<end).count { bytes[$0] & 0xC0 != 0x80 }
  }

  private func replacement(at place: Int) -> [UInt32] {
    var scalars: [UInt32] = []
    replacements.withUnsafeBufferPointer { bytes in
      var at = place
      while at < bytes.count, bytes[at] != 0 {
        let (code, length) = scalar(in: bytes, at: at)
        scalars.append(code)
        at += length
      }
    }
    return scalars
  }
}

/// Extended grapheme clusters, which Swift's `Character` knows; plain runs are told apart without asking it.
enum GraphemeScanner {
  /// Calls `body` with the bounds of each cluster of UTF-8 text.
  static func forEachCluster(in bytes: UnsafeBufferPointer<UInt8>, _ body: (Int, Int) -> Void) {
    var at = 0
    while at < bytes.count {
      let (code, length) = scalar(in: bytes, at: at)
      let next = at + length
      if next == bytes.count || isPlain(code) && isPlain(scalar(in: bytes, at: next).code) {
        body(at, next)
        at = next
        continue
      }
      // From here to the next pair of plain characters.
      var end = next
      var last = code
      while end < bytes.count {
        let (code, length) = scalar(in: bytes, at: end)
        if isPlain(last), isPlain(code) { break }
        last = code
        end += length
      }
      let part = String(decoding: UnsafeBufferPointer(rebasing: bytes[at..<end]), as: UTF8.self)
      for character in part {
        let size = character.utf8.count
        body(at, at + size)
        at += size
      }
    }
  }

  /// Whether this character forms a cluster alone when another such one follows.
  @inline(__always)
  private static func isPlain(_ code: UInt32) -> Bool {
    code >= 0x20 && code < 0x7F || code == 0x0A || code >= 0xC0 && code < 0x300
      || code >= 0x4E00 && code < 0xA000 || code >= 0xAC00 && code < 0xD7A4 || code >= 0x3041 && code < 0x3097
      || code >= 0x30A1 && code < 0x30FB || code >= 0x400 && code < 0x483
  }
}

/// Whether bytes are UTF-8 without surrogates.
func isStrictUTF8(_ bytes: UnsafeBufferPointer<UInt8>) -> Bool { String(validating: bytes, as: UTF8.self) != nil }

/// Reads base 64 (RFC 4648) with or without padding; nil for anything else.
func base64Decoded(_ text: some Collection<UInt8>) -> [UInt8]? {
  var result: [UInt8] = []
  result.reserveCapacity(text.count / 4 * 3 + 3)
  var bits: UInt32 = 0
  var count = 0
  var isEnding = false
  for byte in text {
    let value: UInt8
    switch byte {
    case UInt8(ascii: "A")...UInt8(ascii: "Z"): value = byte - 65
    case UInt8(ascii: "a")...UInt8(ascii: "z"): value = byte - 71
    case UInt8(ascii: "0")...UInt8(ascii: "9"): value = byte + 4
    case UInt8(ascii: "+"): value = 62
    case UInt8(ascii: "/"): value = 63
    case UInt8(ascii: "="):
      isEnding = true
      continue
    default: return nil
    }
    if isEnding { return nil }
    bits = bits << 6 | UInt32(value)
    count += 1
    if count == 4 {
      result.append(UInt8(truncatingIfNeeded: bits >> 16))
      result.append(UInt8(truncatingIfNeeded: bits >> 8))
      result.append(UInt8(truncatingIfNeeded: bits))
      bits = 0
      count = 0
    }
  }
  switch count {
  case 0: break
  case 2: result.append(UInt8(truncatingIfNeeded: bits >> 4))
  case 3:
    result.append(UInt8(truncatingIfNeeded: bits >> 10))
    result.append(UInt8(truncatingIfNeeded: bits >> 2))
  default: return nil
  }
  return result
}
