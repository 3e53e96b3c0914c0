// What templates can call besides their own macros: global functions and the methods of values.
import OrderedCollections

enum Calls {
  /// Calls a method that ``Attributes`` found.
  static func method(_ receiver: Value, _ name: String, _ arguments: Arguments, _ runtime: Runtime) throws -> Value {
    switch receiver {
    case .dictionary(let mapping): return try dictionary(mapping, name, arguments)
    case .list(let items), .tuple(let items): return try list(receiver, items, name, arguments, runtime)
    case .loop(let loop): return try loop.call(name, arguments, runtime)
    default: return try StringMethods.call(receiver, name, arguments, runtime)
    }
  }

  private static func dictionary(_ mapping: Mapping, _ name: String, _ arguments: Arguments) throws -> Value {
    if name == "get" {
      let bound = try arguments.bind("get()", ["key", "default"], required: 1)
      return try mapping.value(for: bound[0] ?? .none) ?? bound[1] ?? .none
    }
    try arguments.expectNone("\(name)()")
    switch name {
    case "items": return .view(MappingView(mapping, .items))
    case "keys": return .view(MappingView(mapping, .keys))
    case "values": return .view(MappingView(mapping, .values))
    default: return .dictionary(mapping)
    }
  }

  private static func list(
    _ receiver: Value, _ items: Items, _ name: String, _ arguments: Arguments, _ runtime: Runtime
  ) throws -> Value {
    if name == "copy" {
      try arguments.expectNone("copy()")
      return receiver
    }
    let wanted = try arguments.bind("\(name)()", ["value"], required: 1)[0] ?? .none
    var count = 0
    for (index, item) in items.values.enumerated() where try Operators.equal(item, wanted, runtime) {
      if name == "index" { return .int(index) }
      count += 1
    }
    if name == "index" { throw Failure.value("the value is not in the list") }
    return .int(count)
  }

  /// Calls a global function other than `namespace`, which needs to be remembered by the interpreter.
  static func function(_ function: GlobalFunction, _ arguments: Arguments, _ runtime: Runtime) throws -> Value {
    switch function {
    case .namespace: return .namespace(Namespace(try entries(arguments, "namespace()", runtime)))
    case .dict: return .dictionary(try Mapping(entries(arguments, "dict()", runtime)))
    case .range:
      let numbers = try arguments.bind("range()", ["start", "stop", "step"], required: 1).compactMap(\.self)
        .map { try $0.requireInteger("an argument of range()") }
      return .range(
        try PythonRange(
          start: numbers.count > 1 ? numbers[0] : 0, stop: numbers.count > 1 ? numbers[1] : numbers[0],
          step: numbers.count > 2 ? numbers[2] : 1))
    case .raiseException:
      let message = try arguments.bind("raise_exception()", ["message"], required: 1)[0] ?? .none
      throw Failure(.raised(try PythonText.string(message, runtime)))
    case .strftimeNow:
      let format = try arguments.bind("strftime_now()", ["format"], required: 1)[0] ?? .none
      let text = try format.requireText("the format of strftime_now()")
      guard text.utf8.count <= TemplateLimits.dateFormatBytes else {
        throw Failure.limit("a format for strftime_now() longer than \(TemplateLimits.dateFormatBytes) bytes")
      }
      return .string(try runtime.clock.format(text))
    }
  }

  /// The entries of `dict(mapping or pairs, name=value)`.
  private static func entries(_ arguments: Arguments, _ name: String, _ runtime: Runtime) throws
    -> OrderedDictionary<Key, Value>
  {
    var entries: OrderedDictionary<Key, Value> = [:]
    let first = try Arguments(positional: arguments.positional).bind(name, ["mapping"])[0]
    if case .dictionary(let mapping) = first {
      entries = mapping.entries
    } else if let first {
      for pair in try first.iterate(runtime) {
        let parts = try pair.iterate(runtime)
        guard parts.count == 2 else { throw Failure.value("\(name) needs pairs of a key and a value") }
        entries[try Key(parts[0])] = parts[1]
      }
    }
    for (name, value) in arguments.named { entries[.string(name)] = value }
    try runtime.allocateItems(entries.count * 2)
    return entries
  }
}
