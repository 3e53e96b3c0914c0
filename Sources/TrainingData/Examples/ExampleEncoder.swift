// From a record to the numbers that a model learns it from.
import ChatTemplates
import Conversations
import JSON
import Tokenization

/// Turns records into examples, for one tokenizer, one chat template and one shape of model.
public struct ExampleEncoder: Sendable {
  /// What reads the examples.
  public enum Architecture: Sendable, Equatable {
    case decoder
    case encoder
    /// - Parameter decoderStart: what a decoder reads first.
    case encoderDecoder(decoderStart: Int32)
  }

  /// A piece of an example, to be shown.
  public struct Piece: Sendable, Equatable {
    public var text: String
    /// Whether the model learns to write it.
    public var isLearnt: Bool
  }

  /// An example, and how it came about.
  struct Encoded: Sendable {
    var example: TrainingBatch
    /// Whether tokens were cut off at the end.
    var isTruncated = false
    /// Nothing to learn is left if false.
    var isUseful = true
  }

  public let tokenizer: Tokenizer
  public let template: ChatTemplate?
  public let architecture: Architecture
  /// The most tokens of a sequence; more are cut off at its end.
  public let maximumLength: Int
  /// What conversations begin with that have no instructions of their own.
  public let systemPrompt: String?
  /// The token after an answer where no template brings one.
  private let end: (id: Int32, spelling: String)?

  /// - Parameter template: the model's own; without one a plain template is used (docs/TRAINING_DATA.md).
  /// - Throws: ``TrainingDataError`` for a length below 2, and a tokenizer without a token that ends an answer.
  public init(
    tokenizer: Tokenizer, template: ChatTemplate?, architecture: Architecture = .decoder, maximumLength: Int,
    systemPrompt: String? = nil
  ) throws(TrainingDataError) {
    guard maximumLength >= 2 else {
      throw TrainingDataError(message: "the most tokens of an example is \(maximumLength); expected at least 2")
    }
    self.tokenizer = tokenizer
    self.template = template
    self.architecture = architecture
    self.maximumLength = maximumLength
    self.systemPrompt = systemPrompt
    guard architecture == .decoder else {
      end = nil
      return
    }
    let id = tokenizer.endOfSequence ?? tokenizer.id(ofPiece: "<|endoftext|>") ?? tokenizer.id(ofPiece: "</s>")
    guard let id, let spelling = tokenizer.piece(of: id),
      tokenizer.encode(spelling, specialTokens: .all, addsBoundaryTokens: false).contains(id)
    else { throw TrainingDataError(message: "the tokenizer has no token that could end an answer") }
    end = (id, spelling)
  }

  /// The pieces of an example, before anything is cut off.
  /// - Throws: what ``example(of:)`` throws.
  public func pieces(of record: TrainingRecord) throws -> [Piece] {
    switch (architecture, record) {
    case (_, .labelled(let text, let pair, let label)) where !isEncoderDecoder:
      let texts = [text] + (pair.map { ["\n" + $0] } ?? [])
      return texts.map { Piece(text: $0, isLearnt: false) } + [Piece(text: " → " + label, isLearnt: true)]
    case (.encoderDecoder, _):
      let (source, target) = try texts(of: record)
      return [Piece(text: source, isLearnt: false), Piece(text: target, isLearnt: true)]
    case (.encoder, _): throw TrainingDataError(message: Self.needsLabels)
    case (.decoder, _): return try annotated(record).pieces.map { Piece(text: $0.text, isLearnt: $0.isLearnt) }
    }
  }

  private static let needsLabels = "expected labelled text, which encoders learn from"

  private var isEncoderDecoder: Bool { if case .encoderDecoder = architecture { true } else { false } }

  /// The example of a record that is no preference.
  func example(of record: TrainingRecord) throws -> Encoded {
    switch (architecture, record) {
    case (.encoderDecoder(let start), _):
      let (source, target) = try texts(of: record)
      return try pair(source, target, decoderStart: start)
    case (_, .labelled(let text, let pair, _)): return try labelled(text, pair)
    case (.encoder, _): throw TrainingDataError(message: Self.needsLabels)
    case (.decoder, _): return continuation(try annotated(record))
    }
  }

  /// The two examples of a preference.
  func pair(of record: TrainingRecord) throws -> (chosen: Encoded, rejected: Encoded) {
    guard case .preference(let chosen, let rejected) = record, architecture == .decoder else {
      throw TrainingDataError(message: "expected preferences (chosen and rejected), and a decoder")
    }
    let shared = zip(chosen, rejected).prefix { $0 == $1 }.count
    func example(_ messages: [ChatMessage]) throws -> Encoded {
      continuation(try conversation(messages, tools: nil) { $0 >= shared && messages[$0].isFromModel })
    }
    return (try example(chosen), try example(rejected))
  }

  // MARK: Decoders

  /// All tokens of a decoder's example, and which of them are learnt.
  package func tokens(of record: TrainingRecord) throws -> (ids: [Int32], isLearnt: [Bool]) {
    try annotated(record).tokens(tokenizer)
  }

  private func continuation(_ text: AnnotatedText) -> Encoded {
    var (ids, isLearnt) = text.tokens(tokenizer)
    let isTruncated = ids.count > maximumLength
    ids = Array(ids.prefix(maximumLength))
    isLearnt = Array(isLearnt.prefix(maximumLength))
    // Nothing is learnt from what follows the last token to be learnt, nor from that token itself. The first has none
    // before it from which it could be guessed.
    guard let last = isLearnt.lastIndex(of: true), last > 0 else {
      return Encoded(example: TrainingBatch(), isTruncated: isTruncated, isUseful: false)
    }
    let targets = (1...last).map { isLearnt[$0] ? ids[$0] : TrainingBatch.ignored }
    return Encoded(
      example: TrainingBatch(tokens: Array(ids[..<last]), targets: targets, lengths: [last]), isTruncated: isTruncated)
  }

  func annotated(_ record: TrainingRecord) throws -> AnnotatedText {
    switch record {
    case .instruction(let instruction, let context, let response):
      guard template != nil else {
        return plain([("Instruction", instruction, false)] + (context.map { [("Input", $0, false)] } ?? [])
          + [("Response", response, true)])
      }
      return try conversation(
        [
          ChatMessage(role: "user", content: Self.joined(instruction, context)),
          ChatMessage(role: "assistant", content: response),
        ], tools: nil) { $0 > 0 }
    case .chat(let messages, let tools):
      return try conversation(messages, tools: tools) { messages[$0].isFromModel }
    case .completion(let prompt, let completion): return ended([(prompt, false), (completion, true)])
    case .text(let text): return ended([(text, true)])
    case .preference(let chosen, _): return try conversation(chosen, tools: nil) { chosen[$0].isFromModel }
    case .labelled(let text, _, _): return ended([(text, true)])
    }
  }

  private static func joined(_ instruction: String, _ context: String?) -> String {
    context.map { instruction + "\n\n" + $0 } ?? instruction
  }

  private func conversation(
    _ messages: [ChatMessage], tools: [JSONValue]?, isLearnt: (Int) -> Bool
  ) throws -> AnnotatedText {
    let hasSystem = messages.first.map { $0.role == "system" || $0.role == "developer" } ?? false
    let system = hasSystem ? nil : systemPrompt.map { ChatMessage(role: "system", content: $0) }
    let offset = system == nil ? 0 : 1, messages = (system.map { [$0] } ?? []) + messages
    guard let template else {
      return try plain(
        messages.enumerated().map { index, message in
          let title = ["system": "System", "user": "Instruction", "assistant": "Response"][message.role]
          guard let title, case .text(let text)? = message.content, message.toolCalls.isEmpty else {
            throw TrainingDataError(
              field: "messages.\(index - offset)",
              message: "without a chat template, messages are texts of the roles system, user and assistant")
          }
          return (title, text, index >= offset && isLearnt(index - offset))
        })
    }
    return try tokenizer.annotate(messages, isLearnt: { $0 >= offset && isLearnt($0 - offset) }) { messages, answers in
      try template.rendering(
        messages: messages, tools: tools, addGenerationPrompt: answers,
        bosToken: tokenizer.beginningOfSequence.flatMap { tokenizer.piece(of: $0) },
        eosToken: tokenizer.endOfSequence.flatMap { tokenizer.piece(of: $0) })
    }
  }

  /// The plain template: sections with titles, and the end of a sequence after each response.
  private func plain(_ sections: [(title: String, text: String, isLearnt: Bool)]) -> AnnotatedText {
    var parts: [(String, Bool)] = []
    for section in sections {
      parts.append(("### \(section.title):\n", false))
      parts.append((section.text, section.isLearnt))
      if section.title != "Response" { parts.append(("\n\n", false)) }
    }
    return ended(parts)
  }

  /// Parts end to end, with the end of a sequence after each that is learnt.
  private func ended(_ parts: [(text: String, isLearnt: Bool)]) -> AnnotatedText {
    var text = "", learnt: [Range<Int>] = [], ends: [Range<Int>] = []
    for part in parts {
      let start = text.utf8.count
      text += part.text
      guard part.isLearnt, let end else { continue }
      ends.append(text.utf8.count..<text.utf8.count + end.spelling.utf8.count)
      text += end.spelling
      learnt.append(start..<text.utf8.count)
    }
    return AnnotatedText(text: text, specialTokens: .within(ends), learnt: learnt)
  }

  // MARK: Encoders, and encoder–decoders

  private func labelled(_ text: String, _ pair: String?) throws -> Encoded {
    let whole = try tokenizer.encoding(of: text, pair: pair, specialTokens: .none)
    guard whole.count > maximumLength else { return Encoded(example: Self.labelled(whole)) }
    let cut = try tokenizer.encoding(
      of: text, pair: pair, specialTokens: .none, truncation: EncodingTruncation(limit: maximumLength))
    return Encoded(example: Self.labelled(cut), isTruncated: true)
  }

  private static func labelled(_ encoding: TokenEncoding) -> TrainingBatch {
    TrainingBatch(
      tokens: encoding.ids, targets: Array(repeating: TrainingBatch.ignored, count: encoding.count),
      lengths: [encoding.count], labels: [0],
      tokenTypes: encoding.typeIDs.contains { $0 != 0 } ? encoding.typeIDs : [])
  }

  /// What is read and what is to be written.
  private func texts(of record: TrainingRecord) throws -> (source: String, target: String) {
    switch record {
    case .instruction(let instruction, let context, let response): return (Self.joined(instruction, context), response)
    case .completion(let prompt, let completion): return (prompt, completion)
    case .labelled(let text, let pair, let label): return (pair.map { text + "\n" + $0 } ?? text, label)
    case .chat(let messages, _):
      let texts = messages.map { message -> String? in
        if case .text(let text)? = message.content { text } else { nil }
      }
      guard let last = messages.lastIndex(where: \.isFromModel), let target = texts[last],
        texts[..<last].allSatisfy({ $0 != nil })
      else { throw TrainingDataError(field: "messages", message: "expected texts, which encoder–decoders learn from") }
      return (([systemPrompt] + texts[..<last]).compactMap(\.self).joined(separator: "\n\n"), target)
    case .text, .preference:
      throw TrainingDataError(message: "expected a prompt and an answer, which encoder–decoders learn from")
    }
  }

  private func pair(_ source: String, _ target: String, decoderStart: Int32) throws -> Encoded {
    func encode(_ text: String) throws -> (ids: [Int32], isTruncated: Bool) {
      let ids = tokenizer.encode(text)
      guard ids.count > maximumLength else { return (ids, false) }
      // The tokens around a text stay.
      let truncation = EncodingTruncation(limit: maximumLength)
      return (try tokenizer.encoding(of: text, specialTokens: .none, truncation: truncation).ids, true)
    }
    let source = try encode(source), target = try encode(target)
    return Encoded(
      example: TrainingBatch(
        tokens: [decoderStart] + target.ids.dropLast(), targets: target.ids, lengths: [target.ids.count],
        source: TrainingBatch.Sequences(tokens: source.ids, lengths: [source.ids.count])),
      isTruncated: source.isTruncated || target.isTruncated, isUseful: !source.ids.isEmpty && !target.ids.isEmpty)
  }
}
