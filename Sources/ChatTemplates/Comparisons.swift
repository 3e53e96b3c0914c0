// Python's comparisons and membership. Every step is counted, because values that share parts can be exponentially
// large when walked.

extension Operators {
  static func compare(_ comparison: Comparison, _ left: Value, _ right: Value, _ runtime: Runtime) throws -> Bool {
    switch comparison {
    case .equal: try equal(left, right, runtime)
    case .notEqual: try !equal(left, right, runtime)
    case .less: try less(left, right, runtime)
    case .greater: try less(right, left, runtime, ">")
    case .lessOrEqual: try lessOrEqual(left, right, "<=", runtime)
    case .greaterOrEqual: try lessOrEqual(right, left, ">=", runtime)
    case .contained: try contains(right, left, runtime)
    case .notContained: try !contains(right, left, runtime)
    }
  }

  static func equal(_ left: Value, _ right: Value, _ runtime: Runtime) throws -> Bool {
    try runtime.step()
    switch (left, right) {
    case (.undefined, .undefined), (.none, .none): return true
    case (.list(let a), .list(let b)), (.tuple(let a), .tuple(let b)):
      return try a === b || equal(a.values, b.values, runtime)
    case (.dictionary(let a), .dictionary(let b)): return try equal(a, b, runtime)
    case (.namespace(let a), .namespace(let b)): return a === b
    case (.callable(let a), .callable(let b)): return a === b
    case (.iterator(let a), .iterator(let b)): return a === b
    case (.loop(let a), .loop(let b)): return a === b
    case (.range(let a), .range(let b)):
      return a.count == b.count
        && (a.count == 0 || a.start == b.start && (a.count == 1 || a.step == b.step))
    case (.view(let a), .view(let b)):
      guard a.part == b.part, a.part != .values else { return a === b }
      return try a.part == .items ? equal(a.mapping, b.mapping, runtime)
        : a.mapping.entries.count == b.mapping.entries.count
          && a.mapping.entries.keys.allSatisfy { b.mapping.entries[$0] != nil }
    default:
      if let a = left.text, let b = right.text {
        try runtime.step(min(a.utf8.count, b.utf8.count) / 64)
        return sameScalars(a, b)
      }
      if let a = left.integer, let b = right.integer { return a == b }
      guard let a = number(left), let b = number(right) else { return false }
      return a == b
    }
  }

  private static func equal(_ left: [Value], _ right: [Value], _ runtime: Runtime) throws -> Bool {
    guard left.count == right.count else { return false }
    for (a, b) in zip(left, right) where try !equal(a, b, runtime) { return false }
    return true
  }

  private static func equal(_ left: Mapping, _ right: Mapping, _ runtime: Runtime) throws -> Bool {
    if left === right { return true }
    guard left.entries.count == right.entries.count else { return false }
    for (key, value) in left.entries {
      guard let other = right.entries[key], try equal(value, other, runtime) else { return false }
    }
    return true
  }

  /// `left < right`, where `symbol` is the operator as the template wrote it.
  static func less(_ left: Value, _ right: Value, _ runtime: Runtime, _ symbol: String = "<") throws -> Bool {
    try runtime.step()
    if let a = left.integer, let b = right.integer { return a < b }
    if let a = number(left), let b = number(right) { return a < b }
    if let a = left.text, let b = right.text {
      try runtime.step(min(a.utf8.count, b.utf8.count) / 64)
      return a.utf8.lexicographicallyPrecedes(b.utf8)
    }
    switch (left, right) {
    case (.list(let a), .list(let b)), (.tuple(let a), .tuple(let b)):
      for (x, y) in zip(a.values, b.values) where try !equal(x, y, runtime) { return try less(x, y, runtime, symbol) }
      return a.values.count < b.values.count
    case (.undefined(let undefined), _), (_, .undefined(let undefined)): throw undefined.failure
    default:
      let (a, b) = symbol.hasPrefix(">") ? (right, left) : (left, right)
      throw Failure.type("'\(symbol)' not supported between instances of '\(a.typeName)' and '\(b.typeName)'")
    }
  }

  private static func lessOrEqual(_ left: Value, _ right: Value, _ symbol: String, _ runtime: Runtime) throws -> Bool {
    if let a = number(left), let b = number(right), left.integer == nil || right.integer == nil { return a <= b }
    switch (left, right) {
    case (.list, .list), (.tuple, .tuple): return try equal(left, right, runtime) || less(left, right, runtime, symbol)
    default: return try !less(right, left, runtime, symbol.hasPrefix(">") ? "<" : ">")
    }
  }

  /// Python's `item in container`.
  static func contains(_ container: Value, _ item: Value, _ runtime: Runtime) throws -> Bool {
    switch container {
    case .string(let text), .markup(let text):
      guard let part = item.text else {
        throw Failure.type("'in <string>' requires string as left operand, not \(item.typeName)")
      }
      try runtime.step((text.utf8.count + part.utf8.count) / 16)
      return Text.contains(text, part)
    case .dictionary(let mapping): return try mapping.value(for: item) != nil
    case .view(let view) where view.part == .keys: return try view.mapping.value(for: item) != nil
    case .range(let range):
      if let value = item.integer { return range.contains(value) }
      if case .double(let value) = item, let value = Int(exactly: value) { return range.contains(value) }
      return false
    default:
      guard container.isIterable else {
        throw Failure.type("argument of type '\(container.typeName)' is not iterable")
      }
      for value in try container.iterate(runtime) where try equal(value, item, runtime) { return true }
      return false
    }
  }
}
