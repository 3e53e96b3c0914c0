// Tokenizers differ by language more than on the whole: a sample keeps each kind of writing apart.

/// A kind of words.
public enum WordKind: String, Sendable, CaseIterable, Encodable {
  case latin, hangul, han, digits, code, other

  /// The kind of a word without white space: Hangul before Han before code before Latin before digits.
  ///
  /// A word is code if it has a mark that prose has not, such as `_`, `=` or `{`; other marks do not count.
  init(of word: some Sequence<Unicode.Scalar>) {
    var hasHan = false, hasCode = false, hasLatin = false, hasDigit = false, hasOther = false
    for scalar in word {
      switch scalar.value {
      case 0x1100...0x11FF, 0x3130...0x318F, 0xA960...0xA97F, 0xAC00...0xD7FF:
        self = .hangul
        return
      case 0x2E80...0x2FDF, 0x3005...0x3007, 0x3400...0x4DBF, 0x4E00...0x9FFF, 0xF900...0xFAFF, 0x20000...0x323AF:
        hasHan = true
      case 0x41...0x5A, 0x61...0x7A, 0xAA, 0xBA, 0xC0...0xD6, 0xD8...0xF6, 0xF8...0x24F, 0x1E00...0x1EFF:
        hasLatin = true
      case 0x30...0x39: hasDigit = true
      default:
        if scalar.isASCII { hasCode = hasCode || Self.codeMarks.contains(scalar) }
        hasOther = hasOther || scalar.properties.isAlphabetic
      }
    }
    self = hasHan ? .han : hasCode ? .code : hasLatin ? .latin : hasOther ? .other : hasDigit ? .digits : .other
  }

  private static let codeMarks = Set("_={}[]<>\\|&@#$%^*~`+/".unicodeScalars)
}

/// Text to compare tokenizers on.
public struct TextSample: Sendable {
  /// The text as it is.
  public private(set) var text = ""
  /// The words of each kind, with a space between neighbours.
  public private(set) var parts: [WordKind: String] = [:]
  /// The number of words of each kind, where a word is what white space surrounds.
  public private(set) var words: [WordKind: Int] = [:]

  public init() {}

  public mutating func add(_ text: String) {
    self.text += text
    let scalars = text.unicodeScalars
    for word in scalars.split(whereSeparator: { $0.properties.isWhitespace }) {
      let kind = WordKind(of: word)
      words[kind, default: 0] += 1
      var part = parts.removeValue(forKey: kind) ?? ""
      if !part.isEmpty { part += " " }
      part += String(word)
      parts[kind] = part
    }
  }
}
