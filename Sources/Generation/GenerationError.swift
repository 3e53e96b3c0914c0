// What can be wrong with a wish for text.

/// Why text could not be generated. Nothing has run when one of these is thrown.
public enum GenerationError: Error, Equatable, CustomStringConvertible {
  /// The prompt, and at least one token of answer, do not fit into the model's context.
  case exceededContextWindowSize(promptTokens: Int, contextLength: Int)
  /// There is nothing to continue.
  case emptyPrompt
  /// A token number that the model does not have.
  case unknownToken(Int32, vocabulary: Int)
  /// An option outside the values it may have.
  case invalidOption(String)
  /// The model has no chat template, and a conversation was asked for.
  case noChatTemplate(String)

  public var description: String {
    switch self {
    case .exceededContextWindowSize(let tokens, let length):
      "the prompt has \(tokens) tokens, and the context holds \(length) with at least one of answer"
    case .emptyPrompt: "the prompt is empty"
    case .unknownToken(let token, let vocabulary): "token \(token) is not in 0 ..< \(vocabulary)"
    case .invalidOption(let message): message
    case .noChatTemplate(let model): "\(model) has no chat template: it continues text, and cannot chat"
    }
  }
}
