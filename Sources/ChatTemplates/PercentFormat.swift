// Python's `"%s" % value`.

enum PercentFormat {
  /// What stands to the right of the `%`.
  enum Source {
    case positional([Value])
    /// A dictionary, for `%(name)s`; as a whole it is also the one positional argument.
    case mapping(Mapping, whole: Value)
  }

  static func format(_ format: String, _ source: Source, escaping: Bool, _ runtime: Runtime) throws -> String {
    var reader = Reader(scalars: Array(format.unicodeScalars)[...], source: source)
    var result = String.UnicodeScalarView()
    while let scalar = reader.scalars.popFirst() {
      guard scalar == "%" else {
        result.append(scalar)
        continue
      }
      if reader.scalars.first == "%" {
        reader.scalars.removeFirst()
        result.append("%")
        continue
      }
      let text = try reader.field(runtime)
      let shown = escaping ? Text.escape(text) : text
      try runtime.allocate(shown.utf8.count)
      result.append(contentsOf: shown.unicodeScalars)
    }
    try reader.expectAllUsed()
    try runtime.allocate(format.utf8.count)
    return String(result)
  }

  private struct Reader {
    var scalars: ArraySlice<Unicode.Scalar>
    let source: Source
    var used = 0

    mutating func field(_ runtime: Runtime) throws -> String {
      var specification = FormatSpecification()
      var named: Value?
      if scalars.first == "(" {
        guard let close = scalars.firstIndex(of: ")") else { throw Failure.value("incomplete format key") }
        let name = Text.string(scalars[(scalars.startIndex + 1)..<close])
        guard case .mapping(let mapping, _) = source else { throw Failure.type("format requires a mapping") }
        guard let value = mapping.entries[.string(name)] else { throw Failure.value("no value for '%(\(name))'") }
        named = value
        scalars = scalars[(close + 1)...]
      }
      var zero = false
      flags: while let flag = scalars.first {
        switch flag {
        case "-": specification.alignment = "<"
        case "0": zero = true
        case "+": specification.sign = "+"
        case " ": if specification.sign != "+" { specification.sign = " " }
        case "#": specification.alternate = true
        default: break flags
        }
        scalars.removeFirst()
      }
      specification.width = try FormatSpecification.size(&scalars) ?? 0
      if scalars.first == "." {
        scalars.removeFirst()
        specification.precision = try FormatSpecification.size(&scalars) ?? 0
      }
      guard let type = scalars.popFirst() else { throw Failure.value("incomplete format") }
      let value = try named ?? next()
      if zero, specification.alignment == nil, !"sra".unicodeScalars.contains(type) {
        (specification.fill, specification.alignment) = ("0", "=")
      }
      return try convert(value, type, specification, runtime)
    }

    private mutating func next() throws -> Value {
      let values: [Value] = switch source {
      case .positional(let values): values
      case .mapping(_, let whole): [whole]
      }
      guard used < values.count else { throw Failure.type("not enough arguments for format string") }
      used += 1
      return values[used - 1]
    }

    func expectAllUsed() throws {
      guard case .positional(let values) = source, used < values.count else { return }
      // What has items by key may be left unused.
      if values.count == 1 {
        switch values[0] {
        case .list, .range, .undefined: return
        default: break
        }
      }
      throw Failure.type("not all arguments converted during string formatting")
    }

    private func convert(
      _ value: Value, _ type: Unicode.Scalar, _ start: FormatSpecification, _ runtime: Runtime
    ) throws -> String {
      var specification = start
      switch type {
      case "s", "r", "a":
        if specification.alignment == nil { specification.alignment = ">" }
        let text = try type == "s" ? PythonText.string(value, runtime) : PythonText.representation(value, runtime)
        return try specification.format(text: text, runtime)
      case "d", "i", "u":
        var integer = value.integer
        if case .double(let number) = value { integer = Int(exactly: number.rounded(.towardZero)) }
        guard let integer else { throw numberRequired(type, value) }
        specification.type = "d"
        let digits = String(integer.magnitude)
        if let precision = specification.precision, precision > digits.utf8.count {
          throw Failure(.unsupported("a precision in %\(type)"))
        }
        specification.precision = nil
        return try specification.format(.int(integer), runtime)
      case "x", "X", "o":
        guard let integer = value.integer else { throw numberRequired(type, value) }
        specification.type = type
        return try specification.format(.int(integer), runtime)
      case "e", "E", "f", "F", "g", "G":
        guard let number = Operators.number(value) else { throw numberRequired(type, value) }
        specification.type = type
        return try specification.format(.double(number), runtime)
      case "c":
        if specification.alignment == nil { specification.alignment = ">" }
        if let text = value.text, text.unicodeScalars.count == 1 {
          return try specification.format(text: text, runtime)
        }
        guard let integer = value.integer else { throw Failure.type("%c requires int or char") }
        specification.type = "c"
        return try specification.format(.int(integer), runtime)
      default: throw Failure.value("unsupported format character '\(type)'")
      }
    }

    private func numberRequired(_ type: Unicode.Scalar, _ value: Value) -> Failure {
      if case .undefined(let undefined) = value { return undefined.failure }
      return Failure.type("%\(type) format: a number is required, not \(value.typeName)")
    }
  }
}
