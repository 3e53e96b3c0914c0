// The alternation that GPT-2 began and its descendants vary, as a hand-written scanner over UTF-8.

/// One regular expression of the family
/// `contraction | prefix? letters+ | numbers | " "? symbols+ trailing* | \s*[\r\n]+ | \s+(?!\S) | \s+`.
struct WordRule: Sendable {
  enum Contractions { case none, lowercase, anyCase, anyCaseOfUnicode }
  /// Which alternatives may begin with a character that is none of theirs.
  enum Prefix {
    /// `" "?` before letters, numbers and symbols.
    case space
    /// One character outside these classes and `\r\n` before letters; `" "?` before symbols.
    case any(except: UnicodeClasses)
  }
  enum Trailing { case none, newlines, newlinesAndSlashes }

  var contractions = Contractions.anyCase
  var prefix = Prefix.any(except: [.letter, .number])
  var letters: UnicodeClasses = .letter
  /// Letters go as capitals, then small letters: `[^a-z]*[^A-Z]+ | [^a-z]+[^A-Z]*` within letters.
  var separatesCase = false
  /// A contraction may end the word instead of standing alone.
  var contractionsEndWords = false
  var digitLimit = 3
  var symbols: UnicodeClasses = [.punctuation, .symbol, .mark, .other]
  var trailing = Trailing.newlines
  var endsLines = true
  /// `[!-/:-@\[-`{-~][A-Za-z]+` comes before all else.
  var joinsPunctuationToLetters = false

  /// The end of the match at `position`, or `position` where nothing matches.
  func matchEnd(in text: WellFormedText, from position: Int, to end: Int) -> Int {
    let byte = text.base[position]
    if byte == 0x27, contractions != .none, !contractionsEndWords {
      let length = contractionLength(text, position, end)
      if length > 0 { return position + length }
    }
    let (classes, length) = text.classes(at: position)
    let afterSpace = byte == 0x20 && position + 1 < end ? text.classes(at: position + 1).classes : classes
    let core = byte == 0x20 ? position + 1 : position

    switch prefix {
    case .space:
      if core < end {
        if !afterSpace.isDisjoint(with: letters) { return text.runEnd(of: letters, from: core, to: end) }
        if afterSpace == .number {
          return text.runEnd(of: .number, from: core, to: end, limit: digitLimit)
        }
      }
    case .any(let excluded):
      if joinsPunctuationToLetters, isASCIIPunctuation(byte) {
        let wordEnd = asciiLettersEnd(text, position + 1, end)
        if wordEnd > position + 1 { return wordEnd }
      }
      let wordEnd = lettersEnd(text, position, end, classes, length, excluded: excluded)
      if wordEnd > position { return wordEnd }
      if classes == .number { return text.runEnd(of: .number, from: position, to: end, limit: digitLimit) }
    }

    if core < end, !afterSpace.isDisjoint(with: symbols) {
      return trailingEnd(text, text.runEnd(of: symbols, from: core, to: end), end)
    }
    return classes == .space ? spacesEnd(text, position, end) : position
  }

  /// `[^\r\n…]?letters+` at `position`, whose character has `classes` and `length`.
  @inline(__always)
  private func lettersEnd(
    _ text: WellFormedText, _ position: Int, _ end: Int, _ classes: UnicodeClasses, _ length: Int,
    excluded: UnicodeClasses
  ) -> Int {
    var start = position
    if classes.isDisjoint(with: letters) {
      let byte = text.base[position]
      guard classes.isDisjoint(with: excluded), byte != 0x0D, byte != 0x0A else { return position }
      start += length
      guard start < end, !text.classes(at: start).classes.isDisjoint(with: letters) else { return position }
    }
    guard separatesCase else { return text.runEnd(of: letters, from: start, to: end) }
    let wordEnd = casedLettersEnd(text, start, end)
    guard contractionsEndWords, wordEnd < end, text.base[wordEnd] == 0x27 else { return wordEnd }
    return wordEnd + contractionLength(text, wordEnd, end)
  }

  /// Greedy matching with backtracking, done in one pass: capitals (letters that are not a–z) up to `capitalsEnd`, then
  /// small ones (not A–Z). Where no small one follows, the capitals end after their last letter that is both.
  private func casedLettersEnd(_ text: WellFormedText, _ start: Int, _ end: Int) -> Int {
    var at = start
    var lastOfBoth = start
    while at < end {
      let byte = text.base[at]
      let (classes, length) = text.classes(at: at)
      if classes.isDisjoint(with: letters) || isSmallASCII(byte) { break }
      at += length
      if byte >= 0x80 { lastOfBoth = at }
    }
    let capitalsEnd = at
    while at < end {
      let (classes, length) = text.classes(at: at)
      if classes.isDisjoint(with: letters) || isCapitalASCII(text.base[at]) { break }
      at += length
    }
    return at > capitalsEnd || lastOfBoth == start ? at : lastOfBoth
  }

  @inline(__always)
  private func contractionLength(_ text: WellFormedText, _ position: Int, _ end: Int) -> Int {
    let fold: UInt8 = contractions == .lowercase ? 0 : 0x20
    guard position + 1 < end else { return 0 }
    // ſ is a small s.
    if contractions == .anyCaseOfUnicode, text.base[position + 1] == 0xC5, text.base[position + 2] == 0xBF { return 3 }
    let first = text.base[position + 1] | fold
    switch first {
    case UInt8(ascii: "s"), UInt8(ascii: "t"), UInt8(ascii: "m"), UInt8(ascii: "d"): return 2
    case UInt8(ascii: "r"), UInt8(ascii: "v"), UInt8(ascii: "l"):
      guard position + 2 < end else { return 0 }
      let second = text.base[position + 2] | fold
      return second == (first == UInt8(ascii: "l") ? first : UInt8(ascii: "e")) ? 3 : 0
    default: return 0
    }
  }

  private func trailingEnd(_ text: WellFormedText, _ position: Int, _ end: Int) -> Int {
    var at = position
    if trailing == .none { return at }
    while at < end {
      let byte = text.base[at]
      guard byte == 0x0A || byte == 0x0D || byte == 0x2F && trailing == .newlinesAndSlashes else { break }
      at += 1
    }
    return at
  }

  /// White space up to its last line break, or up to but not including the space before a word, or all of it.
  private func spacesEnd(_ text: WellFormedText, _ position: Int, _ end: Int) -> Int {
    var at = position
    var last = position
    var lineEnd = position
    while at < end {
      let (classes, length) = text.classes(at: at)
      if classes != .space { break }
      if text.base[at] == 0x0A || text.base[at] == 0x0D { lineEnd = at + 1 }
      last = at
      at += length
    }
    if endsLines, lineEnd > position { return lineEnd }
    return at < end && last > position ? last : at
  }

  private func asciiLettersEnd(_ text: WellFormedText, _ position: Int, _ end: Int) -> Int {
    var at = position
    while at < end, isSmallASCII(text.base[at]) || isCapitalASCII(text.base[at]) { at += 1 }
    return at
  }
}

@inline(__always) private func isSmallASCII(_ byte: UInt8) -> Bool { byte &- 0x61 < 26 }
@inline(__always) private func isCapitalASCII(_ byte: UInt8) -> Bool { byte &- 0x41 < 26 }
@inline(__always)
private func isASCIIPunctuation(_ byte: UInt8) -> Bool {
  byte &- 0x21 < 94 && !isSmallASCII(byte) && !isCapitalASCII(byte) && byte &- 0x30 >= 10
}
