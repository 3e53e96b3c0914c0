// Template text to tokens, with the white space control of Jinja2 (`trim_blocks` and `lstrip_blocks` on).

/// One token of a template.
struct Token {
  enum Kind: Equatable {
    case data(String)
    case blockBegin, blockEnd, variableBegin, variableEnd
    case name(String)
    case string(String)
    case integer(Int)
    case float(Double)
    case symbol(String)
    case end
  }
  let kind: Kind
  /// Byte offset in the normalized source.
  let offset: Int
}

/// Cuts a template into tokens. Rules and their order are those of `jinja2/lexer.py`.
struct Lexer {
  /// The source with all line ends as `\n` and without the last one.
  let source: [UInt8]
  private var position = 0
  private var tokens: [Token] = []
  /// Whether the last thing read ended a line, so that white space before a tag is at the start of a line.
  private var isLineStart = true

  /// A syntax error at a byte of the source.
  struct Problem: Error {
    let reason: TemplateError.Reason
    let offset: Int
  }

  init(_ text: String) {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(text.utf8.count)
    var wasReturn = false
    for byte in text.utf8 {
      if byte == UInt8(ascii: "\r") {
        bytes.append(UInt8(ascii: "\n"))
      } else if byte != UInt8(ascii: "\n") || !wasReturn {
        bytes.append(byte)
      }
      wasReturn = byte == UInt8(ascii: "\r")
    }
    if bytes.last == UInt8(ascii: "\n") { bytes.removeLast() }
    source = bytes
  }

  /// All tokens, the last of which is `end`.
  mutating func tokenize() throws -> [Token] {
    while let open = nextTag() {
      let kind = source[open + 1]
      let begin = kind == UInt8(ascii: "%") ? rawBegin(at: open) : nil
      let sign = byte(at: open + 2)
      addData(to: open, sign: sign, isVariable: kind == UInt8(ascii: "{"))
      position = open + (sign == UInt8(ascii: "-") || sign == UInt8(ascii: "+") ? 3 : 2)
      if let begin {
        position = begin
        try skipRaw(from: open)
      } else if kind == UInt8(ascii: "#") {
        try skipComment(from: open)
      } else {
        try readTag(isVariable: kind == UInt8(ascii: "{"), from: open)
      }
      isLineStart = position > 0 && source[position - 1] == UInt8(ascii: "\n")
    }
    if position < source.count { add(.data(text(position, source.count)), at: position) }
    add(.end, at: source.count)
    return tokens
  }

  // MARK: Text between tags

  private func byte(at index: Int) -> UInt8? { index < source.count ? source[index] : nil }

  private func text(_ start: Int, _ end: Int) -> String { String(decoding: source[start..<end], as: UTF8.self) }

  private mutating func add(_ kind: Token.Kind, at offset: Int) { tokens.append(Token(kind: kind, offset: offset)) }

  private func nextTag() -> Int? {
    var index = position
    while index + 1 < source.count {
      if source[index] == UInt8(ascii: "{"), "%{#".utf8.contains(source[index + 1]) { return index }
      index += 1
    }
    return nil
  }

  /// Adds the text before the tag at `open`, without the white space that the tag takes away.
  private mutating func addData(to open: Int, sign: UInt8?, isVariable: Bool) {
    var end = open
    if sign == UInt8(ascii: "-") {
      end = position + Text.strip(text(position, open), leading: false, trailing: true, where: Text.isSpace).utf8.count
    } else if sign != UInt8(ascii: "+"), !isVariable {
      let lineStart = source[position..<open].lastIndex(of: UInt8(ascii: "\n")).map { $0 + 1 } ?? position
      if lineStart > position || isLineStart, text(lineStart, open).unicodeScalars.allSatisfy(Text.isSpace) {
        end = lineStart
      }
    }
    if end > position { add(.data(text(position, end)), at: position) }
  }

  private func skippingSpace(from start: Int) -> Int {
    var index = start
    while index < source.count {
      let byte = source[index]
      if byte < 0x80 {
        guard Text.isSpace(Unicode.Scalar(byte)) else { break }
        index += 1
      } else {
        guard let scalar = scalar(at: index), Text.isSpace(scalar) else { break }
        index += String(scalar).utf8.count
      }
    }
    return index
  }

  private func scalar(at index: Int) -> Unicode.Scalar? {
    String(decoding: source[index..<min(index + 4, source.count)], as: UTF8.self).unicodeScalars.first
  }

  private func has(_ word: String, at index: Int) -> Bool {
    index <= source.count && source[index...].starts(with: word.utf8)
  }

  /// The place after the end of a tag at `index`, white space that it takes away included; nil when there is none.
  private func tagEnd(_ close: String, at index: Int, isVariable: Bool = false) -> Int? {
    if has("-" + close, at: index) { return skippingSpace(from: index + 3) }
    if !isVariable, has("+" + close, at: index) { return index + 3 }
    guard has(close, at: index) else { return nil }
    return !isVariable && byte(at: index + 2) == UInt8(ascii: "\n") ? index + 3 : index + 2
  }

  private mutating func skipComment(from open: Int) throws {
    var index = position
    while index < source.count {
      if let end = tagEnd("#}", at: index) {
        position = end
        return
      }
      index += 1
    }
    throw Problem(reason: .syntax("expected the end of a comment, '#}'"), offset: open)
  }

  /// The place after `{% raw %}` at `open`, if that is there.
  private func rawBegin(at open: Int) -> Int? {
    var index = open + 2
    if byte(at: index) == UInt8(ascii: "-") || byte(at: index) == UInt8(ascii: "+") { index += 1 }
    index = skippingSpace(from: index)
    guard has("raw", at: index) else { return nil }
    index = skippingSpace(from: index + 3)
    if has("-%}", at: index) { return skippingSpace(from: index + 3) }
    return has("%}", at: index) ? index + 2 : nil
  }

  private mutating func skipRaw(from open: Int) throws {
    isLineStart = source[position - 1] == UInt8(ascii: "\n")
    var index = position
    while index < source.count {
      defer { index += 1 }
      guard has("{%", at: index) else { continue }
      let sign = byte(at: index + 2)
      let isSigned = sign == UInt8(ascii: "-") || sign == UInt8(ascii: "+")
      let word = skippingSpace(from: index + (isSigned ? 3 : 2))
      guard has("endraw", at: word), let end = tagEnd("%}", at: skippingSpace(from: word + 6)) else { continue }
      addData(to: index, sign: sign, isVariable: false)
      position = end
      return
    }
    throw Problem(reason: .syntax("expected '{% endraw %}'"), offset: open)
  }

  // MARK: Inside tags

  private mutating func readTag(isVariable: Bool, from open: Int) throws {
    add(isVariable ? .variableBegin : .blockBegin, at: open)
    var closers: [UInt8] = []
    while position < source.count {
      let start = position
      if closers.isEmpty, let end = tagEnd(isVariable ? "}}" : "%}", at: position, isVariable: isVariable) {
        add(isVariable ? .variableEnd : .blockEnd, at: start)
        position = end
        return
      }
      position = skippingSpace(from: position)
      if position > start { continue }
      if try readNumber() || readName() || readString() { continue }
      let symbol = try readSymbol()
      switch symbol {
      case "(": closers.append(UInt8(ascii: ")"))
      case "[": closers.append(UInt8(ascii: "]"))
      case "{": closers.append(UInt8(ascii: "}"))
      case ")", "]", "}":
        guard let expected = closers.popLast() else {
          throw Problem(reason: .syntax("expected an opening bracket before '\(symbol)'"), offset: start)
        }
        guard symbol.utf8.first == expected else {
          let text = "expected '\(Unicode.Scalar(expected))', got '\(symbol)'"
          throw Problem(reason: .syntax(text), offset: start)
        }
      default: break
      }
      add(.symbol(symbol), at: start)
    }
  }

  private func isDigit(_ byte: UInt8?) -> Bool { byte.map { $0 >= 48 && $0 <= 57 } ?? false }

  /// The place after digits with single underscores between them.
  private func skippingDigits(from start: Int, _ isDigit: (UInt8?) -> Bool) -> Int {
    var index = start
    while isDigit(byte(at: index))
      || index > start && byte(at: index) == UInt8(ascii: "_") && isDigit(byte(at: index + 1))
    {
      index += 1
    }
    return index
  }

  private mutating func readNumber() throws -> Bool {
    guard isDigit(byte(at: position)) else { return false }
    let start = position
    var end = skippingDigits(from: start, isDigit)
    var isFloat = false
    if start == 0 || source[start - 1] != UInt8(ascii: ".") {
      if byte(at: end) == UInt8(ascii: "."), isDigit(byte(at: end + 1)) {
        end = skippingDigits(from: end + 1, isDigit)
        isFloat = true
      }
      if byte(at: end).map({ $0 | 0x20 }) == UInt8(ascii: "e") {
        let isSigned = byte(at: end + 1) == UInt8(ascii: "+") || byte(at: end + 1) == UInt8(ascii: "-")
        let digits = end + (isSigned ? 2 : 1)
        if isDigit(byte(at: digits)) {
          end = skippingDigits(from: digits, isDigit)
          isFloat = true
        }
      }
    }
    if isFloat {
      position = end
      add(.float(Double(text(start, end).replacing("_", with: "")) ?? 0), at: start)
      return true
    }
    var radix = 10
    var digits = start
    if source[start] == UInt8(ascii: "0") {
      let prefix = byte(at: start + 1).map { $0 | 0x20 }
      let bases = [(UInt8(ascii: "x"), 16), (UInt8(ascii: "o"), 8), (UInt8(ascii: "b"), 2)]
      for (letter, value) in bases where prefix == letter {
        func isOf(_ byte: UInt8?) -> Bool { byte.map { Int(String(Unicode.Scalar($0)), radix: value) != nil } ?? false }
        let first = start + (byte(at: start + 2) == UInt8(ascii: "_") ? 3 : 2)
        if isOf(byte(at: first)) {
          radix = value
          digits = first
          end = skippingDigits(from: first, isOf)
        }
      }
      // A number cannot begin with zero, so "012" is 0 and then 12, as in Jinja2.
      if radix == 10 { end = skippingDigits(from: start) { $0 == UInt8(ascii: "0") } }
    }
    guard let value = Int(text(digits, end).replacing("_", with: ""), radix: radix) else {
      throw Problem(reason: .unsupported("an integer outside 64 bits"), offset: start)
    }
    position = end
    add(.integer(value), at: start)
    return true
  }

  private mutating func readName() throws -> Bool {
    let start = position
    while let byte = byte(at: position) {
      if byte < 0x80 {
        let letter = byte | 0x20
        let isLetter = letter >= 97 && letter <= 122 || byte == UInt8(ascii: "_")
        guard isLetter || position > start && isDigit(byte) else { break }
        position += 1
      } else {
        guard let scalar = scalar(at: position),
          position == start ? scalar.properties.isXIDStart : scalar.properties.isXIDContinue
        else { break }
        position += String(scalar).utf8.count
      }
    }
    guard position > start else { return false }
    add(.name(text(start, position)), at: start)
    return true
  }

  private mutating func readString() throws -> Bool {
    let start = position
    guard let quote = byte(at: start), quote == UInt8(ascii: "'") || quote == UInt8(ascii: "\"") else { return false }
    var index = start + 1
    while let byte = byte(at: index), byte != quote { index += byte == UInt8(ascii: "\\") ? 2 : 1 }
    guard index < source.count else {
      throw Problem(reason: .syntax("expected the end of a string, \(Unicode.Scalar(quote))"), offset: start)
    }
    position = index + 1
    var unescaper = Unescaper(scalars: Array(text(start + 1, index).unicodeScalars)[...])
    do {
      add(.string(try unescaper.unescape()), at: start)
    } catch let failure as Failure {
      throw Problem(reason: failure.reason, offset: start)
    }
    return true
  }

  private mutating func readSymbol() throws -> String {
    for symbol in ["//", "**", "==", "!=", ">=", "<="] where has(symbol, at: position) {
      position += 2
      return symbol
    }
    let byte = source[position]
    guard "+-/*%~[](){}><=.:|,;".utf8.contains(byte) else {
      let shown = scalar(at: position).map { String($0) } ?? "?"
      throw Problem(reason: .syntax("expected an expression, got the character '\(shown)'"), offset: position)
    }
    position += 1
    return String(Unicode.Scalar(byte))
  }
}
