// From a conversation to the tokens that a model reads. Special tokens come from the template alone: a user who writes
// `<|im_end|>` has written ten characters.
import ChatTemplates
import OrderedCollections
import Tokenization

extension Tokenizer {
  /// The tokens of a conversation.
  ///
  /// Texts that spell a special token are found in the prompt by rendering once more with stand-ins for them.
  /// - Parameter render: what the chat template makes of messages.
  /// - Throws: what `render` throws; ``ConversationError``.
  package func encode(
    _ messages: [ChatMessage], render: ([ChatMessage]) throws -> String
  ) throws -> [Int32] {
    let rendered = try render(messages)
    let places = try TextPlaces(messages, in: rendered, where: { _, text in spellsSpecialToken(text) }, render: render)
    guard let places else { throw ConversationError.textOutOfPlace }
    let tokens = encode(rendered, specialTokens: places.specialTokens, addsBoundaryTokens: false)
    return (beginning(before: rendered).map { [$0] } ?? []) + tokens
  }

  func spellsSpecialToken(_ text: String) -> Bool {
    encode(text, specialTokens: .all, addsBoundaryTokens: false)
      .contains { kinds[Int($0)] == .control || kinds[Int($0)] == .unknown }
  }

  /// The beginning of a sequence, where a rendered text wants one and does not bring it: templates add it themselves
  /// where they like, and it is never wanted twice.
  func beginning(before rendered: String) -> Int32? {
    guard addsBeginningOfSequence, let beginningOfSequence else { return nil }
    let startsItself = piece(of: beginningOfSequence).map { rendered.hasPrefix($0) } ?? false
    return startsItself ? nil : beginningOfSequence
  }
}

/// Why a conversation has no tokens.
package enum ConversationError: Error, Equatable, CustomStringConvertible {
  /// A message spells a special token, and the template changes the message, so that it cannot be told from the
  /// template's own text.
  case textOutOfPlace

  package var description: String {
    "a message spells a special token, and the chat template does not leave it as it is"
  }
}

extension ChatMessage {
  /// The message with everything in it that somebody wrote replaced.
  func mapTexts(_ transform: (String) -> String) -> ChatMessage {
    var message = self
    switch content {
    case .text(let text): message.content = .text(transform(text))
    case .parts(let parts): message.content = .parts(parts.map { $0.mapTexts(transform) })
    case nil: break
    }
    message.reasoning = reasoning.map(transform)
    message.name = name.map(transform)
    message.toolCalls = toolCalls.map {
      ToolCall(id: $0.id, name: transform($0.name), arguments: $0.arguments.mapTexts(transform))
    }
    return message
  }
}

extension JinjaValue {
  fileprivate func mapTexts(_ transform: (String) -> String) -> JinjaValue {
    switch self {
    case .string(let text): .string(transform(text))
    case .array(let values): .array(values.map { $0.mapTexts(transform) })
    case .object(let fields):
      .object(OrderedDictionary(fields.map { (transform($0.key), $0.value.mapTexts(transform)) }) { $1 })
    default: self
    }
  }
}
