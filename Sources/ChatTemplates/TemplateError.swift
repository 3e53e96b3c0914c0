// The one error type of this room, and the positionless failure that the runtime turns into it.

/// Why a chat template could not be parsed or rendered, and where.
public struct TemplateError: Error, Equatable, Sendable, CustomStringConvertible {
  /// What went wrong.
  public enum Reason: Equatable, Sendable {
    /// The template is not valid Jinja; the text says what was expected.
    case syntax(String)
    /// The template uses a construct of Jinja that chat templates do not need and this engine does not have.
    case unsupported(String)
    /// The template itself refused its input, by calling `raise_exception` with this message.
    case raised(String)
    /// An undefined value was used as if it had content.
    case undefined(String)
    /// An operation met a value of a type that it does not accept.
    case type(String)
    /// An operation met a value of the right type that it cannot use.
    case value(String)
    /// A limit of ``TemplateLimits`` was reached.
    case limit(String)
    /// Data given to the template is malformed.
    case data(String)
  }

  public var reason: Reason
  /// Line in the template, from 1; 0 when the failure is not in the template.
  public var line: Int
  /// Column in that line, in Unicode scalars from 1; 0 when the failure is not in the template.
  public var column: Int

  public init(reason: Reason, line: Int, column: Int) {
    self.reason = reason
    self.line = line
    self.column = column
  }

  /// The text of the reason.
  public var message: String {
    switch reason {
    case .syntax(let text), .unsupported(let text), .raised(let text), .undefined(let text), .type(let text),
      .value(let text), .limit(let text), .data(let text):
      text
    }
  }

  public var description: String {
    line > 0 ? "chat template, line \(line), column \(column): \(message)" : "chat template: \(message)"
  }
}

/// A failure inside the runtime, which does not know its place in the template.
struct Failure: Error {
  let reason: TemplateError.Reason

  init(_ reason: TemplateError.Reason) { self.reason = reason }

  static func type(_ text: String) -> Failure { Failure(.type(text)) }
  static func value(_ text: String) -> Failure { Failure(.value(text)) }
  static func limit(_ text: String) -> Failure { Failure(.limit(text)) }
}
