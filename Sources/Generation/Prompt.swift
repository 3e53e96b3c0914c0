// From a conversation to the tokens that a model reads. Special tokens come from the template alone: a user who writes
// `<|im_end|>` has written ten characters.
import ChatTemplates
import Foundation
import Tokenization

extension Tokenizer {
  /// The tokens of a rendered conversation.
  /// - Parameters:
  ///   - rendered: what the chat template made of `messages`.
  ///   - messages: whose contents stay plain text.
  /// - Throws: ``GenerationError/invalidOption(_:)`` when a message spells a special token and the template has changed
  ///   the message so much that it cannot be told from the template's own text.
  package func encode(rendered: String, of messages: [ChatMessage]) throws(GenerationError) -> [Int32] {
    let text = Data(rendered.utf8)
    var plain: [Range<Int>] = []
    for content in messages.flatMap(\.plainTexts) where spellsSpecialToken(content) {
      let wanted = Data(content.trimmingCharacters(in: .whitespacesAndNewlines).utf8)
      var from = 0, isFound = false
      while let place = text.range(of: wanted, in: from..<text.count) {
        plain.append(place)
        isFound = true
        from = place.upperBound
      }
      guard isFound else {
        throw .invalidOption("a message spells a special token, and the chat template does not leave it as it is")
      }
    }
    // The template adds the beginning of a sequence itself, where it wants one; it is never wanted twice.
    let startsItself = beginningOfSequence.flatMap { piece(of: $0) }.map { rendered.hasPrefix($0) } ?? false
    let boundary = addsBeginningOfSequence && !startsItself
    let parsing = plain.isEmpty ? SpecialTokenParsing.all : .within(Self.complement(of: plain, in: text.count))
    var tokens = encode(rendered, specialTokens: parsing, addsBoundaryTokens: false)
    if boundary, let beginningOfSequence { tokens.insert(beginningOfSequence, at: 0) }
    return tokens
  }

  private func spellsSpecialToken(_ text: String) -> Bool {
    encode(text, specialTokens: .all, addsBoundaryTokens: false)
      .contains { kinds[Int($0)] == .control || kinds[Int($0)] == .unknown }
  }

  private static func complement(of ranges: [Range<Int>], in count: Int) -> [Range<Int>] {
    var rest: [Range<Int>] = [], from = 0
    for range in ranges.sorted(by: { $0.lowerBound < $1.lowerBound }) {
      if range.lowerBound > from { rest.append(from..<range.lowerBound) }
      from = max(from, range.upperBound)
    }
    if from < count { rest.append(from..<count) }
    return rest
  }
}

extension ChatMessage {
  /// Everything in a message that somebody wrote.
  fileprivate var plainTexts: [String] {
    var texts: [String] = [reasoning, name].compactMap(\.self)
    switch content {
    case .text(let text): texts.append(text)
    case .parts(let parts): texts += parts.flatMap(\.strings)
    case nil: break
    }
    return texts + toolCalls.flatMap { [$0.name] + $0.arguments.strings }
  }
}

extension JinjaValue {
  fileprivate var strings: [String] {
    switch self {
    case .string(let text): [text]
    case .array(let values): values.flatMap(\.strings)
    case .object(let fields): fields.keys + fields.values.flatMap(\.strings)
    default: []
    }
  }
}
