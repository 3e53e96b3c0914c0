// Data as JSON has it, with the order of keys kept, which Foundation's parser does not do.
import OrderedCollections

/// A JSON value: integers apart from floats, and objects in order.
public enum JSONValue: Sendable, Equatable {
  case null
  case bool(Bool)
  case int(Int)
  case double(Double)
  case string(String)
  case array([JSONValue])
  case object(OrderedDictionary<String, JSONValue>)

  /// The deepest nesting that is read.
  public static let greatestDepth = 100

  /// Parses JSON text (RFC 8259), keeping the order of keys.
  ///
  /// Of two entries with one key the last counts, in the place of the first, as in Python. Integers must fit 64 bits.
  /// - Throws: ``JSONError`` that names the byte offset and what was expected there.
  public init(parsing text: some Collection<UInt8>) throws(JSONError) {
    let parsed = text.withContiguousStorageIfAvailable { bytes in
      Result { () throws(JSONError) in
        var parser = JSONParser(bytes)
        return try parser.document()
      }
    }
    guard let parsed else {
      self = try JSONValue(parsing: Array(text))
      return
    }
    self = try parsed.get()
  }

  /// What kind of value this is, for error messages.
  public var kind: String {
    switch self {
    case .null: "null"
    case .bool: "a boolean"
    case .int: "an integer"
    case .double: "a number"
    case .string: "a string"
    case .array: "an array"
    case .object: "an object"
    }
  }
}

/// Why JSON text or a field in it could not be used.
public struct JSONError: Error, Equatable, CustomStringConvertible {
  /// Where in the text's structure, such as `model.vocab`; nil for the text as a whole.
  public var field: String?
  /// What is wrong and what was expected.
  public var message: String

  public init(field: String? = nil, message: String) {
    self.field = field
    self.message = message
  }

  public var description: String { field.map { "\($0): \(message)" } ?? "JSON: " + message }
}

extension JSONValue: ExpressibleByStringLiteral, ExpressibleByBooleanLiteral, ExpressibleByIntegerLiteral,
  ExpressibleByFloatLiteral, ExpressibleByNilLiteral, ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral
{
  public init(stringLiteral value: String) { self = .string(value) }
  public init(booleanLiteral value: Bool) { self = .bool(value) }
  public init(integerLiteral value: Int) { self = .int(value) }
  public init(floatLiteral value: Double) { self = .double(value) }
  public init(nilLiteral: ()) { self = .null }
  public init(arrayLiteral elements: JSONValue...) { self = .array(elements) }
  public init(dictionaryLiteral elements: (String, JSONValue)...) {
    self = .object(OrderedDictionary(elements, uniquingKeysWith: { $1 }))
  }
}
