// One message of a conversation, in the shape that chat templates expect.
import OrderedCollections

/// A message of a conversation.
public struct ChatMessage: Sendable, Equatable {
  /// What a message says.
  public enum Content: Sendable, Equatable {
    case text(String)
    /// Parts such as `{"type": "text", "text": …}` and `{"type": "image"}`.
    case parts([JinjaValue])
  }

  /// A call of a tool by the model.
  public struct ToolCall: Sendable, Equatable {
    public var id: String?
    public var name: String
    /// The arguments, normally an object. Templates that expect their JSON text instead get a `.string`.
    public var arguments: JinjaValue

    public init(id: String? = nil, name: String, arguments: JinjaValue) {
      self.id = id
      self.name = name
      self.arguments = arguments
    }
  }

  /// `system`, `user`, `assistant`, `tool` or what else the template knows.
  public var role: String
  /// What the message says; nil, for messages that only call tools, becomes the empty string: of the templates in
  /// use many refuse `null` here or print it as `None`. Put `null` into ``additionalFields`` where one needs it.
  public var content: Content?
  /// The model's reasoning, which templates find as `reasoning_content` and as `thinking`.
  public var reasoning: String?
  public var toolCalls: [ToolCall]
  /// The name of the speaker or of the tool that answers.
  public var name: String?
  /// The call that a message of the role `tool` answers.
  public var toolCallID: String?
  /// Further fields of the message; they replace the ones above where they have the same name.
  public var additionalFields: OrderedDictionary<String, JinjaValue>

  public init(
    role: String, content: Content?, reasoning: String? = nil, toolCalls: [ToolCall] = [], name: String? = nil,
    toolCallID: String? = nil, additionalFields: OrderedDictionary<String, JinjaValue> = [:]
  ) {
    self.role = role
    self.content = content
    self.reasoning = reasoning
    self.toolCalls = toolCalls
    self.name = name
    self.toolCallID = toolCallID
    self.additionalFields = additionalFields
  }

  /// A message that is only text.
  public init(role: String, content: String) { self.init(role: role, content: .text(content)) }

  /// The message as templates see it.
  public var value: JinjaValue {
    var fields: OrderedDictionary<String, JinjaValue> = ["role": .string(role)]
    fields["content"] = switch content {
    case .text(let text): .string(text)
    case .parts(let parts): .array(parts)
    case nil: ""
    }
    if let reasoning {
      fields["reasoning_content"] = .string(reasoning)
      fields["thinking"] = .string(reasoning)
    }
    if !toolCalls.isEmpty { fields["tool_calls"] = .array(toolCalls.map(\.value)) }
    if let name { fields["name"] = .string(name) }
    if let toolCallID { fields["tool_call_id"] = .string(toolCallID) }
    fields.merge(additionalFields) { $1 }
    return .object(fields)
  }
}

extension ChatMessage.ToolCall {
  /// The call as templates see it, in the shape of the OpenAI API.
  public var value: JinjaValue {
    var fields: OrderedDictionary<String, JinjaValue> = [:]
    if let id { fields["id"] = .string(id) }
    fields["type"] = "function"
    fields["function"] = .object(["name": .string(name), "arguments": arguments])
    return .object(fields)
  }
}
