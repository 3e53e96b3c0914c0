// `tojson`: the text of Python's `json.dumps`, byte for byte.

/// Writes values as JSON the way Python's `json.dumps` does.
struct JSONWriter {
  /// What `tojson` can be told.
  struct Options {
    var escapesNonASCII = false
    /// What one level is indented by; nil writes all on one line.
    var indent: String?
    var itemSeparator = ", "
    var keySeparator = ": "
    var sortsKeys = false
  }

  private(set) var result = ""
  private let options: Options
  private let runtime: Runtime
  private var depth = 0

  /// The JSON text of `value`.
  static func string(_ value: Value, _ options: Options, _ runtime: Runtime) throws -> String {
    var writer = JSONWriter(options: options, runtime: runtime)
    try writer.write(value)
    try runtime.allocate(writer.result.utf8.count)
    return writer.result
  }

  /// The JSON text of public data, however large.
  static func string(_ value: JinjaValue) throws -> String {
    var limits = TemplateLimits()
    (limits.steps, limits.allocatedBytes, limits.outputBytes) = (.max, .max, .max)
    let runtime = Runtime(limits: limits, clock: TemplateClock())
    return try string(Value(value, runtime), Options(), runtime)
  }

  private init(options: Options, runtime: Runtime) {
    self.options = options
    self.runtime = runtime
  }

  private mutating func write(_ value: Value) throws {
    try runtime.step(2)
    guard result.utf8.count <= runtime.limits.outputBytes else {
      throw Failure.limit("the JSON of a value takes more than \(runtime.limits.outputBytes) bytes")
    }
    switch value {
    case .none: result += "null"
    case .bool(let value): result += value ? "true" : "false"
    case .int(let value): result += String(value)
    case .double(let value): result += Self.number(value)
    case .string(let text), .markup(let text): write(text)
    case .list(let items), .tuple(let items):
      try write("[", "]", items.values) { writer, value in try writer.write(value) }
    case .dictionary(let mapping):
      var entries = try mapping.entries.map { (name: try Self.name($0.key), key: $0.key.value, value: $0.value) }
      if options.sortsKeys { entries = try Sorting.sorted(entries, by: \.key, runtime) }
      try write("{", "}", entries) { writer, entry in
        writer.write(entry.name)
        writer.result += writer.options.keySeparator
        try writer.write(entry.value)
      }
    case .undefined, .view, .range, .iterator, .namespace, .loop, .callable:
      throw Failure.type("Object of type \(value.typeName) is not JSON serializable")
    }
  }

  private mutating func write<Element>(
    _ open: String, _ close: String, _ elements: [Element], _ body: (inout JSONWriter, Element) throws -> Void
  ) throws {
    result += open
    depth += 1
    for (index, element) in elements.enumerated() {
      if index > 0 { result += options.itemSeparator }
      startLine()
      try body(&self, element)
    }
    depth -= 1
    if !elements.isEmpty { startLine() }
    result += close
  }

  private mutating func startLine() {
    guard let indent = options.indent else { return }
    result += "\n"
    for _ in 0..<depth { result += indent }
  }

  private static func number(_ value: Double) -> String {
    if value.isNaN { return "NaN" }
    return value.isFinite ? PythonText.float(value) : value < 0 ? "-Infinity" : "Infinity"
  }

  private static func name(_ key: Key) throws -> String {
    switch key {
    case .string(let text): text
    case .int(let value): String(value)
    case .double(let value): number(value)
    case .bool(let value): value ? "true" : "false"
    case .none: "null"
    case .undefined: throw Failure.type("keys must be str, int, float, bool or None, not Undefined")
    }
  }

  private mutating func write(_ text: String) {
    result += "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": result += "\\\""
      case "\\": result += "\\\\"
      case "\n": result += "\\n"
      case "\r": result += "\\r"
      case "\t": result += "\\t"
      case "\u{8}": result += "\\b"
      case "\u{C}": result += "\\f"
      case "\0"..."\u{1F}": result += "\\u" + PythonText.hexadecimal(scalar.value, width: 4)
      case "\u{7F}"... where options.escapesNonASCII:
        for unit in String(scalar).utf16 { result += "\\u" + PythonText.hexadecimal(UInt32(unit), width: 4) }
      default: result.unicodeScalars.append(scalar)
      }
    }
    result += "\""
  }
}
