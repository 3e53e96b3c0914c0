// JSON text to values with the order of keys kept, which Foundation's parser does not do.
import OrderedCollections

/// A strict parser of JSON text (RFC 8259), with limits on nesting.
struct JSONParser {
  private let bytes: UnsafeBufferPointer<UInt8>
  private var position = 0
  private var depth = 0

  init(_ bytes: UnsafeBufferPointer<UInt8>) { self.bytes = bytes }

  /// The value that the bytes describe from end to end.
  mutating func document() throws(JSONError) -> JSONValue {
    let value = try value()
    skipSpace()
    guard position == bytes.count else { throw expected("the end of the text") }
    return value
  }

  private func expected(_ what: String) -> JSONError {
    JSONError(message: "expected \(what) at byte \(position)")
  }

  private var next: UInt8? { position < bytes.count ? bytes[position] : nil }

  private mutating func skipSpace() {
    while let byte = next, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 { position += 1 }
  }

  private mutating func take(_ character: Unicode.Scalar) -> Bool {
    skipSpace()
    guard next == UInt8(ascii: character) else { return false }
    position += 1
    return true
  }

  private mutating func value() throws(JSONError) -> JSONValue {
    skipSpace()
    switch next {
    case UInt8(ascii: "{"): return try nested { (parser) throws(JSONError) in try parser.object() }
    case UInt8(ascii: "["): return try nested { (parser) throws(JSONError) in try parser.array() }
    case UInt8(ascii: "\""): return .string(try string())
    case UInt8(ascii: "t"): return try word("true", .bool(true))
    case UInt8(ascii: "f"): return try word("false", .bool(false))
    case UInt8(ascii: "n"): return try word("null", .null)
    case let byte? where byte == UInt8(ascii: "-") || byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9"):
      return try number()
    default: throw expected("a value")
    }
  }

  private mutating func nested(
    _ parse: (inout JSONParser) throws(JSONError) -> JSONValue
  ) throws(JSONError) -> JSONValue {
    position += 1
    depth += 1
    guard depth < JSONValue.greatestDepth else {
      throw JSONError(message: "nested deeper than \(JSONValue.greatestDepth) at byte \(position)")
    }
    defer { depth -= 1 }
    return try parse(&self)
  }

  private mutating func object() throws(JSONError) -> JSONValue {
    var entries: OrderedDictionary<String, JSONValue> = [:]
    if take("}") { return .object(entries) }
    repeat {
      skipSpace()
      guard next == UInt8(ascii: "\"") else { throw expected("a name in quotes") }
      let name = try string()
      guard take(":") else { throw expected("':'") }
      entries[name] = try value()
    } while take(",")
    guard take("}") else { throw expected("',' or '}'") }
    return .object(entries)
  }

  private mutating func array() throws(JSONError) -> JSONValue {
    var values: [JSONValue] = []
    if take("]") { return .array(values) }
    repeat { values.append(try value()) } while take(",")
    guard take("]") else { throw expected("',' or ']'") }
    return .array(values)
  }

  private mutating func word(_ word: String, _ value: JSONValue) throws(JSONError) -> JSONValue {
    guard bytes[position...].starts(with: word.utf8) else { throw expected("'\(word)'") }
    position += word.utf8.count
    return value
  }

  private mutating func digits() throws(JSONError) {
    let start = position
    while let byte = next, byte >= UInt8(ascii: "0"), byte <= UInt8(ascii: "9") { position += 1 }
    guard position > start else { throw expected("a digit") }
  }

  private mutating func number() throws(JSONError) -> JSONValue {
    let start = position
    var isInteger = true
    if next == UInt8(ascii: "-") { position += 1 }
    let first = position
    try digits()
    if bytes[first] == UInt8(ascii: "0"), position > first + 1 {
      position = first + 1
      throw expected("no digit after a leading zero")
    }
    if next == UInt8(ascii: ".") {
      position += 1
      isInteger = false
      try digits()
    }
    if next == UInt8(ascii: "e") || next == UInt8(ascii: "E") {
      position += 1
      isInteger = false
      if next == UInt8(ascii: "-") || next == UInt8(ascii: "+") { position += 1 }
      try digits()
    }
    let text = String(decoding: bytes[start..<position], as: UTF8.self)
    // A larger one is a number all the same: transformers writes 10^30 for a length without a limit.
    if isInteger, let value = Int(text) { return .int(value) }
    guard let value = Double(text) else { throw expected("a number") }
    return .double(value)
  }

  private mutating func string() throws(JSONError) -> String {
    position += 1
    var result: [UInt8] = []
    while true {
      let start = position
      while let byte = next, byte != UInt8(ascii: "\""), byte != UInt8(ascii: "\\"), byte >= 0x20 { position += 1 }
      let plain = UnsafeBufferPointer(rebasing: bytes[start..<position])
      switch next {
      case UInt8(ascii: "\""):
        position += 1
        // Nearly all strings have no escapes and are taken as they lie.
        return result.isEmpty ? String(decoding: plain, as: UTF8.self) : String(decoding: result + plain, as: UTF8.self)
      case UInt8(ascii: "\\"):
        position += 1
        result += plain
        result += String(try escape()).utf8
      default: throw expected("'\"', an escape or a character that is not a control character")
      }
    }
  }

  private mutating func escape() throws(JSONError) -> Unicode.Scalar {
    guard let byte = next else { throw expected("an escape") }
    position += 1
    switch Unicode.Scalar(byte) {
    case "\"": return "\""
    case "\\": return "\\"
    case "/": return "/"
    case "b": return "\u{8}"
    case "f": return "\u{C}"
    case "n": return "\n"
    case "r": return "\r"
    case "t": return "\t"
    case "u":
      let unit = try hexadecimal()
      if let scalar = Unicode.Scalar(unit) { return scalar }
      guard unit < 0xDC00, bytes[position...].starts(with: "\\u".utf8) else { throw expected("a low surrogate") }
      position += 2
      let low = try hexadecimal()
      guard (0xDC00...0xDFFF).contains(low),
        let scalar = Unicode.Scalar(0x10000 + (unit - 0xD800) << 10 + (low - 0xDC00))
      else { throw expected("a low surrogate") }
      return scalar
    default:
      position -= 1
      throw expected("one of \"\\/bfnrtu")
    }
  }

  private mutating func hexadecimal() throws(JSONError) -> UInt32 {
    guard position + 4 <= bytes.count, let text = String(validating: bytes[position..<(position + 4)], as: UTF8.self),
      text.utf8.allSatisfy({ Unicode.Scalar($0).properties.isASCIIHexDigit }), let unit = UInt32(text, radix: 16)
    else { throw expected("four hexadecimal digits") }
    position += 4
    return unit
  }
}
