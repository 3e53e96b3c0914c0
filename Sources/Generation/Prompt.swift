// From a conversation to the tokens that a model reads. Special tokens come from the template alone: a user who writes
// `<|im_end|>` has written ten characters.
import ChatTemplates
import Foundation
import OrderedCollections
import Tokenization

extension Tokenizer {
  /// The tokens of a conversation.
  ///
  /// Texts that spell a special token are found in the prompt by rendering once more with stand-ins for them.
  /// - Parameter render: what the chat template makes of messages.
  /// - Throws: what `render` throws; ``GenerationError/invalidOption(_:)`` when a message spells a special token and the
  ///   template changes the message, so that it cannot be told from the template's own text.
  package func encode(
    _ messages: [ChatMessage], render: ([ChatMessage]) throws -> String
  ) throws -> [Int32] {
    let rendered = try render(messages)
    var originals: [String] = []
    let standIns = messages.map { message in
      message.mapTexts { text in
        guard spellsSpecialToken(text) else { return text }
        originals.append(text)
        return Self.standIn(originals.count - 1)
      }
    }
    // The template adds the beginning of a sequence itself, where it wants one; it is never wanted twice.
    let startsItself = beginningOfSequence.flatMap { piece(of: $0) }.map { rendered.hasPrefix($0) } ?? false
    let parsing = originals.isEmpty
      ? SpecialTokenParsing.all
      : .within(try Self.templateParts(of: rendered, standIns: render(standIns), originals: originals))
    var tokens = encode(rendered, specialTokens: parsing, addsBoundaryTokens: false)
    if addsBeginningOfSequence, !startsItself, let beginningOfSequence { tokens.insert(beginningOfSequence, at: 0) }
    return tokens
  }

  private func spellsSpecialToken(_ text: String) -> Bool {
    encode(text, specialTokens: .all, addsBoundaryTokens: false)
      .contains { kinds[Int($0)] == .control || kinds[Int($0)] == .unknown }
  }

  /// Characters for private use, which no template looks for.
  private static func standIn(_ index: Int) -> String { "\u{F8F0}\(index)\u{F8F1}" }

  /// The ranges of `rendered`, in UTF-8, that are the template's own text.
  private static func templateParts(
    of rendered: String, standIns: String, originals: [String]
  ) throws(GenerationError) -> [Range<Int>] {
    // Templates put a text as it is, or without the white space around it.
    for texts in [originals, originals.map { $0.trimmingCharacters(in: .whitespacesAndNewlines) }] {
      var parts: [Range<Int>] = [], result = "", rest = standIns[...]
      while let start = rest.firstRange(of: "\u{F8F0}"), let end = rest.firstRange(of: "\u{F8F1}"),
        start.upperBound <= end.lowerBound, let index = Int(rest[start.upperBound..<end.lowerBound]),
        texts.indices.contains(index)
      {
        let from = result.utf8.count
        result += rest[..<start.lowerBound]
        parts.append(from..<result.utf8.count)
        result += texts[index]
        rest = rest[end.upperBound...]
      }
      let from = result.utf8.count
      result += rest
      parts.append(from..<result.utf8.count)
      if result.utf8.elementsEqual(rendered.utf8) { return parts.filter { !$0.isEmpty } }
    }
    throw .invalidOption("a message spells a special token, and the chat template does not leave it as it is")
  }
}

extension ChatMessage {
  /// The message with everything in it that somebody wrote replaced.
  fileprivate func mapTexts(_ transform: (String) -> String) -> ChatMessage {
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
