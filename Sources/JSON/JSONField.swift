// Files of strangers are read field by field, and every complaint names the field.
import OrderedCollections

/// A value of a JSON document together with where it is, so that what is wrong with it can be said.
///
/// A subscript gives a field that may be absent (`null` counts as absent), `required` one that must be there; the typed
/// accessors throw ``JSONError`` for a value of another type.
public struct JSONField: Sendable {
  public let value: JSONValue
  /// Where this is, such as `model.merges.3`; empty for the document itself.
  public let path: String

  public init(_ value: JSONValue, path: String = "") {
    self.value = value
    self.path = path
  }

  /// A complaint about this field.
  public func error(_ message: String) -> JSONError { JSONError(field: path.isEmpty ? nil : path, message: message) }

  private func expected(_ what: String) -> JSONError { error("expected \(what), found \(value.kind)") }

  private func path(of key: String) -> String { path.isEmpty ? key : "\(path).\(key)" }

  /// The field `key` of an object; nil where it is absent or null, or this is no object.
  public subscript(key: String) -> JSONField? {
    guard case .object(let entries) = value, let entry = entries[key], entry != .null else { return nil }
    return JSONField(entry, path: path(of: key))
  }

  public func required(_ key: String) throws(JSONError) -> JSONField {
    guard case .object = value else { throw expected("an object") }
    guard let field = self[key] else { throw JSONError(field: path(of: key), message: "missing") }
    return field
  }

  public func string() throws(JSONError) -> String {
    guard case .string(let text) = value else { throw expected("a string") }
    return text
  }

  public func bool() throws(JSONError) -> Bool {
    guard case .bool(let bool) = value else { throw expected("true or false") }
    return bool
  }

  /// An integer; a float without fraction counts as one.
  public func int(in range: ClosedRange<Int> = .min ... .max) throws(JSONError) -> Int {
    let integer: Int
    switch value {
    case .int(let given): integer = given
    case .double(let given):
      guard let exact = Int(exactly: given) else { throw expected("an integer") }
      integer = exact
    default: throw expected("an integer")
    }
    guard range.contains(integer) else {
      throw error("expected an integer from \(range.lowerBound) to \(range.upperBound), found \(integer)")
    }
    return integer
  }

  /// A finite number.
  public func double() throws(JSONError) -> Double {
    switch value {
    case .int(let given): return Double(given)
    case .double(let given) where given.isFinite: return given
    default: throw expected("a number")
    }
  }

  /// The elements of an array, each a field of its own.
  public func array() throws(JSONError) -> [JSONField] {
    guard case .array(let values) = value else { throw expected("an array") }
    return values.enumerated().map { JSONField($1, path: path(of: String($0))) }
  }

  /// The entries of an object in order; their paths are not made before they are asked for.
  public func object() throws(JSONError) -> OrderedDictionary<String, JSONValue> {
    guard case .object(let entries) = value else { throw expected("an object") }
    return entries
  }

  public func strings() throws(JSONError) -> [String] {
    try array().map { (field) throws(JSONError) in try field.string() }
  }
}
