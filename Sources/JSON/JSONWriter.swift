// Values to JSON text: small enough to read, exact enough to be read back.

extension JSONValue {
  /// The JSON text, without spaces; a number that JSON cannot say becomes `null`.
  /// - Parameter indent: spaces by which a level is indented, each value on a line of its own; nil for one line.
  public func text(indent: Int? = nil) -> String {
    var writer = JSONTextWriter(indent: indent)
    writer.write(self)
    return String(decoding: writer.bytes, as: UTF8.self)
  }
}

private struct JSONTextWriter {
  var bytes: [UInt8] = []
  let indent: Int?
  private var depth = 0

  init(indent: Int?) { self.indent = indent }

  mutating func write(_ value: JSONValue) {
    switch value {
    case .null: bytes += "null".utf8
    case .bool(let value): bytes += (value ? "true" : "false").utf8
    case .int(let value): bytes += String(value).utf8
    case .double(let value): bytes += (value.isFinite ? value.description : "null").utf8
    case .string(let text): write(text)
    case .array(let values):
      write("[", "]", values) { writer, value in writer.write(value) }
    case .object(let entries):
      write("{", "}", entries.elements) { writer, entry in
        writer.write(entry.key)
        writer.bytes += (writer.indent == nil ? ":" : ": ").utf8
        writer.write(entry.value)
      }
    }
  }

  private mutating func write<Elements: Collection>(
    _ open: String, _ close: String, _ elements: Elements, _ body: (inout Self, Elements.Element) -> Void
  ) {
    bytes += open.utf8
    depth += 1
    var isFirst = true
    for element in elements {
      if !isFirst { bytes.append(UInt8(ascii: ",")) }
      isFirst = false
      startLine()
      body(&self, element)
    }
    depth -= 1
    if !isFirst { startLine() }
    bytes += close.utf8
  }

  private mutating func startLine() {
    guard let indent else { return }
    bytes.append(UInt8(ascii: "\n"))
    bytes.append(contentsOf: repeatElement(UInt8(ascii: " "), count: indent * depth))
  }

  private mutating func write(_ text: String) {
    bytes.append(UInt8(ascii: "\""))
    for byte in text.utf8 {
      switch byte {
      case UInt8(ascii: "\""): bytes += "\\\"".utf8
      case UInt8(ascii: "\\"): bytes += "\\\\".utf8
      case 0x0A: bytes += "\\n".utf8
      case 0x0D: bytes += "\\r".utf8
      case 0x09: bytes += "\\t".utf8
      case 0..<0x20: bytes += "\\u00\(byte < 16 ? "0" : "")\(String(byte, radix: 16))".utf8
      default: bytes.append(byte)
      }
    }
    bytes.append(UInt8(ascii: "\""))
  }
}
