// The filters over lists, dictionaries and other sequences.
import OrderedCollections

enum SequenceFilters {
  static let table: [String: Filter] = [
    "attr": { value, arguments, runtime in
      let name = try (arguments.bind("attr", ["name"], required: 1)[0] ?? .none).requireText("name")
      if case .dictionary(let mapping) = value, mapping.entries[.string(name)] != nil {
        return try Attributes.attribute(.dictionary(Mapping([:])), name)
      }
      return try Attributes.attribute(value, name)
    },
    "batch": batch,
    "count": length,
    "dictsort": dictionarySort,
    "first": { value, arguments, runtime in
      try arguments.expectNone("first")
      if case .iterator(let sequence) = value { return try sequence.next() ?? emptySequence("first") }
      return try value.iterate(runtime).first ?? emptySequence("first")
    },
    "groupby": group,
    "items": { value, arguments, runtime in
      try arguments.expectNone("items")
      return try lazily(value, arguments) {
        switch value {
        case .undefined: []
        case .dictionary(let mapping): try MappingView(mapping, .items).values()
        default: throw Failure.type("Can only get item pairs from a mapping.")
        }
      }
    },
    "join": join,
    "last": { value, arguments, runtime in
      try arguments.expectNone("last")
      guard isReversible(value) else { throw Failure.type("'\(value.typeName)' object is not reversible") }
      return try value.iterate(runtime).last ?? emptySequence("last")
    },
    "length": length,
    "list": { value, arguments, runtime in
      try arguments.expectNone("list")
      return try .list(value.iterate(runtime))
    },
    "map": { value, arguments, runtime in
      try lazily(value, arguments) {
        guard value.isTrue() else { return [] }
        let change = try mapping(arguments, runtime)
        return try value.iterate(runtime).map(change)
      }
    },
    "max": { try extreme($0, $1, $2, "max") { try Operators.less($1, $0, $2) } },
    "min": { try extreme($0, $1, $2, "min") { try Operators.less($0, $1, $2) } },
    "reject": { try select($0, $1, $2, attribute: false, keeps: false) },
    "rejectattr": { try select($0, $1, $2, attribute: true, keeps: false) },
    "reverse": { value, arguments, runtime in
      try arguments.expectNone("reverse")
      if value.text != nil { return try Attributes.slice(value, .none, .none, .int(-1), runtime) }
      guard value.isIterable else { throw Failure.type("argument must be iterable") }
      if isReversible(value) { return try lazily(value, arguments) { try value.iterate(runtime).reversed() } }
      return try .list(value.iterate(runtime).reversed())
    },
    "select": { try select($0, $1, $2, attribute: false, keeps: true) },
    "selectattr": { try select($0, $1, $2, attribute: true, keeps: true) },
    "sort": { value, arguments, runtime in
      let bound = try arguments.bind("sort", ["reverse", "case_sensitive", "attribute"])
      let paths = try attributePaths(bound[2].unlessNone)
      return try .list(
        Sorting.sorted(
          value.iterate(runtime),
          by: { item in
            try .list(paths.map { folded(try look(item, $0, runtime), unless: bound[1].isTrue) })
          }, reverse: bound[0].isTrue, runtime))
    },
    "sum": { value, arguments, runtime in
      let bound = try arguments.bind("sum", ["attribute", "start"])
      let path = try attributePath(bound[0].unlessNone)
      let start = bound[1] ?? .int(0)
      if start.text != nil { throw Failure.type("sum() can't sum strings [use ''.join(seq) instead]") }
      return try value.iterate(runtime).reduce(start) {
        try Operators.apply(.add, $0, look($1, path, runtime), runtime)
      }
    },
    "unique": unique,
  ]

  // MARK: Parts of several filters

  private static func emptySequence(_ which: String) -> Value { .undefined("No \(which) item, sequence was empty.") }

  private static func isReversible(_ value: Value) -> Bool {
    switch value {
    case .undefined, .list, .tuple, .string, .markup, .dictionary, .view, .range: true
    default: false
    }
  }

  private static func lazily(_ value: Value, _ arguments: Arguments, _ compute: @escaping () throws -> [Value]) throws
    -> Value
  {
    .iterator(try LazySequence(holding: [value] + arguments.positional + arguments.named.map(\.value), compute))
  }

  /// The steps of an attribute such as `function.name` or `0.id`.
  private static func attributePath(_ attribute: Value?) throws -> [Value] {
    guard let attribute else { return [] }
    guard let text = attribute.text else { return [attribute] }
    return text.split(separator: ".", omittingEmptySubsequences: false).map { part in
      part.isEmpty || !part.utf8.allSatisfy { $0 >= 48 && $0 <= 57 } ? .string(String(part))
        : Int(part).map(Value.int) ?? .string(String(part))
    }
  }

  private static func attributePaths(_ attribute: Value?) throws -> [[Value]] {
    guard let text = attribute?.text else { return [try attributePath(attribute)] }
    let paths = text.split(separator: ",", omittingEmptySubsequences: false)
    return try paths.map { try attributePath(.string(String($0))) }
  }

  private static func look(_ item: Value, _ path: [Value], _ runtime: Runtime, otherwise: Value? = nil) throws
    -> Value
  {
    try runtime.step()
    return try path.reduce(item) { value, key in
      let found = try Attributes.item(value, key, runtime)
      return found.isUndefined ? otherwise ?? found : found
    }
  }

  /// Sorting and comparing ignore case unless told otherwise.
  private static func folded(_ value: Value, unless caseSensitive: Bool) -> Value {
    guard !caseSensitive, let text = value.text else { return value }
    return .string(text.lowercased())
  }

  private static func mapping(_ given: Arguments, _ runtime: Runtime) throws -> (Value) throws -> Value {
    if given.positional.isEmpty {
      let bound = try Arguments(named: given.named).bind("map", ["attribute", "default"])
      guard let attribute = bound[0] else { throw Failure.type("map requires a filter argument") }
      let path = try attributePath(attribute)
      return { try look($0, path, runtime, otherwise: bound[1].unlessNone) }
    }
    let rest = Arguments(positional: Array(given.positional.dropFirst()), named: given.named)
    guard let name = given.positional[0].text, let filter = Filters.table[name] else {
      throw Failure.value("No filter named \(try PythonText.representation(given.positional[0], runtime)).")
    }
    return { try filter($0, rest, runtime) }
  }

  private static func select(
    _ value: Value, _ arguments: Arguments, _ runtime: Runtime, attribute: Bool, keeps: Bool
  ) throws -> Value {
    try lazily(value, arguments) {
      guard value.isTrue() else { return [] }
      var rest = arguments
      var path: [Value] = []
      if attribute {
        guard !rest.positional.isEmpty else { throw Failure.type("Missing parameter for attribute name") }
        path = try attributePath(Optional(rest.positional.removeFirst()).unlessNone)
      }
      var test: Test?
      if !rest.positional.isEmpty {
        let name = rest.positional.removeFirst()
        test = name.text.flatMap { Tests.table[$0] }
        guard test != nil else {
          throw Failure.value("No test named \(try PythonText.representation(name, runtime)).")
        }
      }
      return try value.iterate(runtime).filter { item in
        let found = try look(item, path, runtime)
        return try test?(found, rest, runtime) ?? found.isTrue() == keeps
      }
    }
  }

  // MARK: Single filters

  private static let length: Filter = { value, arguments, runtime in
    try arguments.expectNone("length")
    return .int(try value.length(runtime))
  }

  private static let join: Filter = { value, arguments, runtime in
    let bound = try arguments.bind("join", ["d", "attribute"])
    let separator = try PythonText.string(bound[0] ?? .emptyString, runtime)
    let path = try attributePath(bound[1].unlessNone)
    var result = ""
    for (index, item) in try value.iterate(runtime).enumerated() {
      let text = try PythonText.string(look(item, path, runtime), runtime)
      try runtime.allocate(text.utf8.count + separator.utf8.count)
      if index > 0 { result += separator }
      result += text
    }
    return .string(result)
  }

  private static let dictionarySort: Filter = { value, arguments, runtime in
    let bound = try arguments.bind("dictsort", ["case_sensitive", "by", "reverse"])
    let by = try bound[1]?.requireText("by") ?? "key"
    guard by == "key" || by == "value" else {
      throw Failure.value("You can only sort by either \"key\" or \"value\"")
    }
    if case .undefined(let undefined) = value { throw undefined.failure }
    guard case .dictionary(let mapping) = value else {
      throw Failure.type("dictsort needs a dictionary, not '\(value.typeName)'")
    }
    let pairs = mapping.entries.map { (key: $0.key.value, value: $0.value) }
    let sorted = try Sorting.sorted(
      pairs, by: { folded(by == "key" ? $0.key : $0.value, unless: bound[0].isTrue) }, reverse: bound[2].isTrue,
      runtime)
    return try .list(sorted.map { try .tuple([$0.key, $0.value]) })
  }

  private static func extreme(
    _ value: Value, _ arguments: Arguments, _ runtime: Runtime, _ name: String,
    _ precedes: (Value, Value, Runtime) throws -> Bool
  ) throws -> Value {
    let bound = try arguments.bind(name, ["case_sensitive", "attribute"])
    let path = try attributePath(bound[1].unlessNone)
    var best: (key: Value, item: Value)?
    for item in try value.iterate(runtime) {
      let key = folded(try look(item, path, runtime), unless: bound[0].isTrue)
      if let current = best, try !precedes(key, current.key, runtime) { continue }
      best = (key, item)
    }
    return best?.item ?? .undefined("No aggregated item, sequence was empty.")
  }

  private static let unique: Filter = { value, arguments, runtime in
    try lazily(value, arguments) {
      let bound = try arguments.bind("unique", ["case_sensitive", "attribute"])
      let path = try attributePath(bound[1].unlessNone)
      var seen: Set<Key> = []
      return try value.iterate(runtime).filter { item in
        try seen.insert(Key(folded(look(item, path, runtime), unless: bound[0].isTrue))).inserted
      }
    }
  }

  private static let batch: Filter = { value, arguments, runtime in
    let bound = try arguments.bind("batch", ["linecount", "fill_with"], required: 1)
    let size = try (bound[0] ?? .none).requireInteger("linecount")
    guard size > 0 else { throw Failure.value("linecount must be positive") }
    return try lazily(value, arguments) {
      let values = try value.iterate(runtime)
      return try stride(from: 0, to: values.count, by: size).map { start in
        var line = Array(values[start..<min(values.count, start + size)])
        if let fill = bound[1].unlessNone, line.count < size {
          try runtime.allocateItems(size)
          line += repeatElement(fill, count: size - line.count)
        }
        return try .list(line)
      }
    }
  }

  private static let group: Filter = { value, arguments, runtime in
    let bound = try arguments.bind("groupby", ["attribute", "default", "case_sensitive"], required: 1)
    let path = try attributePath(bound[0])
    let otherwise = bound[1].unlessNone
    func key(_ item: Value) throws -> Value {
      folded(try look(item, path, runtime, otherwise: otherwise), unless: bound[2].isTrue)
    }
    var groups: [(key: Value, items: [Value])] = []
    for item in try Sorting.sorted(value.iterate(runtime), by: key, runtime) {
      let itemKey = try key(item)
      if let last = groups.indices.last, try Operators.equal(groups[last].key, itemKey, runtime) {
        groups[last].items.append(item)
      } else {
        groups.append((itemKey, [item]))
      }
    }
    return try .list(
      groups.map { group in
        try .tuple([look(group.items[0], path, runtime, otherwise: otherwise), .list(group.items)])
      })
  }
}
