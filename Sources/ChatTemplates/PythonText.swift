// How Python prints values: `str`, `repr` and the shortest form of a float.

/// Writes values the way Python does, into one string.
struct PythonText {
  private(set) var result = ""
  private let runtime: Runtime
  private var depth = 0

  private init(_ runtime: Runtime) { self.runtime = runtime }

  /// Python's `str(value)`.
  static func string(_ value: Value, _ runtime: Runtime) throws -> String {
    switch value {
    case .string(let text), .markup(let text): return text
    case .undefined: return ""
    default: return try representation(value, runtime)
    }
  }

  /// Python's `repr(value)`.
  static func representation(_ value: Value, _ runtime: Runtime) throws -> String {
    var writer = PythonText(runtime)
    try writer.write(value)
    try runtime.allocate(writer.result.utf8.count)
    return writer.result
  }

  private mutating func write(_ value: Value) throws {
    try runtime.step(2)
    guard result.utf8.count <= runtime.limits.outputBytes else {
      throw Failure.limit("printing a value takes more than \(runtime.limits.outputBytes) bytes")
    }
    switch value {
    case .undefined: result += "Undefined"
    case .none: result += "None"
    case .bool(let value): result += value ? "True" : "False"
    case .int(let value): result += String(value)
    case .double(let value): result += Self.float(value)
    case .string(let text): result += Self.quoted(text)
    case .markup(let text): result += "Markup(" + Self.quoted(text) + ")"
    case .list(let items): try write(items.values, "[", "]")
    case .tuple(let items): try write(items.values, "(", items.values.count == 1 ? ",)" : ")")
    case .dictionary(let mapping): try write(mapping)
    case .view(let view):
      result += value.typeName
      try write(view.values(), "([", "])")
    case .range(let range):
      result += "range(\(range.start), \(range.stop)" + (range.step == 1 ? ")" : ", \(range.step))")
    case .iterator: result += "<generator object>"
    case .namespace(let namespace):
      result += "<Namespace "
      try write(Mapping(namespace.attributes))
      result += ">"
    case .loop(let loop): result += "<LoopContext \(loop.index0 + 1)/\(try loop.length())>"
    case .callable(let callable):
      if case .macro(_, _, _, let name) = callable.kind {
        result += "<Macro \(Self.quoted(name))>"
      } else {
        result += "<function>"
      }
    }
  }

  private mutating func write(_ values: [Value], _ open: String, _ close: String) throws {
    try enter()
    result += open
    for (index, value) in values.enumerated() {
      if index > 0 { result += ", " }
      try write(value)
    }
    result += close
    depth -= 1
  }

  private mutating func write(_ mapping: Mapping) throws {
    try enter()
    result += "{"
    for (index, entry) in mapping.entries.enumerated() {
      if index > 0 { result += ", " }
      try write(entry.key.value)
      result += ": "
      try write(entry.value)
    }
    result += "}"
    depth -= 1
  }

  /// Namespaces may contain themselves, so depth is not bounded by construction here.
  private mutating func enter() throws {
    depth += 1
    guard depth <= TemplateLimits.valueDepth else {
      throw Failure.limit("values are nested deeper than \(TemplateLimits.valueDepth)")
    }
  }

  /// A string in Python's quotes.
  static func quoted(_ text: String) -> String {
    let quote: Unicode.Scalar =
      text.utf8.contains(UInt8(ascii: "'")) && !text.utf8.contains(UInt8(ascii: "\"")) ? "\"" : "'"
    var result = String(quote)
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\n": result += "\\n"
      case "\r": result += "\\r"
      case "\t": result += "\\t"
      case "\\": result += "\\\\"
      case quote: result += "\\" + String(quote)
      case " "..."~": result.unicodeScalars.append(scalar)
      default:
        if isPrintable(scalar) {
          result.unicodeScalars.append(scalar)
        } else if scalar.value <= 0xFF {
          result += "\\x" + hexadecimal(scalar.value, width: 2)
        } else if scalar.value <= 0xFFFF {
          result += "\\u" + hexadecimal(scalar.value, width: 4)
        } else {
          result += "\\U" + hexadecimal(scalar.value, width: 8)
        }
      }
    }
    result.unicodeScalars.append(quote)
    return result
  }

  private static func isPrintable(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.properties.generalCategory {
    case .control, .format, .surrogate, .privateUse, .unassigned, .lineSeparator, .paragraphSeparator, .spaceSeparator:
      false
    default: true
    }
  }

  static func hexadecimal(_ value: UInt32, width: Int) -> String {
    let digits = String(value, radix: 16)
    return String(repeating: "0", count: max(0, width - digits.utf8.count)) + digits
  }

  /// Python's `repr` of a float: the shortest digits that give it back, with an exponent from 1e16 and below 1e-4.
  static func float(_ value: Double) -> String {
    guard value.isFinite else { return value.isNaN ? "nan" : value < 0 ? "-inf" : "inf" }
    guard value != 0 else { return value.sign == .minus ? "-0.0" : "0.0" }
    let (digits, exponent) = shortestDigits(value.magnitude)
    let sign = value < 0 ? "-" : ""
    if exponent < -4 || exponent >= 16 {
      let fraction = digits.count > 1 ? "." + String(decoding: digits[1...], as: UTF8.self) : ""
      let size = String(exponent.magnitude)
      let first = String(decoding: digits[..<1], as: UTF8.self)
      return sign + first + fraction + (exponent < 0 ? "e-" : "e+") + (size.utf8.count < 2 ? "0" : "") + size
    }
    let text = String(decoding: digits, as: UTF8.self)
    if exponent < 0 { return sign + "0." + String(repeating: "0", count: -exponent - 1) + text }
    if digits.count <= exponent + 1 {
      return sign + text + String(repeating: "0", count: exponent + 1 - digits.count) + ".0"
    }
    return sign + String(decoding: digits[...exponent], as: UTF8.self) + "."
      + String(decoding: digits[(exponent + 1)...], as: UTF8.self)
  }

  /// The shortest decimal digits of a positive number and the power of ten of the first, taken from Swift's own
  /// description, which has the same digits but other rules for where the point goes.
  private static func shortestDigits(_ value: Double) -> (digits: [UInt8], exponent: Int) {
    let parts = value.description.utf8.split(separator: UInt8(ascii: "e"), maxSplits: 1)
    var exponent = parts.count > 1 ? Int(String(decoding: parts[1], as: UTF8.self)) ?? 0 : 0
    let point = parts[0].firstIndex(of: UInt8(ascii: ".")) ?? parts[0].endIndex
    exponent += parts[0].distance(from: parts[0].startIndex, to: point) - 1
    var digits = parts[0].filter { $0 != UInt8(ascii: ".") }
    while digits.count > 1, digits.first == UInt8(ascii: "0") {
      digits.removeFirst()
      exponent -= 1
    }
    while digits.count > 1, digits.last == UInt8(ascii: "0") { digits.removeLast() }
    return (digits, exponent)
  }
}
