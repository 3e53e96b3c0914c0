// A conversation with a model.
import ChatTemplates
import Conversations
import Generation
import Synchronization

/// A response and how it came about.
public struct Response<Content: Sendable>: Sendable {
  public var content: Content
  public var finishReason: FinishReason
  public var statistics: GenerationStatistics
}

/// A conversation. It remembers its turns, and what the model has computed of them; one response at a time.
public final class LanguageModelSession: Sendable {
  public let model: LanguageModel
  private let state: Mutex<State>
  private let memory = SequenceMemory()

  private struct State {
    var transcript: [ChatMessage]
    var isResponding = false
  }

  /// What a session can refuse.
  public enum Failure: Error, CustomStringConvertible {
    /// The last response has not ended yet.
    case isResponding

    public var description: String { "the session is still writing its last response" }
  }

  /// - Parameter instructions: what the model is told before the first turn.
  public init(model: LanguageModel, instructions: String? = nil) {
    self.model = model
    state = Mutex(State(transcript: instructions.map { [ChatMessage(role: "system", content: $0)] } ?? []))
  }

  /// The turns so far, instructions first.
  public var transcript: [ChatMessage] {
    get { state.withLock { $0.transcript } }
    set { state.withLock { $0.transcript = newValue } }
  }

  /// What the model answers, whole.
  /// - Throws: what ``streamResponse(to:options:)`` gives.
  public func respond(
    to prompt: String, options: GenerationOptions = GenerationOptions()
  ) async throws -> Response<String> {
    let stream = try begin(prompt, options)
    for try await _ in stream {}
    guard let outcome = stream.outcome else { throw CancellationError() }
    return Response(content: outcome.text, finishReason: outcome.finishReason, statistics: outcome.statistics)
  }

  /// What the model answers, piece by piece, as it is written.
  ///
  /// The turn is added to the transcript when the response ends, cut short or not; a refused one leaves it unchanged.
  /// The stream throws ``GenerationError``, ``Failure`` or `TemplateError` when the response cannot begin.
  public func streamResponse(
    to prompt: String, options: GenerationOptions = GenerationOptions()
  ) -> ResponseStream {
    do { return try begin(prompt, options) } catch { return ResponseStream(failure: error) }
  }

  /// Begins the answer to `prompt`.
  /// - Parameter reading: called with the tokens of the prompt read so far.
  /// - Throws: ``GenerationError``, ``Failure`` or `TemplateError`, before anything runs.
  public func begin(
    _ prompt: String, _ options: GenerationOptions = GenerationOptions(),
    reading: @escaping @Sendable (Int) -> Void = { _ in }
  ) throws -> ResponseStream {
    let user = ChatMessage(role: "user", content: prompt)
    let turns = try state.withLock { state in
      guard !state.isResponding else { throw Failure.isResponding }
      state.isResponding = true
      return state.transcript + [user]
    }
    do {
      return try ResponseStream(
        model, prompt: try model.prompt(for: turns), options: options, memory: memory, continuesText: false,
        reading: reading
      ) { [self] outcome in
        state.withLock { state in
          state.transcript += [user, ChatMessage(role: "assistant", content: outcome.text)]
          state.isResponding = false
        }
      }
    } catch {
      state.withLock { $0.isResponding = false }
      throw error
    }
  }
}

extension LanguageModel {
  /// The tokens of a conversation, up to where the model answers.
  /// - Throws: ``GenerationError/noChatTemplate(_:)``, `TemplateError`.
  public func prompt(for messages: [ChatMessage]) throws -> [Int32] {
    guard let chatTemplate else { throw GenerationError.noChatTemplate(name) }
    return try tokenizer.encode(messages) { messages in
      try chatTemplate.render(
        messages: messages, addGenerationPrompt: true,
        bosToken: tokenizer.beginningOfSequence.flatMap { tokenizer.piece(of: $0) },
        eosToken: tokenizer.endOfSequence.flatMap { tokenizer.piece(of: $0) })
    }
  }

  /// Text that goes on where `prompt` ends.
  /// - Throws: ``GenerationError``, before anything runs.
  public func streamCompletion(
    of prompt: String, options: GenerationOptions = GenerationOptions(),
    reading: @escaping @Sendable (Int) -> Void = { _ in }
  ) throws -> ResponseStream {
    try ResponseStream(
      self, prompt: tokenizer.encode(prompt), options: options, memory: nil, continuesText: true, reading: reading)
  }

  /// Drops the oldest turns, but not the instructions, until the conversation leaves room for `reserve` tokens of
  /// answer.
  /// - Returns: the shortened conversation and how many messages were dropped.
  public func shifted(_ messages: [ChatMessage], reserve: Int) throws -> (messages: [ChatMessage], dropped: Int) {
    var kept = messages, dropped = 0
    let head = messages.prefix { $0.role == "system" || $0.role == "developer" }.count
    while try prompt(for: kept).count + reserve > contextLength, kept.count > head + 1 {
      kept.remove(at: head)
      dropped += 1
      // A conversation begins with a question.
      while kept.count > head + 1, kept[head].role != "user" {
        kept.remove(at: head)
        dropped += 1
      }
    }
    return (kept, dropped)
  }
}
