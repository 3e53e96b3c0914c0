// The filters of one value: text, numbers and JSON. Filters over sequences are in SequenceFilters.swift.
import Foundation

/// A filter: the value before the bar, and its arguments.
typealias Filter = @Sendable (Value, Arguments, Runtime) throws -> Value

enum Filters {
  static let table: [String: Filter] = valueFilters.merging(SequenceFilters.table) { first, _ in first }

  private static let valueFilters: [String: Filter] = [
    "abs": { value, arguments, _ in
      try arguments.expectNone("abs")
      if case .double(let number) = value { return .double(number.magnitude) }
      let number = try value.requireInteger("the operand of abs")
      return number < 0 ? try Operators.negate(value) : .int(number)
    },
    "capitalize": { try text($0, $1, $2, "capitalize", Text.capitalize) },
    "center": { value, arguments, runtime in
      let width = try arguments.bind("center", ["width"])[0].integer("width", otherwise: 80)
      let padded = try Text.pad(PythonText.string(value, runtime), to: width, .both, runtime)
      return marked(like: value, padded)
    },
    "d": fallback,
    "default": fallback,
    "e": escape,
    "escape": escape,
    "float": { value, arguments, runtime in
      let otherwise = try arguments.bind("float", ["default"])[0] ?? .double(0)
      if case .undefined(let undefined) = value { throw undefined.failure }
      if let number = Operators.number(value) ?? value.text.flatMap(NumberText.double) { return .double(number) }
      return otherwise
    },
    "forceescape": { value, arguments, runtime in
      try arguments.expectNone("forceescape")
      return .markup(Text.escape(try PythonText.string(value, runtime)))
    },
    "format": { value, arguments, runtime in
      let format = Value.string(try PythonText.string(value, runtime))
      if arguments.named.isEmpty {
        return try Operators.apply(.modulo, format, .tuple(arguments.positional), runtime)
      }
      guard arguments.positional.isEmpty else {
        throw Failure.type("can't handle positional and keyword arguments at the same time")
      }
      let named = arguments.named.map { (Key.string($0.name), $0.value) }
      let mapping = try Mapping(.init(named, uniquingKeysWith: { $1 }))
      return try Operators.apply(.modulo, format, .dictionary(mapping), runtime)
    },
    "from_json": { value, arguments, runtime in
      try arguments.expectNone("from_json")
      let text = try value.requireText("the operand of from_json")
      try runtime.allocate(text.utf8.count * 8)
      return try Value(JSONValue(json: text), runtime)
    },
    "indent": indent,
    "int": integer,
    "lower": { try text($0, $1, $2, "lower") { $0.lowercased() } },
    "replace": { value, arguments, runtime in
      let bound = try arguments.bind("replace", ["old", "new", "count"], required: 2)
      let count = try bound[2].unlessNone.integer("count", otherwise: -1)
      return .string(
        try Text.replace(
          PythonText.string(value, runtime), PythonText.string(bound[0] ?? .none, runtime),
          with: PythonText.string(bound[1] ?? .none, runtime), limit: count < 0 ? .max : count, runtime))
    },
    "round": round,
    "safe": { value, arguments, runtime in
      try arguments.expectNone("safe")
      return .markup(try PythonText.string(value, runtime))
    },
    "string": { value, arguments, runtime in
      try arguments.expectNone("string")
      return value.text == nil ? .string(try PythonText.string(value, runtime)) : value
    },
    "title": { try text($0, $1, $2, "title", Text.titleWords) },
    "tojson": json,
    "trim": { value, arguments, runtime in
      let characters = try arguments.bind("trim", ["chars"])[0].unlessNone?.requireText("chars")
      let string = try PythonText.string(value, runtime)
      try runtime.step(string.utf8.count / 32)
      guard let characters else { return marked(like: value, Text.strip(string)) }
      let dropped = Set(characters.unicodeScalars)
      return marked(like: value, Text.strip(string, leading: true, trailing: true) { dropped.contains($0) })
    },
    "truncate": truncate,
    "upper": { try text($0, $1, $2, "upper") { $0.uppercased() } },
    "wordcount": { value, arguments, runtime in
      try arguments.expectNone("wordcount")
      var count = 0
      var inWord = false
      for scalar in try PythonText.string(value, runtime).unicodeScalars {
        let isWord = scalar == "_" || scalar.properties.isAlphabetic || scalar.properties.numericType != nil
        if isWord, !inWord { count += 1 }
        inWord = isWord
      }
      return .int(count)
    },
  ]

  private static func marked(like value: Value, _ text: String) -> Value {
    if case .markup = value { return .markup(text) }
    return .string(text)
  }

  private static func text(
    _ value: Value, _ arguments: Arguments, _ runtime: Runtime, _ name: String, _ change: (String) -> String
  ) throws -> Value {
    try arguments.expectNone(name)
    let text = try PythonText.string(value, runtime)
    try runtime.allocate(text.utf8.count)
    return marked(like: value, change(text))
  }

  private static let fallback: Filter = { value, arguments, _ in
    let bound = try arguments.bind("default", ["default_value", "boolean"])
    return value.isUndefined || bound[1].isTrue && !value.isTrue() ? bound[0] ?? .emptyString : value
  }

  private static let escape: Filter = { value, arguments, runtime in
    try arguments.expectNone("escape")
    if case .markup = value { return value }
    let text = try PythonText.string(value, runtime)
    try runtime.allocate(text.utf8.count * 5)
    return .markup(Text.escape(text))
  }

  private static let integer: Filter = { value, arguments, runtime in
    let bound = try arguments.bind("int", ["default", "base"])
    let base = try bound[1].integer("base", otherwise: 10)
    if case .undefined(let undefined) = value { throw undefined.failure }
    if let number = value.integer { return .int(number) }
    var number: Double?
    if let text = value.text {
      if let exact = try NumberText.integer(text, base: base) { return .int(exact) }
      number = NumberText.double(text)
    } else if case .double(let value) = value {
      number = value
    }
    guard let number, number.isFinite else { return bound[0] ?? .int(0) }
    guard let whole = Int(exactly: number.rounded(.towardZero)) else {
      throw Failure.value("an integer outside 64 bits is not supported")
    }
    return .int(whole)
  }

  private static let indent: Filter = { value, arguments, runtime in
    let bound = try arguments.bind("indent", ["width", "first", "blank"])
    if case .undefined(let undefined) = value { throw undefined.failure }
    let text = try value.requireText("the operand of indent")
    let indentation: String
    if let given = bound[0]?.text {
      indentation = given
    } else {
      let width = try bound[0].integer("width", otherwise: 4)
      try runtime.allocate(max(0, width))
      indentation = String(repeating: " ", count: max(0, width))
    }
    let lines = Text.lines(text + "\n")
    try runtime.allocate(Text.saturating(lines.count, times: indentation.utf8.count) &+ text.utf8.count)
    var result = ""
    for (index, line) in lines.enumerated() {
      if index > 0 { result += "\n" }
      if index == 0 ? bound[1].isTrue : bound[2].isTrue || !line.isEmpty { result += indentation }
      result += line
    }
    return marked(like: value, result)
  }

  private static let json: Filter = { value, arguments, runtime in
    let bound = try arguments.bind("tojson", ["ensure_ascii", "indent", "separators", "sort_keys"])
    var options = JSONWriter.Options()
    options.escapesNonASCII = bound[0].isTrue
    options.sortsKeys = bound[3].isTrue
    if let indent = bound[1].unlessNone {
      options.itemSeparator = ","
      if let text = indent.text {
        options.indent = text
      } else {
        let width = max(0, try indent.requireInteger("indent"))
        guard width <= 1000 else { throw Failure.limit("an indent wider than 1000") }
        options.indent = String(repeating: " ", count: width)
      }
    }
    if let separators = bound[2].unlessNone {
      let pair = try separators.iterate(runtime)
      guard pair.count == 2 else { throw Failure.value("separators must be two strings") }
      options.itemSeparator = try pair[0].requireText("the item separator")
      options.keySeparator = try pair[1].requireText("the key separator")
    }
    return .string(try JSONWriter.string(value, options, runtime))
  }

  private static let round: Filter = { value, arguments, runtime in
    let bound = try arguments.bind("round", ["precision", "method"])
    let precision = try bound[0].integer("precision", otherwise: 0)
    let method = try bound[1]?.requireText("method") ?? "common"
    if case .undefined(let undefined) = value { throw undefined.failure }
    guard let number = Operators.number(value) else {
      throw Failure.type("round needs a number, not '\(value.typeName)'")
    }
    guard (-300...300).contains(precision) else { throw Failure.limit("round to more than 300 places") }
    let scale = pow(10, Double(precision))
    switch method {
    case "common":
      if let integer = value.integer, precision >= 0 { return .int(integer) }
      if value.integer != nil { throw Failure(.unsupported("rounding an integer to tens")) }
      // Rounding the exact binary value in decimal, half to even, is what Python does; C's printf does it too.
      if precision < 0 {
        let unit = pow(10, Double(-precision))
        return .double((number / unit).rounded(.toNearestOrEven) * unit)
      }
      return .double(number.isFinite ? Double(String(format: "%.*f", precision, number)) ?? number : number)
    case "ceil": return .double((number * scale).rounded(.up) / scale)
    case "floor": return .double((number * scale).rounded(.down) / scale)
    default: throw Failure.value("method must be common, ceil or floor")
    }
  }

  private static let truncate: Filter = { value, arguments, runtime in
    let bound = try arguments.bind("truncate", ["length", "killwords", "end", "leeway"])
    let length = try bound[0].integer("length", otherwise: 255)
    let end = try bound[2]?.requireText("end") ?? "..."
    let leeway = try bound[3].unlessNone.integer("leeway", otherwise: 5)
    let endCount = end.unicodeScalars.count
    guard let text = value.text else {
      let count = try value.length(runtime)
      guard count <= length || count - length <= leeway else {
        throw Failure.type("truncate cannot cut a value of type '\(value.typeName)'")
      }
      return value
    }
    guard length >= endCount, leeway >= 0 else { throw Failure.value("expected length >= \(endCount) and leeway >= 0") }
    let scalars = Array(text.unicodeScalars)
    guard scalars.count > length, scalars.count - length > leeway else { return value }
    let kept = scalars[..<(length - endCount)]
    let cut = bound[1].isTrue ? kept : kept.lastIndex(of: " ").map { kept[..<$0] } ?? kept
    return .string(Text.string(cut) + end)
  }
}

/// Numbers as Python's `int()` and `float()` read them.
enum NumberText {
  static func integer(_ text: String, base: Int) throws -> Int? {
    guard base == 0 || (2...36).contains(base) else { throw Failure.value("int() base must be >= 2 and <= 36, or 0") }
    var digits = Text.strip(text)[...]
    var sign = ""
    if let first = digits.unicodeScalars.first, first == "-" || first == "+" {
      sign = String(digits.removeFirst())
    }
    var radix = base
    for (prefix, value) in [("0x", 16), ("0o", 8), ("0b", 2)] where base == value || base == 0 {
      if digits.lowercased().hasPrefix(prefix) {
        digits = digits.dropFirst(2)
        radix = value
        if digits.utf8.first == UInt8(ascii: "_") { digits.removeFirst() }
        break
      }
    }
    if radix == 0 { radix = 10 }
    guard let plain = withoutUnderscores(digits), plain.utf8.first != UInt8(ascii: "+"),
      plain.utf8.first != UInt8(ascii: "-")
    else { return nil }
    if let value = Int(sign + plain, radix: radix) { return value }
    let isNumber = !plain.isEmpty && plain.unicodeScalars.allSatisfy { Int(String($0), radix: radix) != nil }
    if isNumber { throw Failure.value("an integer outside 64 bits is not supported") }
    return nil
  }

  static func double(_ text: String) -> Double? {
    guard let plain = withoutUnderscores(Text.strip(text)[...]) else { return nil }
    let isDecimal = plain.utf8.allSatisfy { ("0"..."9").contains(Unicode.Scalar($0)) || "+-.eE".utf8.contains($0) }
    let name = plain.lowercased().drop { $0 == "+" || $0 == "-" }
    guard isDecimal || ["inf", "infinity", "nan"].contains(name) else { return nil }
    // Python reads "1." and ".5", which Swift does not.
    var padded = plain
    if let point = padded.firstIndex(of: ".") {
      let after = padded.index(after: point)
      let hasBefore = point > padded.startIndex && padded[padded.index(before: point)].isNumber
      let hasAfter = after < padded.endIndex && padded[after].isNumber
      guard hasBefore || hasAfter else { return nil }
      if !hasAfter { padded.insert("0", at: after) }
      if !hasBefore { padded.insert("0", at: point) }
    }
    return Double(padded)
  }

  /// The text without underscores, which are only allowed between digits.
  private static func withoutUnderscores(_ text: Substring) -> String? {
    guard text.utf8.contains(UInt8(ascii: "_")) else { return String(text) }
    let parts = text.split(separator: "_", omittingEmptySubsequences: false)
    for (left, right) in zip(parts, parts.dropFirst()) {
      guard left.last?.isHexDigit == true, right.first?.isHexDigit == true else { return nil }
    }
    return parts.joined()
  }
}
