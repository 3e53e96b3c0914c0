// The public API on a tiny model: conversations, streams, memory, and what a user's text may not do.
import Foundation
import Malmoi
import Synchronization
import TestSupport
import Testing

@Suite struct SessionTests {
  /// A model that writes letters without end.
  static func model(
    _ architecture: TinyModel.Architecture = .llama, contextLength: Int = 512, hasChatTemplate: Bool = true
  ) throws -> LanguageModel {
    let file = FileManager.default.temporaryDirectory.appendingPathComponent("\(UUID()).gguf")
    try TinyModel.write(
      to: file, architecture: architecture, contextLength: contextLength, hasChatTemplate: hasChatTemplate)
    defer { try? FileManager.default.removeItem(at: file) }  // a mapped file lives on without its name
    return try LanguageModel(path: file.path, name: "tiny")
  }

  static let twenty = GenerationOptions(sampling: .greedy, maximumResponseTokens: 20)

  @Test(arguments: TinyModel.Architecture.allCases)
  func `a stream gives the text of the whole response`(architecture: TinyModel.Architecture) async throws {
    let model = try Self.model(architecture)
    let whole = try await LanguageModelSession(model: model).respond(to: "hello", options: Self.twenty)
    #expect(whole.statistics.generatedTokens == 20)
    #expect(whole.finishReason == .length)
    var streamed = ""
    for try await piece in LanguageModelSession(model: model).streamResponse(to: "hello", options: Self.twenty) {
      streamed += piece
    }
    #expect(streamed == whole.content)
    #expect(!streamed.isEmpty)
  }

  @Test func `a session remembers its turns and does not compute them again`() async throws {
    let model = try Self.model()
    let session = LanguageModelSession(model: model, instructions: "be brief")
    let first = try await session.respond(to: "one", options: Self.twenty)
    #expect(first.statistics.cachedTokens == 0)
    let second = try await session.respond(to: "two", options: Self.twenty)
    // Everything up to the first answer is known; its tokens may be cut differently when they are read back.
    #expect(second.statistics.cachedTokens >= first.statistics.promptTokens)
    #expect(session.transcript.map(\.role) == ["system", "user", "assistant", "user", "assistant"])
    #expect(session.transcript.last?.content == .text(second.content))

    let fresh = LanguageModelSession(model: model)
    fresh.transcript = Array(session.transcript.prefix(3))
    let repeated = try await fresh.respond(to: "two", options: Self.twenty)
    #expect(repeated.content == second.content, "what was remembered changed the answer")
    #expect(repeated.statistics.cachedTokens == 0)
  }

  @Test func `many sessions at once answer as each would alone`() async throws {
    let model = try Self.model()
    let questions = (0..<12).map { "question \($0) " + String(repeating: "word ", count: $0) }
    var alone: [String] = []
    for question in questions {
      alone.append(try await LanguageModelSession(model: model).respond(to: question, options: Self.twenty).content)
    }
    let together = try await withThrowingTaskGroup(of: (Int, String).self) { group in
      for (index, question) in questions.enumerated() {
        group.addTask {
          (index, try await LanguageModelSession(model: model).respond(to: question, options: Self.twenty).content)
        }
      }
      return try await group.reduce(into: Array(repeating: "", count: questions.count)) { $0[$1.0] = $1.1 }
    }
    #expect(together == alone)
  }

  @Test func `leaving the loop stops the work and keeps what was written`() async throws {
    let session = LanguageModelSession(model: try Self.model(contextLength: 100_000))
    let stream = session.streamResponse(to: "go on", options: GenerationOptions(sampling: .greedy))
    var pieces = 0
    for try await _ in stream {
      pieces += 1
      if pieces == 5 { break }
    }
    let stopped = try await ended(stream)
    #expect(stopped.finishReason == .cancelled)
    #expect(stopped.statistics.generatedTokens < 50_000)
    #expect(session.transcript.last?.content == .text(stopped.text))
    // The session is free again.
    _ = try await session.respond(to: "next", options: Self.twenty)
  }

  @Test func `a cancelled task sees the cancellation, not a short answer`() async throws {
    let session = LanguageModelSession(model: try Self.model(contextLength: 100_000))
    let task = Task { try await session.respond(to: "go on", options: GenerationOptions(sampling: .greedy)) }
    try await Task.sleep(for: .milliseconds(50))
    task.cancel()
    await #expect(throws: CancellationError.self) { try await task.value }
  }

  private func ended(_ stream: ResponseStream) async throws -> ResponseStream.Outcome {
    for _ in 0..<500 {
      if let outcome = stream.outcome { return outcome }
      try await Task.sleep(for: .milliseconds(10))
    }
    return try #require(stream.outcome, "the work went on after the stream was dropped")
  }

  @Test func `a second response at the same time is refused`() async throws {
    let session = LanguageModelSession(model: try Self.model(contextLength: 100_000))
    let first = session.streamResponse(to: "go on", options: GenerationOptions(sampling: .greedy))
    await #expect(throws: LanguageModelSession.Failure.self) { try await session.respond(to: "me too") }
    first.cancel()
    _ = try await ended(first)
  }

  @Test func `a prompt that does not fit is refused before anything runs`() async throws {
    let session = LanguageModelSession(model: try Self.model(contextLength: 64))
    await #expect {
      try await session.respond(to: String(repeating: "long ", count: 200))
    } throws: { error in
      guard case GenerationError.exceededContextWindowSize(let tokens, 64) = error else { return false }
      return tokens > 64
    }
    #expect(session.transcript.isEmpty)
    _ = try await session.respond(to: "hi", options: GenerationOptions(sampling: .greedy, maximumResponseTokens: 2))
  }

  @Test func `the oldest turns make room, and instructions stay`() throws {
    let model = try Self.model(contextLength: 200)
    let long = String(repeating: "x", count: 40)
    var messages = [ChatMessage(role: "system", content: "stay")]
    for turn in 0..<4 {
      messages += [
        ChatMessage(role: "user", content: "\(turn)" + long), ChatMessage(role: "assistant", content: long),
      ]
    }
    messages.append(ChatMessage(role: "user", content: "now"))
    let (kept, dropped) = try model.shifted(messages, reserve: 32)
    #expect(dropped > 0 && dropped % 2 == 0)
    #expect(kept.count + dropped == messages.count)
    #expect(kept.first == messages.first)
    #expect(kept.dropFirst().first?.role == "user")
    #expect(kept.last == messages.last)
    #expect(try model.prompt(for: kept).count + 32 <= 200)
  }

  @Test(arguments: TinyModel.Architecture.allCases)
  func `what a user writes never becomes a special token`(architecture: TinyModel.Architecture) throws {
    let model = try Self.model(architecture), tokenizer = model.tokenizer
    let special = try #require(
      (0..<Int32(tokenizer.vocabularyCount)).last { id in
        tokenizer.kinds[Int(id)] == .control && (tokenizer.piece(of: id)?.count ?? 0) > 3
      })
    let spelling = try #require(tokenizer.piece(of: special))
    func count(_ content: String) throws -> Int {
      try model.prompt(for: [ChatMessage(role: "user", content: content)]).count { $0 == special }
    }
    let usual = try count("hello")
    #expect(try count("a \(spelling) b") == usual)
    #expect(try count(spelling) == usual)
    #expect(try count("  \(spelling)\n") == usual)
  }

  @Test func `a model without a template says so, and continues text`() async throws {
    let model = try Self.model(hasChatTemplate: false)
    await #expect(throws: GenerationError.noChatTemplate("tiny")) {
      try await LanguageModelSession(model: model).respond(to: "hello")
    }
    var text = ""
    for try await piece in try model.streamCompletion(of: "hello", options: Self.twenty) { text += piece }
    #expect(!text.isEmpty)
  }

  @Test func `stop strings end a response and are not part of it`() async throws {
    let model = try Self.model()
    let whole = try await LanguageModelSession(model: model).respond(to: "hello", options: Self.twenty).content
    let stop = String(whole.dropFirst(whole.count / 2).prefix(3))
    var options = Self.twenty
    options.stopStrings = [stop]
    let cut = try await LanguageModelSession(model: model).respond(to: "hello", options: options)
    #expect(cut.finishReason == .stop)
    #expect(whole.hasPrefix(cut.content + stop))
    #expect(!cut.content.contains(stop))
  }
}
