// `value.name`, `value[key]` and slices, with the precedence and the fallbacks of Jinja2's sandbox.

enum Attributes {
  /// `value.name`: an attribute first, then an item.
  static func attribute(_ value: Value, _ name: String) throws -> Value {
    if case .undefined(let undefined) = value { throw undefined.failure }
    if let found = try own(value, name) { return found }
    if case .dictionary(let mapping) = value, let item = mapping.entries[.string(name)] { return item }
    return missing(value, .string(name))
  }

  /// `value[key]`: an item first, then an attribute.
  static func item(_ value: Value, _ key: Value, _ runtime: Runtime) throws -> Value {
    switch value {
    case .undefined(let undefined): throw undefined.failure
    case .dictionary(let mapping):
      if case .list = key { break }
      if case .dictionary = key { break }
      if let item = try mapping.value(for: key) { return item }
    case .list(let items), .tuple(let items):
      if let index = position(key, items.values.count) { return items.values[index] }
    case .range(let range):
      if let index = position(key, range.count) { return .int(range[index]) }
    case .string(let text), .markup(let text):
      if key.integer != nil {
        try runtime.step(text.utf8.count / 16)
        let scalars = text.unicodeScalars
        if let index = position(key, scalars.count) {
          let character = String(scalars[scalars.index(scalars.startIndex, offsetBy: index)])
          if case .markup = value { return .markup(character) }
          return .string(character)
        }
      }
    default: break
    }
    if let name = key.text, let found = try own(value, name) { return found }
    return missing(value, key)
  }

  private static func position(_ key: Value, _ count: Int) -> Int? {
    guard let index = key.integer, index < count, index >= -count else { return nil }
    return index < 0 ? index + count : index
  }

  /// What Python's `getattr` finds.
  private static func own(_ value: Value, _ name: String) throws -> Value? {
    switch value {
    case .namespace(let namespace): return namespace.attributes[.string(name)]
    case .loop(let loop): return try loop.attribute(name)
    case .string, .markup: return method(value, name, StringMethods.names, [])
    case .dictionary:
      return method(value, name, ["get", "items", "keys", "values", "copy"],
        ["clear", "pop", "popitem", "setdefault", "update"])
    case .list:
      return method(value, name, ["index", "count", "copy"],
        ["append", "clear", "pop", "reverse", "insert", "sort", "extend", "remove"])
    case .tuple: return method(value, name, ["index", "count"], [])
    default: return nil
    }
  }

  private static func method(_ value: Value, _ name: String, _ safe: Set<String>, _ unsafe: Set<String>) -> Value? {
    if safe.contains(name) { return .callable(Callable(.method(of: value, name))) }
    guard unsafe.contains(name) else { return nil }
    return .undefined("access to attribute '\(name)' of '\(value.typeName)' object is unsafe: templates cannot change "
      + "their input")
  }

  private static func missing(_ value: Value, _ key: Value) -> Value {
    let owner = if case .none = value { "None" } else { value.typeName + " object" }
    switch key {
    case .string(let name), .markup(let name): return .undefined("'\(owner)' has no attribute '\(name)'")
    case .int(let index): return .undefined("\(owner) has no element \(index)")
    default: return .undefined("\(owner) has no element of type \(key.typeName)")
    }
  }

  /// `value[start:stop:step]`.
  static func slice(_ value: Value, _ start: Value, _ stop: Value, _ step: Value, _ runtime: Runtime) throws -> Value {
    switch value {
    case .undefined(let undefined): throw undefined.failure
    case .list(let items):
      try runtime.allocateItems(items.values.count)
      return try .list(indices(start, stop, step, items.values.count).map { items.values[$0] })
    case .tuple(let items):
      try runtime.allocateItems(items.values.count)
      return try .tuple(indices(start, stop, step, items.values.count).map { items.values[$0] })
    case .string(let text), .markup(let text):
      try runtime.allocate(text.utf8.count * 4)
      let scalars = Array(text.unicodeScalars)
      let part = try Text.string(indices(start, stop, step, scalars.count).map { scalars[$0] })
      if case .markup = value { return .markup(part) }
      return .string(part)
    case .range(let range):
      let (first, end, stride) = try bounds(start, stop, step, range.count)
      let (product, overflow) = range.step.multipliedReportingOverflow(by: stride)
      guard !overflow else { throw Failure.value("a range's step is outside 64 bits") }
      return .range(try PythonRange(start: range[first], stop: range[end], step: product))
    default: throw Failure.type("'\(value.typeName)' object is not subscriptable")
    }
  }

  /// The first index, the one before which to stop, and the step.
  private static func bounds(_ start: Value, _ stop: Value, _ step: Value, _ count: Int) throws -> (Int, Int, Int) {
    let step = try bound(step) ?? 1
    guard step != 0 else { throw Failure.value("slice step cannot be zero") }
    func clamp(_ value: Int) -> Int {
      let index = value < 0 ? value &+ count : value
      return step > 0 ? min(max(index, 0), count) : min(max(index, -1), count - 1)
    }
    return (
      try bound(start).map(clamp) ?? (step > 0 ? 0 : count - 1),
      try bound(stop).map(clamp) ?? (step > 0 ? count : -1), step
    )
  }

  private static func indices(_ start: Value, _ stop: Value, _ step: Value, _ count: Int) throws -> [Int] {
    let (first, end, step) = try bounds(start, stop, step, count)
    var index = first
    var indices: [Int] = []
    while step > 0 ? index < end : index > end {
      indices.append(index)
      let (next, overflow) = index.addingReportingOverflow(step)
      if overflow { break }
      index = next
    }
    return indices
  }

  private static func bound(_ value: Value) throws -> Int? {
    if case .none = value { return nil }
    guard let index = value.integer else {
      throw Failure.type("slice indices must be integers or none, not '\(value.typeName)'")
    }
    return index
  }
}
