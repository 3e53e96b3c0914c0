// The public face of a template's values: data as JSON has it, with the order of keys kept.
@_exported import JSON
import OrderedCollections

/// A value given to a chat template: JSON's types, with integers apart from floats and objects in order, because
/// templates print both.
public typealias JinjaValue = JSONValue

extension JSONValue {
  /// Parses JSON text, keeping the order of keys.
  ///
  /// - Throws: ``TemplateError`` with the reason `data`, naming the byte offset and what was expected there.
  public init(json: String) throws(TemplateError) {
    do {
      try self.init(parsing: json.utf8)
    } catch {
      throw TemplateError(reason: .data("\(error)"), line: 0, column: 0)
    }
  }

  /// The JSON text as Python's `json.dumps(value, ensure_ascii=False)` writes it: `", "` and `": "` between items,
  /// no escaped slashes, floats in their shortest form.
  ///
  /// - Throws: ``TemplateError`` when the value is nested deeper than 100.
  public func json() throws(TemplateError) -> String {
    try TemplateError.placing(nil) { try JSONWriter.string(self) }
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
