// The escapes inside string literals.

/// The escapes of a string literal, as Python's `unicode-escape` codec reads them.
struct Unescaper {
  var scalars: ArraySlice<Unicode.Scalar>

  mutating func unescape() throws -> String {
    var result = String.UnicodeScalarView()
    while let scalar = scalars.popFirst() {
      guard scalar == "\\", let escaped = scalars.popFirst() else {
        result.append(scalar)
        continue
      }
      switch escaped {
      case "\n": break
      case "\\", "'", "\"": result.append(escaped)
      case "a": result.append("\u{7}")
      case "b": result.append("\u{8}")
      case "f": result.append("\u{C}")
      case "n": result.append("\n")
      case "r": result.append("\r")
      case "t": result.append("\t")
      case "v": result.append("\u{B}")
      case "0"..."7":
        var value = escaped.value - 48
        for _ in 0..<2 {
          guard let digit = scalars.first, digit >= "0", digit <= "7" else { break }
          value = value * 8 + digit.value - 48
          scalars.removeFirst()
        }
        try result.append(Self.scalar(value))
      case "x": try result.append(hexadecimal(2))
      case "u": try result.append(hexadecimal(4))
      case "U": try result.append(hexadecimal(8))
      case "N": throw Failure(.unsupported("a character by name (\\N)"))
      default:
        result.append("\\")
        // Python sees what is not ASCII as an escape already, whose own backslash the first one then quotes.
        if escaped.isASCII {
          result.append(escaped)
        } else {
          let code = escaped.value
          let (letter, width) = code <= 0xFF ? ("x", 2) : code <= 0xFFFF ? ("u", 4) : ("U", 8)
          result.append(contentsOf: (letter + PythonText.hexadecimal(code, width: width)).unicodeScalars)
        }
      }
    }
    return String(result)
  }

  private mutating func hexadecimal(_ count: Int) throws -> Unicode.Scalar {
    let digits = Text.string(scalars.prefix(count))
    guard digits.utf8.count == count, digits.unicodeScalars.allSatisfy(\.properties.isASCIIHexDigit),
      let value = UInt32(digits, radix: 16)
    else { throw Failure(.syntax("expected \(count) hexadecimal digits in an escape")) }
    scalars = scalars.dropFirst(count)
    return try Self.scalar(value)
  }

  private static func scalar(_ value: UInt32) throws -> Unicode.Scalar {
    guard let scalar = Unicode.Scalar(value) else { throw Failure(.unsupported("a surrogate in a string")) }
    return scalar
  }
}
