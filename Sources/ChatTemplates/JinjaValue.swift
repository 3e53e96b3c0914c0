// The public face of a template's values: data as JSON has it, with the order of keys kept.
import OrderedCollections

/// A value given to a chat template: JSON's types, with integers apart from floats and dictionaries in order, because
/// templates print both.
public enum JinjaValue: Sendable, Equatable {
  case null
  case bool(Bool)
  case int(Int)
  case double(Double)
  case string(String)
  case array([JinjaValue])
  case object(OrderedDictionary<String, JinjaValue>)

  /// Parses JSON text, keeping the order of keys.
  ///
  /// Of two entries with one key the last counts, in the place of the first, as in Python. Integers must fit 64 bits.
  /// - Throws: ``TemplateError`` with the reason `data`, naming the byte offset and what was expected there.
  public init(json: String) throws(TemplateError) { self = try JSONParser.parse(json) }

  /// The JSON text as Python's `json.dumps(value, ensure_ascii=False)` writes it: `", "` and `": "` between items,
  /// no escaped slashes, floats in their shortest form.
  ///
  /// - Throws: ``TemplateError`` when the value is nested deeper than 100.
  public func json() throws(TemplateError) -> String {
    try TemplateError.placing(nil) { try JSONWriter.string(self) }
  }
}

extension JinjaValue: ExpressibleByStringLiteral, ExpressibleByBooleanLiteral, ExpressibleByIntegerLiteral,
  ExpressibleByFloatLiteral, ExpressibleByNilLiteral, ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral
{
  public init(stringLiteral value: String) { self = .string(value) }
  public init(booleanLiteral value: Bool) { self = .bool(value) }
  public init(integerLiteral value: Int) { self = .int(value) }
  public init(floatLiteral value: Double) { self = .double(value) }
  public init(nilLiteral: ()) { self = .null }
  public init(arrayLiteral elements: JinjaValue...) { self = .array(elements) }
  public init(dictionaryLiteral elements: (String, JinjaValue)...) {
    self = .object(OrderedDictionary(elements, uniquingKeysWith: { $1 }))
  }
}

extension Value {
  /// The runtime's form of public data; fails when it is nested too deeply.
  init(_ value: JinjaValue, _ runtime: Runtime, depth: Int = 0) throws {
    try runtime.step()
    guard depth <= TemplateLimits.valueDepth else {
      throw Failure.limit("values are nested deeper than \(TemplateLimits.valueDepth)")
    }
    switch value {
    case .null: self = .none
    case .bool(let value): self = .bool(value)
    case .int(let value): self = .int(value)
    case .double(let value): self = .double(value)
    case .string(let text): self = .string(text)
    case .array(let values): self = try .list(values.map { try Value($0, runtime, depth: depth + 1) })
    case .object(let entries):
      var converted = OrderedDictionary<Key, Value>(minimumCapacity: entries.count)
      for (key, value) in entries { converted[.string(key)] = try Value(value, runtime, depth: depth + 1) }
      self = .dictionary(try Mapping(converted))
    }
  }
}

extension TemplateError {
  /// Runs `body`, giving a place in the template to what it throws.
  static func placing<Result>(_ place: (line: Int, column: Int)?, _ body: () throws -> Result) throws(TemplateError)
    -> Result
  {
    do {
      return try body()
    } catch let error as TemplateError {
      throw error
    } catch let failure as Failure {
      throw TemplateError(reason: failure.reason, line: place?.line ?? 0, column: place?.column ?? 0)
    } catch {
      throw TemplateError(reason: .data("\(error)"), line: place?.line ?? 0, column: place?.column ?? 0)
    }
  }
}
