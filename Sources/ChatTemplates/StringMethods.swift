// The methods of Python's `str`.

enum StringMethods {
  static let names: Set<String> = [
    "capitalize", "casefold", "center", "count", "endswith", "find", "format", "index", "isalnum", "isalpha",
    "isascii", "isdecimal", "isdigit", "islower", "isnumeric", "isspace", "istitle", "isupper", "join", "ljust",
    "lower", "lstrip", "partition", "removeprefix", "removesuffix", "replace", "rfind", "rindex", "rjust",
    "rpartition", "rsplit", "rstrip", "split", "splitlines", "startswith", "strip", "swapcase", "title", "upper",
    "zfill",
  ]

  /// Calls `receiver.name(arguments)`; a string marked safe gives strings marked safe and escapes what it takes in.
  static func call(_ receiver: Value, _ name: String, _ arguments: Arguments, _ runtime: Runtime) throws -> Value {
    guard let text = receiver.text else { throw Failure.type("'\(receiver.typeName)' object has no method '\(name)'") }
    try runtime.step(text.utf8.count / 32)
    var isMarkup = false
    if case .markup = receiver { isMarkup = true }
    let call = Call(text: text, name: name, arguments: arguments, isMarkup: isMarkup, runtime: runtime)
    let result = try call.transform() ?? call.cut() ?? call.search() ?? call.classify()
    return isMarkup ? try marked(result) : result
  }

  private static func marked(_ value: Value) throws -> Value {
    switch value {
    case .string(let text): .markup(text)
    case .list(let items): try .list(items.values.map(marked))
    case .tuple(let items): try .tuple(items.values.map(marked))
    default: value
    }
  }

  private struct Call {
    let text: String
    let name: String
    let arguments: Arguments
    let isMarkup: Bool
    let runtime: Runtime

    private func bind(_ parameters: [String] = [], required: Int = 0) throws -> [Value?] {
      try arguments.bind("\(name)()", parameters, required: required)
    }

    private func made(_ text: String) throws -> Value {
      try runtime.allocate(text.utf8.count)
      return .string(text)
    }

    /// What `value` looks like inside the result.
    private func taken(_ value: Value, _ what: String) throws -> String {
      let text = try value.requireText(what)
      if isMarkup, case .string = value { return Text.escape(text) }
      return text
    }

    /// Methods that give a changed string.
    func transform() throws -> Value? {
      switch name {
      case "upper", "lower", "casefold", "capitalize", "title", "swapcase":
        _ = try bind()
        return try made(changedCase())
      case "replace":
        let bound = try bind(["old", "new", "count"], required: 2)
        let count = try bound[2].integer("count", otherwise: -1)
        let old = try (bound[0] ?? .none).requireText("replace() argument 1")
        let new = try taken(bound[1] ?? .none, "replace() argument 2")
        return .string(try Text.replace(text, old, with: new, limit: count < 0 ? .max : count, runtime))
      case "join":
        let values = try (bind(["iterable"], required: 1)[0] ?? .none).iterate(runtime)
        var result = ""
        for (index, value) in values.enumerated() {
          let part = try taken(value, "an item to join")
          try runtime.allocate(part.utf8.count + text.utf8.count)
          if index > 0 { result += text }
          result += part
        }
        return .string(result)
      case "format": return .string(try BraceFormat.format(text, arguments, escaping: isMarkup, runtime))
      case "center", "ljust", "rjust":
        let bound = try bind(["width", "fillchar"], required: 1)
        let fill = try bound[1].map { try taken($0, "the fill character") } ?? " "
        guard fill.unicodeScalars.count == 1, let scalar = fill.unicodeScalars.first else {
          throw Failure.type("The fill character must be exactly one character long")
        }
        let width = try (bound[0] ?? .none).requireInteger("width")
        let side: Text.Side = name == "center" ? .both : name == "ljust" ? .right : .left
        return .string(try Text.pad(text, to: width, with: scalar, side, runtime))
      case "zfill":
        let width = try (bind(["width"], required: 1)[0] ?? .none).requireInteger("width")
        guard let first = text.unicodeScalars.first, first == "-" || first == "+" else {
          return .string(try Text.pad(text, to: width, with: "0", .left, runtime))
        }
        let digits = try Text.pad(
          Text.string(text.unicodeScalars.dropFirst()), to: max(0, width) - 1, with: "0", .left, runtime)
        return .string(String(first) + digits)
      default: return nil
      }
    }

    private func changedCase() -> String {
      switch name {
      case "upper": text.uppercased()
      case "lower": text.lowercased()
      case "casefold": text.lowercased().replacing("ß", with: "ss")
      case "capitalize": Text.capitalize(text)
      case "title": Text.title(text)
      default:
        text.unicodeScalars.reduce(into: "") { result, scalar in
          let properties = scalar.properties
          result += properties.isUppercase ? properties.lowercaseMapping : properties.uppercaseMapping
        }
      }
    }

    /// Methods that give parts of the string.
    func cut() throws -> Value? {
      switch name {
      case "strip", "lstrip", "rstrip":
        let characters = try bind(["chars"])[0].unlessNone?.requireText("strip argument")
        let dropped = characters.map { Set($0.unicodeScalars) }
        return .string(
          Text.strip(text, leading: name != "rstrip", trailing: name != "lstrip") {
            dropped?.contains($0) ?? Text.isSpace($0)
          })
      case "split", "rsplit":
        let bound = try bind(["sep", "maxsplit"])
        let count = try bound[1].integer("maxsplit", otherwise: -1)
        let limit = count < 0 ? Int.max : count
        let fromEnd = name == "rsplit"
        guard let separator = try bound[0].unlessNone?.requireText("sep") else {
          return try strings(Text.words(text, limit: limit, fromEnd: fromEnd, runtime))
        }
        guard !separator.isEmpty else { throw Failure.value("empty separator") }
        return try strings(Text.split(text, by: separator, limit: limit, fromEnd: fromEnd, runtime))
      case "splitlines":
        let keepEnds = try bind(["keepends"])[0].isTrue
        try runtime.allocateItems(text.utf8.count)
        return try strings(Text.lines(text, keepEnds: keepEnds))
      case "partition", "rpartition":
        let separator = try (bind(["sep"], required: 1)[0] ?? .none).requireText("sep")
        guard !separator.isEmpty else { throw Failure.value("empty separator") }
        let fromEnd = name == "rpartition"
        let parts = try Text.split(text, by: separator, limit: 1, fromEnd: fromEnd, runtime)
        if parts.count == 2 { return try .tuple([.string(parts[0]), .string(separator), .string(parts[1])]) }
        let nothing = Value.emptyString
        return try .tuple(fromEnd ? [nothing, nothing, .string(text)] : [.string(text), nothing, nothing])
      case "removeprefix", "removesuffix":
        let part = try (bind(["affix"], required: 1)[0] ?? .none).requireText("the affix")
        let bytes = Array(text.utf8)
        if name == "removeprefix", bytes.starts(with: part.utf8) {
          return .string(String(decoding: bytes.dropFirst(part.utf8.count), as: UTF8.self))
        }
        if name == "removesuffix", !part.isEmpty, bytes.reversed().starts(with: part.utf8.reversed()) {
          return .string(String(decoding: bytes.dropLast(part.utf8.count), as: UTF8.self))
        }
        return .string(text)
      default: return nil
      }
    }

    private func strings(_ parts: [String]) throws -> Value { try .list(parts.map { .string($0) }) }

    /// Methods that look for a part of the string.
    func search() throws -> Value? {
      switch name {
      case "startswith", "endswith":
        let bound = try bind(["affix", "start", "end"], required: 1)
        let part = Array(try range(bound[1].unlessNone, bound[2].unlessNone).utf8)
        let affixes = if case .tuple(let items) = bound[0] { items.values } else { [bound[0] ?? .none] }
        for affix in affixes {
          let affix = try affix.requireText("\(name) first arg").utf8
          if name == "startswith" ? part.starts(with: affix) : part.reversed().starts(with: affix.reversed()) {
            return .bool(true)
          }
        }
        return .bool(false)
      case "find", "index", "rfind", "rindex", "count":
        let bound = try bind(["sub", "start", "end"], required: 1)
        let needle = try (bound[0] ?? .none).requireText("\(name)() argument 1")
        guard bound[1].unlessNone == nil, bound[2].unlessNone == nil else {
          throw Failure(.unsupported("\(name)() with bounds"))
        }
        return try found(needle)
      default: return nil
      }
    }

    private func range(_ start: Value?, _ end: Value?) throws -> String {
      if start == nil, end == nil { return text }
      return try Attributes.slice(.string(text), start ?? .none, end ?? .none, .none, runtime).text ?? ""
    }

    private func found(_ needle: String) throws -> Value {
      try runtime.step((text.utf8.count + needle.utf8.count) / 16)
      let count = text.unicodeScalars.count
      let bytes = Array(text.utf8)
      if name == "count" {
        return .int(needle.isEmpty ? count + 1 : Text.places(of: Array(needle.utf8), in: bytes).count)
      }
      let fromEnd = name.hasPrefix("r")
      if needle.isEmpty { return .int(fromEnd ? count : 0) }
      let part = Array(needle.utf8)
      var place: Int?
      if fromEnd {
        place = Text.places(of: part.reversed(), in: bytes.reversed(), limit: 1).first
          .map { bytes.count - $0 - part.count }
      } else {
        place = Text.places(of: part, in: bytes, limit: 1).first
      }
      if let place { return .int(String(decoding: bytes[..<place], as: UTF8.self).unicodeScalars.count) }
      if name.hasSuffix("index") { throw Failure.value("substring not found") }
      return .int(-1)
    }

    /// Methods that say what kind of characters the string has.
    func classify() throws -> Value {
      _ = try bind()
      let scalars = text.unicodeScalars
      func all(_ test: (Unicode.Scalar.Properties) -> Bool) -> Value {
        .bool(!scalars.isEmpty && scalars.allSatisfy { test($0.properties) })
      }
      switch name {
      case "isspace": return .bool(!scalars.isEmpty && scalars.allSatisfy(Text.isSpace))
      case "isascii": return .bool(scalars.allSatisfy(\.isASCII))
      case "isdecimal": return all { $0.numericType == .decimal }
      case "isdigit": return all { $0.numericType == .decimal || $0.numericType == .digit }
      case "isnumeric": return all { $0.numericType != nil }
      case "isalpha": return all(Self.isLetter)
      case "isalnum": return all { Self.isLetter($0) || $0.numericType != nil }
      case "islower": return .bool(StringMethods.isLower(text))
      case "isupper": return .bool(StringMethods.isUpper(text))
      default: return .bool(Text.title(text) == text && scalars.contains { $0.properties.isCased })
      }
    }

    private static func isLetter(_ properties: Unicode.Scalar.Properties) -> Bool {
      switch properties.generalCategory {
      case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter: true
      default: false
      }
    }

  }

  static func isLower(_ text: String) -> Bool {
    text.unicodeScalars.contains(where: \.properties.isLowercase)
      && !text.unicodeScalars.contains { $0.properties.isUppercase || isTitlecase($0) }
  }

  static func isUpper(_ text: String) -> Bool {
    text.unicodeScalars.contains(where: \.properties.isUppercase)
      && !text.unicodeScalars.contains { $0.properties.isLowercase || isTitlecase($0) }
  }

  private static func isTitlecase(_ scalar: Unicode.Scalar) -> Bool {
    scalar.properties.generalCategory == .titlecaseLetter
  }
}
