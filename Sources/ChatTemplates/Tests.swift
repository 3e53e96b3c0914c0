// The tests after `is`.

/// A test: the value before `is`, and its arguments.
typealias Test = @Sendable (Value, Arguments, Runtime) throws -> Bool

enum Tests {
  static let table: [String: Test] = {
    var table = kinds.merging(values) { first, _ in first }
    let comparisons: [(Comparison, [String])] = [
      (.equal, ["==", "eq", "equalto"]), (.notEqual, ["!=", "ne"]), (.greater, [">", "gt", "greaterthan"]),
      (.greaterOrEqual, [">=", "ge"]), (.less, ["<", "lt", "lessthan"]), (.lessOrEqual, ["<=", "le"]),
      (.contained, ["in"]),
    ]
    for (comparison, names) in comparisons {
      for name in names {
        table[name] = { value, arguments, runtime in
          let other = try arguments.bind(name, ["other"], required: 1)[0] ?? .none
          return try Operators.compare(comparison, value, other, runtime)
        }
      }
    }
    return table
  }()

  /// Tests of what a value is, without arguments.
  private static let kinds: [String: Test] = [
    "boolean": kind("boolean") { if case .bool = $0 { true } else { false } },
    "callable": kind("callable") {
      switch $0 {
      case .callable, .undefined, .loop: true
      default: false
      }
    },
    "defined": kind("defined") { !$0.isUndefined },
    "escaped": kind("escaped") { if case .markup = $0 { true } else { false } },
    "false": kind("false") { if case .bool(false) = $0 { true } else { false } },
    "float": kind("float") { if case .double = $0 { true } else { false } },
    "integer": kind("integer") { if case .int = $0 { true } else { false } },
    "iterable": kind("iterable") { $0.isIterable },
    "mapping": kind("mapping") { if case .dictionary = $0 { true } else { false } },
    "none": kind("none") { if case .none = $0 { true } else { false } },
    "number": kind("number") { Operators.number($0) != nil },
    "sequence": kind("sequence") {
      switch $0 {
      case .undefined, .list, .tuple, .string, .markup, .dictionary, .range: true
      default: false
      }
    },
    "string": kind("string") { $0.text != nil },
    "true": kind("true") { if case .bool(true) = $0 { true } else { false } },
    "undefined": kind("undefined") { $0.isUndefined },
  ]

  private static func kind(_ name: String, _ test: @escaping @Sendable (Value) -> Bool) -> Test {
    { value, arguments, _ in
      try arguments.expectNone(name)
      return test(value)
    }
  }

  /// Tests that compute with the value.
  private static let values: [String: Test] = [
    "divisibleby": { value, arguments, runtime in
      let divisor = try arguments.bind("divisibleby", ["num"], required: 1)[0] ?? .none
      return try isZero(Operators.apply(.modulo, value, divisor, runtime))
    },
    "even": { value, arguments, runtime in
      try arguments.expectNone("even")
      return try isZero(Operators.apply(.modulo, value, .int(2), runtime))
    },
    "filter": { value, arguments, _ in
      try arguments.expectNone("filter")
      return try isName(value, in: Filters.table)
    },
    "lower": { value, arguments, runtime in
      try arguments.expectNone("lower")
      return StringMethods.isLower(try PythonText.string(value, runtime))
    },
    "odd": { value, arguments, runtime in
      try arguments.expectNone("odd")
      return try Operators.equal(Operators.apply(.modulo, value, .int(2), runtime), .int(1), runtime)
    },
    "sameas": { value, arguments, runtime in
      let other = try arguments.bind("sameas", ["other"], required: 1)[0] ?? .none
      return try isSame(value, other, runtime)
    },
    "test": { value, arguments, _ in
      try arguments.expectNone("test")
      return try isName(value, in: Tests.table)
    },
    "upper": { value, arguments, runtime in
      try arguments.expectNone("upper")
      return StringMethods.isUpper(try PythonText.string(value, runtime))
    },
  ]

  private static func isName(_ value: Value, in table: [String: some Any]) throws -> Bool {
    switch value {
    case .list, .dictionary: throw Failure.type("unhashable type: '\(value.typeName)'")
    default: return value.text.map { table[$0] != nil } ?? false
    }
  }

  private static func isZero(_ value: Value) -> Bool { Operators.number(value) == 0 }

  /// Identity, where values that Python would share (small numbers, strings) are the same when equal.
  private static func isSame(_ value: Value, _ other: Value, _ runtime: Runtime) throws -> Bool {
    switch (value, other) {
    case (.list(let a), .list(let b)), (.tuple(let a), .tuple(let b)): return a === b
    case (.dictionary(let a), .dictionary(let b)): return a === b
    case (.undefined(let a), .undefined(let b)): return a === b
    default: return try value.typeName == other.typeName && Operators.equal(value, other, runtime)
    }
  }
}
