// Keys as the line editor wants them: whole characters, and pasted text that cannot press Return.

/// Turns the bytes that a terminal sends into Unicode scalars.
///
/// Between the marks of a bracketed paste (xterm's `ESC [ 200 ~` and `ESC [ 201 ~`) a line's end becomes
/// ``lineMark``, because libedit draws lines with line breaks wrongly, and other control characters are left out.
struct KeyDecoder {
  /// Stands for a line break within an edited line.
  static let lineMark: Character = "↵"
  private static let pasteBegins = Array("\u{1B}[200~".utf8), pasteEnds = Array("\u{1B}[201~".utf8)
  private static let escape: UInt8 = 0x1B

  private var bytes: ArraySlice<UInt8> = []
  private var isPasting = false

  /// Whether what has come may be the beginning of something longer.
  var isWaiting: Bool { !bytes.isEmpty }

  mutating func append(_ new: some Sequence<UInt8>) { bytes += new }

  /// Forgets what has come.
  mutating func reset() { self = KeyDecoder() }

  /// The next key, or nil when more bytes are needed.
  /// - Parameter isComplete: no more bytes follow soon: an escape is just that.
  mutating func next(isComplete: Bool = false) -> Unicode.Scalar? {
    while let first = bytes.first {
      if first == Self.escape {
        if skip(Self.pasteBegins) {
          isPasting = true
          continue
        }
        if skip(Self.pasteEnds) {
          isPasting = false
          continue
        }
        if !isComplete, isBeginning(of: Self.pasteBegins) || isBeginning(of: Self.pasteEnds) { return nil }
        bytes.removeFirst()
        if isPasting { continue }
        return "\u{1B}"
      }
      guard let scalar = decode() else {
        if isComplete { bytes = [] }  // the rest of the character does not come
        return nil
      }
      if let key = isPasting ? pasted(scalar) : scalar { return key }
    }
    return nil
  }

  private func isBeginning(of mark: [UInt8]) -> Bool { bytes.count < mark.count && mark.starts(with: bytes) }

  private mutating func skip(_ mark: [UInt8]) -> Bool {
    guard bytes.starts(with: mark) else { return false }
    bytes.removeFirst(mark.count)
    return true
  }

  private func pasted(_ scalar: Unicode.Scalar) -> Unicode.Scalar? {
    switch scalar {
    case "\r", "\n": Self.lineMark.unicodeScalars.first
    case "\t": " "
    default: scalar.properties.generalCategory == .control ? nil : scalar
    }
  }

  /// One scalar of UTF-8; bytes that are none are dropped. Nil when more are needed.
  private mutating func decode() -> Unicode.Scalar? {
    while let first = bytes.first {
      let count = first < 0x80 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4
      guard bytes.count >= count else { return nil }
      if let text = String(validating: bytes.prefix(count), as: UTF8.self), let scalar = text.unicodeScalars.first {
        bytes.removeFirst(count)
        return scalar
      }
      bytes.removeFirst()
    }
    return nil
  }
}
