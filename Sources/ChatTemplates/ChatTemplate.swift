// The public face of this room: a chat template, and a conversation rendered with it.

/// A chat template: the Jinja text that a model brings along to turn a conversation into its prompt.
///
/// What templates use of Jinja renders as Python's Jinja2 does with the settings of Hugging Face `transformers`
/// (`trim_blocks`, `lstrip_blocks`, an immutable sandbox, `tojson` without HTML escapes, `raise_exception`,
/// `strftime_now`, `{% generation %}`, `break` and `continue`), with llama.cpp's `from_json` besides. Inheritance,
/// imports, `call`, `with` and recursive loops are not there. Templates are not trusted: parsing and rendering throw,
/// and neither crash nor run without end, whatever the template says.
public struct ChatTemplate: Sendable {
  /// The Jinja text.
  public let source: String
  private let program: Program

  /// What a template made of a conversation.
  public struct Rendering: Sendable, Equatable {
    public var text: String
    /// The parts of `text` inside `{% generation %}`, which the model is to learn to write, as offsets in UTF-8.
    public var generations: [Range<Int>]
  }

  /// Parses a template.
  ///
  /// - Throws: ``TemplateError`` with the place and what was expected there.
  public init(source: String) throws(TemplateError) {
    self.source = source
    program = try Compiler.compile(source)
  }

  /// Renders a conversation.
  ///
  /// - Parameters:
  ///   - messages: the conversation.
  ///   - tools: JSON schemas of the tools that the model may call; nil is `none` in the template.
  ///   - addGenerationPrompt: whether to end with what makes the model answer as the assistant.
  ///   - bosToken: the text of the token that begins a sequence, where the model has one.
  ///   - eosToken: the text of the token that ends a sequence, where the model has one.
  ///   - context: further variables such as `enable_thinking` or `documents`; they win over the ones above.
  ///   - clock: what `strftime_now` reports.
  ///   - limits: how much the template may consume.
  /// - Throws: ``TemplateError``; its reason is `raised` when the template refuses the conversation.
  public func render(
    messages: [ChatMessage], tools: [JinjaValue]? = nil, addGenerationPrompt: Bool = false, bosToken: String? = nil,
    eosToken: String? = nil, context: [String: JinjaValue] = [:], clock: TemplateClock = TemplateClock(),
    limits: TemplateLimits = TemplateLimits()
  ) throws(TemplateError) -> String {
    try rendering(
      messages: messages, tools: tools, addGenerationPrompt: addGenerationPrompt, bosToken: bosToken,
      eosToken: eosToken, context: context, clock: clock, limits: limits
    ).text
  }

  /// Renders a conversation as ``render(messages:tools:addGenerationPrompt:bosToken:eosToken:context:clock:limits:)``
  /// does, and says which parts the template marks as the model's.
  ///
  /// - Throws: ``TemplateError``; its reason is `raised` when the template refuses the conversation.
  public func rendering(
    messages: [ChatMessage], tools: [JinjaValue]? = nil, addGenerationPrompt: Bool = false, bosToken: String? = nil,
    eosToken: String? = nil, context: [String: JinjaValue] = [:], clock: TemplateClock = TemplateClock(),
    limits: TemplateLimits = TemplateLimits()
  ) throws(TemplateError) -> Rendering {
    var variables: [String: JinjaValue] = [
      "messages": .array(messages.map(\.value)),
      "tools": tools.map(JinjaValue.array) ?? .null,
      "documents": .null,
      "add_generation_prompt": .bool(addGenerationPrompt),
    ]
    variables["bos_token"] = bosToken.map(JinjaValue.string)
    variables["eos_token"] = eosToken.map(JinjaValue.string)
    variables.merge(context) { $1 }
    return try render(variables: variables, clock: clock, limits: limits)
  }

  /// Renders the template with exactly the given variables.
  ///
  /// - Parameters:
  ///   - variables: what the template finds under each name.
  ///   - clock: what `strftime_now` reports.
  ///   - limits: how much the template may consume.
  /// - Throws: ``TemplateError``; its reason is `raised` when the template refuses its input.
  public func render(
    variables: [String: JinjaValue], clock: TemplateClock = TemplateClock(), limits: TemplateLimits = TemplateLimits()
  ) throws(TemplateError) -> Rendering {
    let runtime = Runtime(limits: limits, clock: clock)
    let interpreter = try TemplateError.placing(nil) { try Interpreter(program, variables: variables, runtime) }
    let text = try interpreter.run()
    return Rendering(text: text, generations: interpreter.generations)
  }
}
