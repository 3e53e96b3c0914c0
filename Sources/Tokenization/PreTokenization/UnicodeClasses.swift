// What pre-tokenizers ask about a character: letter, number, mark, punctuation, symbol or space.

/// Character classes of Unicode 15.1 as bits; every code point has exactly one.
struct UnicodeClasses: OptionSet, Sendable, BitwiseCopyable {
  let rawValue: UInt8

  static let letter = UnicodeClasses(rawValue: 1)
  static let number = UnicodeClasses(rawValue: 2)
  static let mark = UnicodeClasses(rawValue: 4)
  static let punctuation = UnicodeClasses(rawValue: 8)
  static let symbol = UnicodeClasses(rawValue: 16)
  static let space = UnicodeClasses(rawValue: 32)
  /// Controls, format characters, surrogates, private use, unassigned.
  static let other = UnicodeClasses(rawValue: 64)

  /// One byte per code point. Filled once per process from the runs; a megabyte buys a single load per character.
  static let table: FlatTable<UInt8> = {
    let table = FlatTable<UInt8>(repeating: 0, count: 0x110000)
    for (index, run) in unicodeClassRuns.enumerated() {
      let end = index + 1 < unicodeClassRuns.count ? Int(unicodeClassRuns[index + 1] >> 8) : table.count
      let start = Int(run >> 8)
      (table.start + start).update(repeating: UInt8(truncatingIfNeeded: run), count: end - start)
    }
    return table
  }()
}

/// Text in which every character is a complete UTF-8 sequence of at most U+10FFFF, ready for unchecked scanning.
package struct WellFormedText {
  package let base: UnsafePointer<UInt8>
  let count: Int
  private let classTable: UnsafePointer<UInt8>

  /// Calls `body` with `bytes` as they are if they are well-formed, and else with a repaired copy: what llama.cpp's
  /// decoder accepts (surrogates, overlong forms) in its shortest form, and U+FFFD for each byte that fits nowhere.
  package static func with(_ bytes: UnsafeBufferPointer<UInt8>, _ body: (WellFormedText) -> Void) {
    guard let base = bytes.baseAddress, bytes.count > 0 else { return }
    if isWellFormed(bytes) {
      body(WellFormedText(base: base, count: bytes.count))
    } else {
      repaired(bytes).withUnsafeBufferPointer { copy in
        if let base = copy.baseAddress { body(WellFormedText(base: base, count: copy.count)) }
      }
    }
  }

  /// Text that is known to be well-formed; nil if it is empty.
  init?(wellFormed bytes: UnsafeBufferPointer<UInt8>) {
    guard let base = bytes.baseAddress else { return nil }
    self.init(base: base, count: bytes.count)
  }

  private init(base: UnsafePointer<UInt8>, count: Int) {
    self.base = base
    self.count = count
    classTable = UnsafePointer(UnicodeClasses.table.start)
  }

  /// The code point at `position`, which must be where a character starts, and its length in bytes.
  @inline(__always)
  func character(at position: Int) -> (code: UInt32, length: Int) {
    let lead = base[position]
    if lead < 0x80 { return (UInt32(lead), 1) }
    let second = UInt32(base[position + 1] & 0x3F)
    if lead < 0xE0 { return (UInt32(lead & 0x1F) << 6 | second, 2) }
    let third = UInt32(base[position + 2] & 0x3F)
    if lead < 0xF0 { return (UInt32(lead & 0x0F) << 12 | second << 6 | third, 3) }
    let fourth = UInt32(base[position + 3] & 0x3F)
    return (UInt32(lead & 0x07) << 18 | second << 12 | third << 6 | fourth, 4)
  }

  @inline(__always)
  func classes(of code: UInt32) -> UnicodeClasses { UnicodeClasses(rawValue: classTable[Int(code)]) }

  @inline(__always)
  func classes(at position: Int) -> (classes: UnicodeClasses, length: Int) {
    let lead = base[position]
    if lead < 0x80 { return (UnicodeClasses(rawValue: classTable[Int(lead)]), 1) }
    let (code, length) = character(at: position)
    return (classes(of: code), length)
  }

  /// The end of the run of characters in `set` that starts at `position`, of at most `limit` characters.
  @inline(__always)
  func runEnd(of set: UnicodeClasses, from position: Int, to end: Int, limit: Int = .max) -> Int {
    var at = position
    var left = limit
    while at < end, left > 0 {
      let (classes, length) = classes(at: at)
      if classes.isDisjoint(with: set) { break }
      at += length
      left -= 1
    }
    return at
  }
}

/// A lead byte announces this many bytes; continuation bytes count as one, as in llama.cpp.
@inline(__always)
func utf8Length(lead: UInt8) -> Int { lead < 0xC0 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4 }

/// The code point whose sequence begins at `position`, overlong forms and surrogates included, or nil.
@inline(__always)
private func decodedLeniently(_ bytes: UnsafeBufferPointer<UInt8>, at position: Int) -> (code: UInt32, length: Int)? {
  let lead = bytes[position]
  if lead < 0x80 { return (UInt32(lead), 1) }
  guard lead >= 0xC0, lead < 0xF8 else { return nil }
  let length = utf8Length(lead: lead)
  guard position + length <= bytes.count else { return nil }
  var code = UInt32(lead) & (0x7F >> UInt32(length))
  for offset in 1..<length {
    let byte = bytes[position + offset]
    guard byte & 0xC0 == 0x80 else { return nil }
    code = code << 6 | UInt32(byte & 0x3F)
  }
  return code <= 0x10FFFF ? (code, length) : nil
}

private func shortestLength(of code: UInt32) -> Int { code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4 }

func isWellFormed(_ bytes: UnsafeBufferPointer<UInt8>) -> Bool {
  let raw = UnsafeRawBufferPointer(bytes)
  var at = 0
  while at < bytes.count {
    if at + 8 <= bytes.count, raw.loadUnaligned(fromByteOffset: at, as: UInt64.self) & 0x8080_8080_8080_8080 == 0 {
      at += 8
      continue
    }
    guard let (code, length) = decodedLeniently(bytes, at: at), length == shortestLength(of: code) else { return false }
    at += length
  }
  return true
}

private func repaired(_ bytes: UnsafeBufferPointer<UInt8>) -> [UInt8] {
  var result: [UInt8] = []
  result.reserveCapacity(bytes.count)
  var at = 0
  while at < bytes.count {
    let (code, length) = decodedLeniently(bytes, at: at) ?? (0xFFFD, 1)
    switch shortestLength(of: code) {
    case 1:
      result.append(UInt8(truncatingIfNeeded: code))
    case 2:
      result.append(0xC0 | UInt8(truncatingIfNeeded: code >> 6))
      result.append(0x80 | UInt8(truncatingIfNeeded: code & 0x3F))
    case let size:
      result.append(
        size == 3 ? 0xE0 | UInt8(truncatingIfNeeded: code >> 12) : 0xF0 | UInt8(truncatingIfNeeded: code >> 18))
      if size == 4 { result.append(0x80 | UInt8(truncatingIfNeeded: code >> 12 & 0x3F)) }
      result.append(0x80 | UInt8(truncatingIfNeeded: code >> 6 & 0x3F))
      result.append(0x80 | UInt8(truncatingIfNeeded: code & 0x3F))
    }
    at += length
  }
  return result
}
