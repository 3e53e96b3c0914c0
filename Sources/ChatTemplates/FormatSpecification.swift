// How one value is laid out by `%` formatting and by `str.format`.
import Foundation

/// Fill, alignment, sign, width, grouping, precision and type of one formatted value.
struct FormatSpecification {
  var fill: Unicode.Scalar = " "
  /// `<`, `>`, `^` or `=` (padding between sign and digits); nil is the default of the value's type.
  var alignment: Unicode.Scalar?
  /// `+`, `-` or a space.
  var sign: Unicode.Scalar = "-"
  var alternate = false
  var width = 0
  var grouping: Unicode.Scalar?
  var precision: Int?
  var type: Unicode.Scalar?

  /// Nothing sensible is wider or more precise, and C's formatting is quadratic in the precision.
  static let largestSize = 1000

  init() {}

  /// Parses the part of a replacement field after the colon.
  init(parsing text: String) throws {
    var scalars = Array(text.unicodeScalars)[...]
    func isAlignment(_ scalar: Unicode.Scalar?) -> Bool { scalar.map { "<>=^".unicodeScalars.contains($0) } ?? false }
    if scalars.count > 1, isAlignment(scalars.dropFirst().first) {
      fill = scalars.removeFirst()
      alignment = scalars.removeFirst()
    } else if isAlignment(scalars.first) {
      alignment = scalars.removeFirst()
    }
    if let first = scalars.first, first == "+" || first == "-" || first == " " { sign = scalars.removeFirst() }
    if scalars.first == "#" {
      alternate = true
      scalars.removeFirst()
    }
    if scalars.first == "0" {
      scalars.removeFirst()
      if alignment == nil { (fill, alignment) = ("0", "=") }
    }
    width = try Self.size(&scalars) ?? 0
    if let first = scalars.first, first == "," || first == "_" { grouping = scalars.removeFirst() }
    if scalars.first == "." {
      scalars.removeFirst()
      guard let size = try Self.size(&scalars) else { throw Failure.value("Format specifier missing precision") }
      precision = size
    }
    type = scalars.popFirst()
    guard scalars.isEmpty else { throw Failure.value("Invalid format specifier '\(text)'") }
  }

  /// Reads decimal digits.
  static func size(_ scalars: inout ArraySlice<Unicode.Scalar>) throws -> Int? {
    var size: Int?
    while let first = scalars.first, first >= "0", first <= "9" {
      size = (size ?? 0) * 10 + Int(first.value - 48)
      guard size ?? 0 <= largestSize else { throw Failure.limit("a formatted value wider than \(largestSize)") }
      scalars.removeFirst()
    }
    return size
  }

  /// The value as Python's `format(value, specification)` gives it.
  func format(_ value: Value, _ runtime: Runtime) throws -> String {
    switch value {
    case .string(let text), .markup(let text):
      guard type == nil || type == "s" else { throw unknownType(value) }
      return try format(text: text, runtime)
    case .bool where type == nil: return try format(text: PythonText.string(value, runtime), runtime)
    case .int, .bool:
      let integer = value.integer ?? 0
      if let type, "eEfFgG%".unicodeScalars.contains(type) { return try format(Double(integer), value, runtime) }
      return try format(integer, value, runtime)
    case .double(let number): return try format(number, value, runtime)
    default:
      guard width == 0, precision == nil, type == nil else {
        throw Failure.type("unsupported format string passed to \(value.typeName).__format__")
      }
      return try PythonText.string(value, runtime)
    }
  }

  private func unknownType(_ value: Value) -> Failure {
    Failure.value("Unknown format code '\(type.map(String.init) ?? "")' for object of type '\(value.typeName)'")
  }

  func format(text: String, _ runtime: Runtime) throws -> String {
    let shown = precision.map { Text.string(text.unicodeScalars.prefix($0)) } ?? text
    if alignment == "=" { throw Failure.value("'=' alignment not allowed in string format specifier") }
    return try pad("", shown, alignment ?? "<", runtime)
  }

  private func format(_ number: Int, _ value: Value, _ runtime: Runtime) throws -> String {
    guard precision == nil else { throw Failure.value("Precision not allowed in integer format specifier") }
    let magnitude = number.magnitude
    switch type {
    case nil, "d", "n": return try layOut(number < 0, "", grouped(String(magnitude), by: 3), runtime)
    case "b": return try layOut(number < 0, alternate ? "0b" : "", grouped(String(magnitude, radix: 2), by: 4), runtime)
    case "o": return try layOut(number < 0, alternate ? "0o" : "", grouped(String(magnitude, radix: 8), by: 4), runtime)
    case "x", "X":
      let digits = String(magnitude, radix: 16, uppercase: type == "X")
      return try layOut(number < 0, alternate ? (type == "X" ? "0X" : "0x") : "", grouped(digits, by: 4), runtime)
    case "c":
      guard let code = UInt32(exactly: number), let scalar = Unicode.Scalar(code) else {
        throw Failure.value("%c arg not in range of Unicode scalars")
      }
      return try pad("", String(scalar), alignment ?? "<", runtime)
    default: throw unknownType(value)
    }
  }

  private func format(_ number: Double, _ value: Value, _ runtime: Runtime) throws -> String {
    let magnitude = number.magnitude
    let isNegative = number.sign == .minus && !number.isNaN
    guard number.isFinite else {
      let upper = type == "F" || type == "E" || type == "G"
      let text = number.isNaN ? "nan" : "inf"
      return try layOut(isNegative, "", upper ? text.uppercased() : text, runtime)
    }
    var digits: String
    switch type {
    case nil where precision == nil: digits = PythonText.float(magnitude)
    case nil, "n": digits = String(format: "%.*g", precision ?? 6, magnitude)
    case "f", "F": digits = String(format: "%.*f", precision ?? 6, magnitude)
    case "e": digits = String(format: "%.*e", precision ?? 6, magnitude)
    case "E": digits = String(format: "%.*E", precision ?? 6, magnitude)
    case "g": digits = String(format: "%.*g", precision ?? 6, magnitude)
    case "G": digits = String(format: "%.*G", precision ?? 6, magnitude)
    case "%": digits = String(format: "%.*f", precision ?? 6, magnitude * 100) + "%"
    default: throw unknownType(value)
    }
    if let point = digits.firstIndex(of: ".") {
      digits = grouped(String(digits[..<point]), by: 3) + digits[point...]
    } else if digits.utf8.allSatisfy({ $0 >= 48 && $0 <= 57 }) {
      digits = grouped(digits, by: 3)
    }
    return try layOut(isNegative, "", digits, runtime)
  }

  private func grouped(_ digits: String, by size: Int) -> String {
    guard let grouping else { return digits }
    var result = ""
    for (index, digit) in digits.unicodeScalars.enumerated() {
      if index > 0, (digits.utf8.count - index) % size == 0 { result.unicodeScalars.append(grouping) }
      result.unicodeScalars.append(digit)
    }
    return result
  }

  private func layOut(_ isNegative: Bool, _ prefix: String, _ digits: String, _ runtime: Runtime) throws -> String {
    let sign = isNegative ? "-" : sign == "-" ? "" : String(sign)
    return try pad(sign + prefix, digits, alignment ?? ">", runtime)
  }

  private func pad(_ head: String, _ body: String, _ alignment: Unicode.Scalar, _ runtime: Runtime) throws -> String {
    switch alignment {
    case "=":
      let width = max(0, width - head.unicodeScalars.count)
      return head + (try Text.pad(body, to: width, with: fill, .left, runtime))
    case "<": return try Text.pad(head + body, to: width, with: fill, .right, runtime)
    case "^":
      // `format` puts the odd fill on the right, unlike `str.center`.
      let missing = width - (head + body).unicodeScalars.count
      let padded = try Text.pad(head + body, to: width - max(0, missing) / 2, with: fill, .right, runtime)
      return try Text.pad(padded, to: width, with: fill, .left, runtime)
    default: return try Text.pad(head + body, to: width, with: fill, .left, runtime)
    }
  }
}
