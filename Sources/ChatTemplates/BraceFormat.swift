// Python's `"{}".format(value)`.

enum BraceFormat {
  /// `text.format(arguments)`; one level of fields inside a field's specification, as in Python.
  static func format(_ text: String, _ arguments: Arguments, escaping: Bool, _ runtime: Runtime) throws -> String {
    var formatter = Formatter(arguments: arguments, escaping: escaping, runtime: runtime)
    return try formatter.expand(text, depth: 2)
  }

  private struct Formatter {
    let arguments: Arguments
    let escaping: Bool
    let runtime: Runtime
    /// The number of the next `{}`; nil once fields were numbered by hand.
    var automatic: Int? = 0

    mutating func expand(_ text: String, depth: Int) throws -> String {
      guard depth >= 0 else { throw Failure.value("Max string recursion exceeded") }
      var scalars = Array(text.unicodeScalars)[...]
      var result = String.UnicodeScalarView()
      while let scalar = scalars.popFirst() {
        if scalar == "{" || scalar == "}", scalars.first == scalar {
          result.append(scalars.removeFirst())
        } else if scalar == "}" {
          throw Failure.value("Single '}' encountered in format string")
        } else if scalar == "{" {
          let shown = try field(Self.body(&scalars), depth: depth)
          try runtime.allocate(shown.utf8.count)
          result.append(contentsOf: shown.unicodeScalars)
        } else {
          result.append(scalar)
        }
      }
      try runtime.allocate(text.utf8.count)
      return String(result)
    }

    /// What is between the braces of a field.
    private static func body(_ scalars: inout ArraySlice<Unicode.Scalar>) throws -> ArraySlice<Unicode.Scalar> {
      let whole = scalars
      var open = 1
      while let scalar = scalars.popFirst() {
        if scalar == "{" { open += 1 }
        if scalar == "}" { open -= 1 }
        // Slices share their indices, and the field ends before the brace just read.
        if open == 0 { return whole[..<(scalars.startIndex - 1)] }
      }
      throw Failure.value("expected '}' before end of string")
    }

    private mutating func field(_ body: ArraySlice<Unicode.Scalar>, depth: Int) throws -> String {
      let nameEnd = body.firstIndex { $0 == ":" || $0 == "!" } ?? body.endIndex
      var value = try lookUp(body[..<nameEnd])
      var rest = body[nameEnd...]
      if rest.first == "!" {
        guard let conversion = rest.dropFirst().first else { throw Failure.value("unmatched '{' in format spec") }
        switch conversion {
        case "s": value = .string(try PythonText.string(value, runtime))
        case "r", "a": value = .string(try PythonText.representation(value, runtime))
        default: throw Failure.value("Unknown conversion specifier \(conversion)")
        }
        rest = rest.dropFirst(2)
        guard rest.first == nil || rest.first == ":" else {
          throw Failure.value("expected ':' after conversion specifier")
        }
      }
      let specification = try expand(Text.string(rest.dropFirst()), depth: depth - 1)
      let shown = try FormatSpecification(parsing: specification).format(value, runtime)
      if case .markup = value { return shown }
      return escaping ? Text.escape(shown) : shown
    }

    private mutating func lookUp(_ path: ArraySlice<Unicode.Scalar>) throws -> Value {
      let firstEnd = path.firstIndex { $0 == "." || $0 == "[" } ?? path.endIndex
      var value = try argument(Text.string(path[..<firstEnd]))
      var rest = path[firstEnd...]
      while let mark = rest.popFirst() {
        if mark == "[" {
          guard let close = rest.firstIndex(of: "]") else { throw Failure.value("Missing ']' in format string") }
          let key = Text.string(rest[..<close])
          value = try Attributes.item(value, Int(key).map(Value.int) ?? .string(key), runtime)
          rest = rest[(close + 1)...]
        } else {
          let end = rest.firstIndex { $0 == "." || $0 == "[" } ?? rest.endIndex
          value = try Attributes.attribute(value, Text.string(rest[..<end]))
          rest = rest[end...]
        }
      }
      return value
    }

    private mutating func argument(_ name: String) throws -> Value {
      var index = Int(name)
      if name.isEmpty {
        guard let next = automatic else {
          throw Failure.value("cannot switch from manual field specification to automatic field numbering")
        }
        index = next
        automatic = next + 1
      } else if index != nil {
        guard automatic == 0 || automatic == nil else {
          throw Failure.value("cannot switch from automatic field numbering to manual field specification")
        }
        automatic = nil
      }
      if let index {
        guard arguments.positional.indices.contains(index) else {
          throw Failure.value("Replacement index \(index) out of range for positional args tuple")
        }
        return arguments.positional[index]
      }
      guard let found = arguments.named.first(where: { sameScalars($0.name, name) }) else {
        throw Failure.value("format has no argument '\(name)'")
      }
      return found.value
    }
  }
}
