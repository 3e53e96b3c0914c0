// A text for training: its tokens, and which of them a model is to learn to write.
import ChatTemplates
import Tokenization

/// A text of which some parts are to be learnt.
package struct AnnotatedText: Sendable {
  package var text: String
  /// Which spellings in the text are special tokens.
  package var specialTokens: SpecialTokenParsing
  /// The parts to be learnt, in UTF-8, ascending.
  package var learnt: [Range<Int>]

  package init(text: String, specialTokens: SpecialTokenParsing = .none, learnt: [Range<Int>]) {
    self.text = text
    self.specialTokens = specialTokens
    self.learnt = learnt
  }

  /// The tokens, with the beginning of a sequence where the tokenizer adds one. A token is learnt if any of it is.
  package func tokens(_ tokenizer: Tokenizer) -> (ids: [Int32], isLearnt: [Bool]) {
    let placed = tokenizer.placedTokens(text, specialTokens: specialTokens)
    var isLearnt: [Bool] = [], part = learnt[...]
    for token in placed {
      while let first = part.first, first.upperBound <= token.bytes.lowerBound { part.removeFirst() }
      isLearnt.append(part.first.map { $0.lowerBound < token.bytes.upperBound } ?? false)
    }
    let beginning = tokenizer.beginning(before: text).map { [$0] } ?? []
    return (beginning + placed.map(\.id), beginning.map { _ in false } + isLearnt)
  }

  /// The text in pieces that are learnt or not, in order.
  package var pieces: [(text: String, isLearnt: Bool)] {
    var pieces: [(text: String, isLearnt: Bool)] = [], position = 0
    let bytes = Array(text.utf8)
    func add(upTo end: Int, isLearnt: Bool) {
      guard end > position else { return }
      pieces.append((String(decoding: bytes[position..<end], as: UTF8.self), isLearnt))
      position = end
    }
    for range in learnt {
      add(upTo: range.lowerBound, isLearnt: false)
      add(upTo: range.upperBound, isLearnt: true)
    }
    add(upTo: bytes.count, isLearnt: false)
    return pieces
  }
}

extension Tokenizer {
  /// A conversation as training text: what the assistant says is to be learnt, with the token that ends its turn.
  ///
  /// Where the template marks the assistant's parts (`{% generation %}`), these are taken. Otherwise a turn begins
  /// where the prompt for it would end, and ends with the first end-of-generation token after what it says.
  /// - Parameters:
  ///   - isLearnt: which messages are to be learnt.
  ///   - render: what the chat template makes of messages, and whether to end with what makes the model answer.
  /// - Throws: what `render` throws; ``ConversationError``.
  package func annotate(
    _ messages: [ChatMessage], isLearnt: (Int) -> Bool,
    render: ([ChatMessage], _ addGenerationPrompt: Bool) throws -> ChatTemplate.Rendering
  ) throws -> AnnotatedText {
    let rendering = try render(messages, false)
    let text = rendering.text
    func places(where isWanted: (Int, String) -> Bool) throws -> TextPlaces? {
      try TextPlaces(messages, in: text, where: isWanted) { try render($0, false).text }
    }
    func isUnsafe(_ text: String) -> Bool { spellsSpecialToken(text) }
    guard rendering.generations.isEmpty else {
      guard let places = try places(where: { isUnsafe($1) }) else { throw ConversationError.textOutOfPlace }
      return AnnotatedText(text: text, specialTokens: places.specialTokens, learnt: rendering.generations)
    }
    // A template may refuse a stand-in, or look into what the assistant said.
    let all = try? places { messages[$0].content == .text($1) || isUnsafe($1) }
    guard let places = try all ?? places(where: { isUnsafe($1) }) else { throw ConversationError.textOutOfPlace }
    let ends = placedTokens(text, specialTokens: places.specialTokens).filter { endsGeneration($0.id) }.map(\.bytes)
    let turns = Turns(text: text, places: all?.places ?? [], ends: ends)
    var learnt: [Range<Int>] = []
    for index in messages.indices where isLearnt(index) {
      let prompt = try? render(Array(messages[..<index]), true).text
      let upTo = try? render(Array(messages[...index]), false).text
      guard let turn = turns.turn(of: index, prompt: prompt, upTo: upTo) else { throw ConversationError.textOutOfPlace }
      let start = max(turn.lowerBound, learnt.last?.upperBound ?? 0)
      if start < turn.upperBound { learnt.append(start..<turn.upperBound) }
    }
    return AnnotatedText(text: text, specialTokens: places.specialTokens, learnt: learnt)
  }
}

/// Finds the turns of a rendered conversation.
private struct Turns {
  let text: String
  let places: [TextPlaces.Place]
  /// The tokens with which a model ends its turn.
  let ends: [Range<Int>]

  private func length(ofPrefix prefix: String?) -> Int? {
    prefix.flatMap { text.utf8.starts(with: $0.utf8) ? $0.utf8.count : nil }
  }

  /// - Parameters:
  ///   - prompt: the conversation before message `index`, up to where the model answers.
  ///   - upTo: the conversation with this message as its last.
  func turn(of index: Int, prompt: String?, upTo: String?) -> Range<Int>? {
    let own = places.filter { $0.message == index }.map(\.range)
    let upTo = length(ofPrefix: upTo)
    guard let start = length(ofPrefix: prompt) ?? own.first?.lowerBound else { return nil }
    let said = own.last?.upperBound ?? start
    guard said >= start else { return nil }
    let next = places.first { $0.message > index && $0.range.lowerBound >= said }?.range.lowerBound
    let limit = upTo ?? next ?? text.utf8.count
    // Nothing is known of where it ends if neither its text nor an end was found.
    let end = ends.first { $0.lowerBound >= said && $0.upperBound <= limit }?.upperBound ?? upTo ?? own.last?.upperBound
    return end.flatMap { $0 >= start ? start..<$0 : nil }
  }
}
