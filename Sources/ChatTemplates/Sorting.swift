// Python's `sorted` over values whose comparison may fail.

enum Sorting {
  /// `elements` in stable order of their keys, as Python's `sorted(key:)`.
  static func sorted<Element>(
    _ elements: [Element], by key: (Element) throws -> Value, reverse: Bool = false, _ runtime: Runtime
  ) throws -> [Element] {
    try runtime.allocateItems(elements.count)
    let keyed = try elements.enumerated().map { (offset: $0.offset, key: try key($0.element), element: $0.element) }
    return try keyed.sorted { a, b in
      // Equal keys keep their order in both directions.
      if try reverse ? Operators.less(b.key, a.key, runtime) : Operators.less(a.key, b.key, runtime) { return true }
      if try reverse ? Operators.less(a.key, b.key, runtime) : Operators.less(b.key, a.key, runtime) { return false }
      return a.offset < b.offset
    }.map(\.element)
  }
}
