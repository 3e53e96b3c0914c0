// The values a template computes with: Python's objects, as far as Jinja shows them.
import OrderedCollections

/// A Python object. Lists and dictionaries cannot change, as in Jinja2's immutable sandbox, so cycles are only
/// possible through namespaces and macros, which the interpreter takes apart when it ends.
enum Value {
  case undefined(Undefined)
  case none
  case bool(Bool)
  case int(Int)
  case double(Double)
  case string(String)
  /// A string that `safe` marked: adding to it escapes what is added.
  case markup(String)
  case list(Items)
  case tuple(Items)
  case dictionary(Mapping)
  case view(MappingView)
  case range(PythonRange)
  case iterator(LazySequence)
  case namespace(Namespace)
  case loop(Loop)
  case callable(Callable)
}

/// The items of a list or tuple.
final class Items {
  let values: [Value]
  let depth: Int

  init(_ values: [Value]) throws {
    self.values = values
    depth = try nesting(of: values)
  }
}

/// The entries of a dictionary, in order of insertion.
final class Mapping {
  let entries: OrderedDictionary<Key, Value>
  let depth: Int

  init(_ entries: OrderedDictionary<Key, Value>) throws {
    self.entries = entries
    depth = try nesting(of: entries.values)
  }
}

/// What `keys()`, `values()` and `items()` return.
final class MappingView {
  enum Part { case keys, values, items }
  let mapping: Mapping
  let part: Part

  init(_ mapping: Mapping, _ part: Part) {
    self.mapping = mapping
    self.part = part
  }
}

private func nesting(of values: some Sequence<Value>) throws -> Int {
  var deepest = 0
  for value in values { deepest = max(deepest, value.depth) }
  guard deepest < TemplateLimits.valueDepth else {
    throw Failure.limit("values are nested deeper than \(TemplateLimits.valueDepth)")
  }
  return deepest + 1
}

/// A value that is not there, with what an error should say about it.
final class Undefined {
  let message: String

  init(_ message: String) { self.message = message }

  var failure: Failure { Failure(.undefined(message)) }
}

/// What a generator is in Python: computed when first asked, and used up by reading.
final class LazySequence {
  private var pending: (() throws -> [Value])?
  private var values: [Value] = []
  private var position = 0
  let depth: Int

  /// - Parameter inputs: what `compute` holds on to, which bounds how long a chain of such sequences can become.
  init(holding inputs: [Value], _ compute: @escaping () throws -> [Value]) throws {
    depth = try nesting(of: inputs)
    pending = compute
  }

  func next() throws -> Value? {
    if let compute = pending {
      pending = nil
      values = try compute()
    }
    guard position < values.count else { return nil }
    position += 1
    return values[position - 1]
  }

  func rest() throws -> [Value] {
    var rest: [Value] = []
    while let value = try next() { rest.append(value) }
    return rest
  }
}

/// The object made by `namespace()`: the one thing that a template can change.
final class Namespace {
  var attributes: OrderedDictionary<Key, Value>

  init(_ attributes: OrderedDictionary<Key, Value>) { self.attributes = attributes }
}

/// Something that can be called.
final class Callable {
  enum Kind {
    /// A macro of the program, where its body begins and the scope that it was defined in.
    case macro(Int, entry: Int, Scope, name: String)
    case method(of: Value, String)
    case function(GlobalFunction)
  }
  let kind: Kind

  init(_ kind: Kind) { self.kind = kind }
}

/// The functions every chat template finds.
enum GlobalFunction: String, CaseIterable {
  case namespace
  case range
  case dict
  case raiseException = "raise_exception"
  case strftimeNow = "strftime_now"
}

extension Value {
  static var emptyString: Value { .string("") }

  /// How deeply containers are nested in this value.
  var depth: Int {
    switch self {
    case .list(let items), .tuple(let items): items.depth
    case .dictionary(let mapping): mapping.depth
    case .view(let view): view.mapping.depth + 1
    case .iterator(let sequence): sequence.depth
    case .callable(let callable):
      if case .method(let receiver, _) = callable.kind { receiver.depth + 1 } else { 0 }
    default: 0
    }
  }

  /// The text of a string, marked safe or not.
  var text: String? {
    switch self {
    case .string(let text), .markup(let text): text
    default: nil
    }
  }

  /// The number an integer or a truth value stands for.
  var integer: Int? {
    switch self {
    case .int(let value): value
    case .bool(let value): value ? 1 : 0
    default: nil
    }
  }

  var isUndefined: Bool { if case .undefined = self { true } else { false } }

  static func undefined(_ message: String) -> Value { .undefined(Undefined(message)) }
  static func list(_ values: [Value]) throws -> Value { .list(try Items(values)) }
  static func tuple(_ values: [Value]) throws -> Value { .tuple(try Items(values)) }

  /// Python's truth.
  func isTrue() -> Bool {
    switch self {
    case .undefined, .none: false
    case .bool(let value): value
    case .int(let value): value != 0
    case .double(let value): value != 0
    case .string(let text), .markup(let text): !text.isEmpty
    case .list(let items), .tuple(let items): !items.values.isEmpty
    case .dictionary(let mapping): !mapping.entries.isEmpty
    case .view(let view): !view.mapping.entries.isEmpty
    case .range(let range): range.count > 0
    case .iterator, .namespace, .callable, .loop: true
    }
  }

  /// The name of the type in Python, as its error messages give it.
  var typeName: String {
    switch self {
    case .undefined: "Undefined"
    case .none: "NoneType"
    case .bool: "bool"
    case .int: "int"
    case .double: "float"
    case .string: "str"
    case .markup: "Markup"
    case .list: "list"
    case .tuple: "tuple"
    case .dictionary: "dict"
    case .view(let view):
      switch view.part {
      case .keys: "dict_keys"
      case .values: "dict_values"
      case .items: "dict_items"
      }
    case .range: "range"
    case .iterator: "generator"
    case .namespace: "Namespace"
    case .loop: "LoopContext"
    case .callable: "function"
    }
  }

  /// The number of items, where Python's `len` has one.
  func length(_ runtime: Runtime) throws -> Int {
    switch self {
    case .undefined: return 0
    case .string(let text), .markup(let text):
      try runtime.step(text.utf8.count / 64)
      return text.unicodeScalars.count
    case .list(let items), .tuple(let items): return items.values.count
    case .dictionary(let mapping): return mapping.entries.count
    case .view(let view): return view.mapping.entries.count
    case .range(let range): return range.count
    case .loop(let loop): return try loop.length()
    default: throw Failure.type("object of type '\(typeName)' has no len()")
    }
  }

  /// The items that iterating gives. A generator is used up by this.
  func iterate(_ runtime: Runtime) throws -> [Value] {
    switch self {
    case .undefined: return []
    case .list(let items), .tuple(let items):
      try runtime.step(items.values.count)
      return items.values
    case .string(let text):
      try runtime.allocateItems(text.utf8.count)
      return text.unicodeScalars.map { .string(String($0)) }
    case .markup(let text):
      try runtime.allocateItems(text.utf8.count)
      return text.unicodeScalars.map { .markup(String($0)) }
    case .dictionary(let mapping):
      try runtime.allocateItems(mapping.entries.count)
      return mapping.entries.keys.map(\.value)
    case .view(let view):
      try runtime.allocateItems(view.mapping.entries.count)
      return try view.values()
    case .range(let range):
      try runtime.allocateItems(range.count)
      return (0..<range.count).map { .int(range[$0]) }
    case .iterator(let sequence): return try sequence.rest()
    default: throw Failure.type("'\(typeName)' object is not iterable")
    }
  }

  var isIterable: Bool {
    switch self {
    case .undefined, .list, .tuple, .string, .markup, .dictionary, .view, .range, .iterator, .loop: true
    default: false
    }
  }
}

extension MappingView {
  func values() throws -> [Value] {
    switch part {
    case .keys: mapping.entries.keys.map(\.value)
    case .values: Array(mapping.entries.values)
    case .items: try mapping.entries.map { .tuple(try Items([$0.key.value, $0.value])) }
    }
  }
}
