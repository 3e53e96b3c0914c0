// Python's operators on template values.
import Foundation

/// An arithmetic operator.
enum BinaryOperator: Sendable {
  case add, subtract, multiply, divide, floorDivide, modulo, power

  var symbol: String {
    switch self {
    case .add: "+"
    case .subtract: "-"
    case .multiply: "*"
    case .divide: "/"
    case .floorDivide: "//"
    case .modulo: "%"
    case .power: "**"
    }
  }
}

/// A comparison.
enum Comparison: String, Sendable {
  case equal = "=="
  case notEqual = "!="
  case less = "<"
  case lessOrEqual = "<="
  case greater = ">"
  case greaterOrEqual = ">="
  case contained = "in"
  case notContained = "not in"
}

enum Operators {
  static func apply(_ operation: BinaryOperator, _ left: Value, _ right: Value, _ runtime: Runtime) throws -> Value {
    // Formatting reads undefined arguments as Python's `%` does: they print as nothing.
    if operation == .modulo, let format = left.text { return try modulo(left, format, right, runtime) }
    if case .undefined(let undefined) = left { throw undefined.failure }
    if case .undefined(let undefined) = right { throw undefined.failure }
    if let a = left.integer, let b = right.integer { return try integers(operation, a, b) }
    if let a = number(left), let b = number(right) { return .double(try doubles(operation, a, b)) }
    switch operation {
    case .add:
      if let sum = try concatenate(left, right, runtime) { return sum }
    case .multiply:
      if let count = right.integer, let product = try repeated(left, count, runtime) { return product }
      if let count = left.integer, let product = try repeated(right, count, runtime) { return product }
    default: break
    }
    throw Failure.type(
      "unsupported operand type(s) for \(operation.symbol): '\(left.typeName)' and '\(right.typeName)'")
  }

  static func negate(_ value: Value) throws -> Value {
    if case .undefined(let undefined) = value { throw undefined.failure }
    if case .double(let number) = value { return .double(-number) }
    guard let number = value.integer else { throw Failure.type("bad operand type for unary -: '\(value.typeName)'") }
    let (result, overflow) = (0).subtractingReportingOverflow(number)
    if overflow { throw integerOverflow }
    return .int(result)
  }

  static func plus(_ value: Value) throws -> Value {
    if case .undefined(let undefined) = value { throw undefined.failure }
    if case .double = value { return value }
    guard let number = value.integer else { throw Failure.type("bad operand type for unary +: '\(value.typeName)'") }
    return .int(number)
  }

  static func number(_ value: Value) -> Double? {
    if case .double(let number) = value { return number }
    return value.integer.map(Double.init)
  }

  private static let integerOverflow = Failure.value("an integer outside 64 bits is not supported")

  private static func modulo(_ left: Value, _ format: String, _ right: Value, _ runtime: Runtime) throws -> Value {
    let arguments: PercentFormat.Source
    switch right {
    case .tuple(let items): arguments = .positional(items.values)
    case .dictionary(let mapping): arguments = .mapping(mapping, whole: right)
    default: arguments = .positional([right])
    }
    if case .markup = left {
      return .markup(try PercentFormat.format(format, arguments, escaping: true, runtime))
    }
    return .string(try PercentFormat.format(format, arguments, escaping: false, runtime))
  }

  private static func integers(_ operation: BinaryOperator, _ a: Int, _ b: Int) throws -> Value {
    let result: (partialValue: Int, overflow: Bool)
    switch operation {
    case .add: result = a.addingReportingOverflow(b)
    case .subtract: result = a.subtractingReportingOverflow(b)
    case .multiply: result = a.multipliedReportingOverflow(by: b)
    case .divide: return .double(try doubles(.divide, Double(a), Double(b)))
    case .floorDivide, .modulo:
      guard b != 0 else { throw Failure.value("integer division or modulo by zero") }
      let quotient = a.dividedReportingOverflow(by: b)
      let remainder = quotient.overflow ? 0 : a % b
      let adjusts = remainder != 0 && (remainder < 0) != (b < 0)
      if operation == .modulo { return .int(adjusts ? remainder + b : remainder) }
      result = (quotient.partialValue - (adjusts ? 1 : 0), quotient.overflow)
    case .power:
      if b < 0 { return .double(try doubles(.power, Double(a), Double(b))) }
      result = integerPower(a, b)
    }
    if result.overflow { throw integerOverflow }
    return .int(result.partialValue)
  }

  private static func integerPower(_ base: Int, _ exponent: Int) -> (partialValue: Int, overflow: Bool) {
    if base == 0 || base == 1 { return (exponent == 0 ? 1 : base, false) }
    if base == -1 { return (exponent % 2 == 0 ? 1 : -1, false) }
    guard exponent < 64 else { return (0, true) }
    var result = 1
    for _ in 0..<exponent {
      let (product, overflow) = result.multipliedReportingOverflow(by: base)
      if overflow { return (0, true) }
      result = product
    }
    return (result, false)
  }

  private static func doubles(_ operation: BinaryOperator, _ a: Double, _ b: Double) throws -> Double {
    switch operation {
    case .add: return a + b
    case .subtract: return a - b
    case .multiply: return a * b
    case .power:
      if a == 0, b < 0 { throw Failure.value("0.0 cannot be raised to a negative power") }
      let power = pow(a, b)
      if power.isNaN, !a.isNaN, !b.isNaN { throw Failure.value("a negative number has no real power \(b)") }
      if power.isInfinite, a.isFinite, b.isFinite { throw Failure.value("the power is too large for a float") }
      return power
    case .divide, .floorDivide, .modulo:
      guard b != 0 else { throw Failure.value("division by zero") }
      if operation == .divide { return a / b }
      var remainder = fmod(a, b)
      var quotient = (a - remainder) / b
      if remainder != 0 {
        if (remainder < 0) != (b < 0) {
          remainder += b
          quotient -= 1
        }
      } else {
        remainder = b < 0 ? -0.0 : 0.0
      }
      if operation == .modulo { return remainder }
      return quotient == 0 ? (a / b < 0 ? -0.0 : 0.0) : quotient.rounded()
    }
  }

  private static func concatenate(_ left: Value, _ right: Value, _ runtime: Runtime) throws -> Value? {
    switch (left, right) {
    case (.string(let a), .string(let b)):
      try runtime.allocate(a.utf8.count + b.utf8.count)
      return .string(a + b)
    case (.markup(let a), .string(let b)): return try markup(a, Text.escape(b), runtime)
    case (.string(let a), .markup(let b)): return try markup(Text.escape(a), b, runtime)
    case (.markup(let a), .markup(let b)): return try markup(a, b, runtime)
    case (.list(let a), .list(let b)):
      try runtime.allocateItems(a.values.count + b.values.count)
      return try .list(a.values + b.values)
    case (.tuple(let a), .tuple(let b)):
      try runtime.allocateItems(a.values.count + b.values.count)
      return try .tuple(a.values + b.values)
    default: return nil
    }
  }

  private static func markup(_ a: String, _ b: String, _ runtime: Runtime) throws -> Value {
    try runtime.allocate(a.utf8.count + b.utf8.count)
    return .markup(a + b)
  }

  private static func repeated(_ value: Value, _ times: Int, _ runtime: Runtime) throws -> Value? {
    let times = max(0, times)
    switch value {
    case .string(let text), .markup(let text):
      try runtime.allocate(Text.saturating(text.utf8.count, times: times))
      let product = text.isEmpty ? "" : String(repeating: text, count: times)
      if case .markup = value { return .markup(product) }
      return .string(product)
    case .list(let items), .tuple(let items):
      try runtime.allocateItems(Text.saturating(items.values.count, times: times))
      let count = items.values.isEmpty ? 0 : times
      let product = Array(repeatElement(items.values, count: count).joined())
      if case .tuple = value { return try .tuple(product) }
      return try .list(product)
    default: return nil
    }
  }
}
