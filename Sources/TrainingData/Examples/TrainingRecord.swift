// What people write to teach a model something, in the shapes in which such data are published.
import ChatTemplates
import JSON

/// The shapes of records.
public enum RecordFormat: String, Sendable, CaseIterable {
  /// `instruction`, `context` or `input` if there is one, `response` or `output` (Dolly, Alpaca).
  case instruction
  /// `messages` with `role` and `content`, or `conversations` with `from` and `value` (ShareGPT); `tools` if there are.
  case chat
  /// `prompt`, `completion`.
  case completion
  /// `text`.
  case text
  /// `text`, `text_pair` if there is a second, `label` (a string or an integer).
  case labelled
  /// `chosen`, `rejected` (texts, or messages), `prompt` (a text, or messages) if it is not in both.
  case preference

  /// The format of a record with these fields; nil for none.
  static func recognize(_ record: JSONField) -> RecordFormat? {
    func has(_ keys: String...) -> Bool { keys.contains { record[$0] != nil } }
    if has("chosen"), has("rejected") { return .preference }
    if has("messages", "conversations") { return .chat }
    if has("instruction"), has("response", "output") { return .instruction }
    if has("prompt"), has("completion") { return .completion }
    if has("text") { return has("label") ? .labelled : .text }
    return nil
  }

  static let expectation = """
    expected instruction and response, messages, prompt and completion, text, text and label, or chosen and rejected
    """
}

/// One record of training data.
public enum TrainingRecord: Sendable, Equatable {
  case instruction(String, context: String?, response: String)
  case chat([ChatMessage], tools: [JSONValue]? = nil)
  case completion(prompt: String, completion: String)
  case text(String)
  case labelled(String, pair: String?, label: String)
  /// Two conversations that begin alike.
  case preference(chosen: [ChatMessage], rejected: [ChatMessage])

  /// Reads a record.
  /// - Throws: `JSONError` that names the field and what was expected there.
  public init(_ record: JSONField, format: RecordFormat) throws(JSONError) {
    func text(_ keys: String...) throws(JSONError) -> String {
      for key in keys { if let field = record[key] { return try field.string() } }
      throw try record.missing(keys)
    }
    func optionalText(_ keys: String...) throws(JSONError) -> String? {
      for key in keys { if let field = record[key] { return try field.string() } }
      return nil
    }
    switch format {
    case .instruction:
      let context = try optionalText("context", "input")
      self = .instruction(
        try text("instruction"), context: context?.isEmpty == true ? nil : context,
        response: try text("response", "output"))
    case .chat:
      guard let list = record["messages"] ?? record["conversations"] else {
        throw try record.missing(["messages", "conversations"])
      }
      let messages = try ChatMessage.messages(list)
      guard messages.contains(where: \.isFromModel) else {
        throw list.error("expected a message of the role assistant, found none")
      }
      self = .chat(messages, tools: try record["tools"]?.array().map(\.value))
    case .completion:
      self = .completion(prompt: try text("prompt"), completion: try text("completion"))
    case .text: self = .text(try text("text"))
    case .labelled:
      self = .labelled(try text("text"), pair: try optionalText("text_pair"), label: try Self.label(record))
    case .preference:
      let prompt = try record["prompt"].map { (field) throws(JSONError) in try ChatMessage.turns(field, role: "user") }
      func answer(_ key: String) throws(JSONError) -> [ChatMessage] {
        guard let field = record[key] else { throw try record.missing([key]) }
        let answer = try ChatMessage.turns(field, role: "assistant")
        guard answer.last?.isFromModel == true else {
          throw field.error("expected the last message to be of the role assistant")
        }
        // A list that begins with a question is the whole conversation.
        return answer.first?.isFromModel == true ? (prompt ?? []) + answer : answer
      }
      let chosen = try answer("chosen"), rejected = try answer("rejected")
      guard chosen.first?.isFromModel != true else { throw try record.missing(["prompt"]) }
      self = .preference(chosen: chosen, rejected: rejected)
    }
  }

  private static func label(_ record: JSONField) throws(JSONError) -> String {
    guard let field = record["label"] else { throw try record.missing(["label"]) }
    switch field.value {
    case .string(let label): return label
    case .int(let label): return String(label)
    case .bool(let label): return String(label)
    default: throw field.error("expected a string or an integer, found \(field.value.kind)")
    }
  }
}

extension JSONField {
  /// The complaint that none of these fields is there.
  fileprivate func missing(_ keys: [String]) throws(JSONError) -> JSONError {
    guard case .object = value else { throw error("expected an object, found \(value.kind)") }
    let field = path.isEmpty ? keys[0] : path + "." + keys[0]
    let others = keys.dropFirst().map { "'\($0)'" }.joined(separator: " or ")
    return JSONError(field: field, message: others.isEmpty ? "missing" : "missing, and \(others) too")
  }
}

extension ChatMessage {
  var isFromModel: Bool { role == "assistant" }

  /// Messages, or one text of this role.
  fileprivate static func turns(_ field: JSONField, role: String) throws(JSONError) -> [ChatMessage] {
    if case .string(let text) = field.value { return [ChatMessage(role: role, content: text)] }
    return try messages(field)
  }

  fileprivate static func messages(_ field: JSONField) throws(JSONError) -> [ChatMessage] {
    var messages: [ChatMessage] = []
    for message in try field.array() { messages.append(try ChatMessage(message)) }
    guard !messages.isEmpty else { throw field.error("expected messages, found none") }
    return messages
  }

  /// A message of a record, under OpenAI's names or ShareGPT's.
  private init(_ field: JSONField) throws(JSONError) {
    guard let role = field["role"] ?? field["from"] else { throw try field.missing(["role", "from"]) }
    let roles = [
      "human": "user", "gpt": "assistant", "chatgpt": "assistant", "model": "assistant", "bot": "assistant",
      "function_response": "tool", "observation": "tool",
    ]
    let name = try role.string()
    var content: Content?
    if let given = field["content"] ?? field["value"] {
      if case .array(let parts) = given.value { content = .parts(parts) } else { content = .text(try given.string()) }
    }
    var calls: [ToolCall] = []
    for call in try field["tool_calls"]?.array() ?? [] {
      let function = call["function"] ?? call
      calls.append(
        ToolCall(
          id: try call["id"]?.string(), name: try function.required("name").string(),
          arguments: function["arguments"]?.value ?? .object([:])))
    }
    guard content != nil || !calls.isEmpty else { throw try field.missing(["content", "value"]) }
    self.init(
      role: roles[name] ?? name, content: content, reasoning: try field["reasoning_content"]?.string(),
      toolCalls: calls, name: try field["name"]?.string(), toolCallID: try field["tool_call_id"]?.string())
  }
}
