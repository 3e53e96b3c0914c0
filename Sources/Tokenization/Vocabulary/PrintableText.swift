// What strangers wrote ends up in messages, and must neither move a cursor nor fill a screen there.

extension String {
  /// This text fit for one line of a terminal: nothing in it moves the cursor, and it is cut at 80 characters.
  package var printable: String { printable(atMost: 80) }

  /// This text on one line of at most so many characters.
  package func printable(atMost limit: Int) -> String {
    var line = ""
    for scalar in unicodeScalars.prefix(limit) {
      line += scalar.isPrintable ? String(scalar) : "\\u{" + String(scalar.value, radix: 16) + "}"
    }
    return unicodeScalars.dropFirst(limit).isEmpty ? line : line + "…"
  }

  /// Whether this may be the name of something: not empty, without control characters.
  package var isName: Bool { !isEmpty && unicodeScalars.allSatisfy(\.isPrintable) }
}

extension Unicode.Scalar {
  fileprivate var isPrintable: Bool {
    if isASCII { return value >= 0x20 && value != 0x7F }
    switch properties.generalCategory {
    case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate, .unassigned, .privateUse: return false
    default: return true
    }
  }
}
