// What may be a dictionary's key, with Python's notion of equal keys.

/// A key: 1, 1.0 and True are one key, and strings are equal when their scalars are (Swift's own comparison would
/// also equate canonically equivalent spellings).
enum Key: Hashable {
  case undefined
  case none
  case bool(Bool)
  case int(Int)
  case double(Double)
  case string(String)

  init(_ value: Value) throws {
    switch value {
    case .undefined: self = .undefined
    case .none: self = .none
    case .bool(let value): self = .bool(value)
    case .int(let value): self = .int(value)
    case .double(let value): self = .double(value)
    case .string(let text), .markup(let text): self = .string(text)
    default: throw Failure.type("a dictionary key must be a string, number, boolean or none, not '\(value.typeName)'")
    }
  }

  var value: Value {
    switch self {
    case .undefined: .undefined("an undefined value was used as a key")
    case .none: .none
    case .bool(let value): .bool(value)
    case .int(let value): .int(value)
    case .double(let value): .double(value)
    case .string(let text): .string(text)
    }
  }

  private var integer: Int? {
    switch self {
    case .bool(let value): value ? 1 : 0
    case .int(let value): value
    case .double(let value): Int(exactly: value)
    case .undefined, .none, .string: nil
    }
  }

  static func == (left: Key, right: Key) -> Bool {
    switch (left, right) {
    case (.string(let a), .string(let b)): return sameScalars(a, b)
    case (.none, .none), (.undefined, .undefined): return true
    case (.double(let a), .double(let b)): return a == b
    default:
      guard let a = left.integer, let b = right.integer else { return false }
      return a == b
    }
  }

  func hash(into hasher: inout Hasher) {
    if case .string(let text) = self {
      let hashed: Void? = text.utf8.withContiguousStorageIfAvailable {
        hasher.combine(bytes: UnsafeRawBufferPointer($0))
      }
      if hashed == nil { for byte in text.utf8 { hasher.combine(byte) } }
    } else if let integer {
      hasher.combine(integer)
    } else if case .double(let value) = self {
      hasher.combine(value)
    }
  }
}

extension Mapping {
  /// The value under `key`; hashable values that cannot be keys here are never found.
  func value(for key: Value) throws -> Value? {
    switch key {
    case .list, .dictionary: throw Failure.type("unhashable type: '\(key.typeName)'")
    case .undefined, .none, .bool, .int, .double, .string, .markup: return entries[try Key(key)]
    default: return nil
    }
  }
}

/// Whether two strings have the same Unicode scalars, which is what Python compares.
func sameScalars(_ a: String, _ b: String) -> Bool {
  guard a.utf8.count == b.utf8.count else { return false }
  let same = a.utf8.withContiguousStorageIfAvailable { left in
    b.utf8.withContiguousStorageIfAvailable { right in left.elementsEqual(right) }
  }
  return (same ?? nil) ?? a.utf8.elementsEqual(b.utf8)
}
