// Guessing ahead changes the speed and nothing else: not a token, not the reason for the end, not what is remembered.
import Checkpoints
import Foundation
import Generation
import Models
import Synchronization
import Tensors
import TestSupport
import Testing
import Tokenization

/// Knows how its sequences go on, and errs now and then.
private final class Oracle: Drafter {
  private let texts: [[Int32]]
  private let errors: Int
  private var random = SeededRandom(1)

  /// - Parameter errors: one guess in so many is wrong; 0 for none.
  init(_ texts: [[Int32]], errors: Int) {
    self.texts = texts
    self.errors = errors
  }

  func read(_ tokens: [Int32], upTo count: Int) {}
  func forget(after count: Int) {}

  func draft(_ count: Int, after tokens: [Int32]) -> [Int32] {
    guard let text = texts.first(where: { $0.starts(with: tokens) }) else { return [] }
    return text.dropFirst(tokens.count).prefix(count).map {
      errors > 0 && random.below(errors) == 0 ? Int32(random.below(400)) - 50 : $0
    }
  }
}

@Suite(.timeLimit(.minutes(2))) struct `Guessing ahead` {
  private let decoder: Decoder

  init() throws {
    var random = RandomDecoder()
    random.contextLength = 400
    decoder = try random.make(backend: CPUBackend(threads: 2))
  }

  private func other(
    seed: UInt64 = 1, vocabulary: Int = 300, contextLength: Int = 400
  ) throws -> Decoder {
    var random = RandomDecoder()
    random.seed = seed
    random.vocabulary = vocabulary
    random.contextLength = contextLength
    return try random.make(backend: CPUBackend(threads: 2))
  }

  private func engine(
    _ speculation: Speculation, batch: Int = 512, sequences: Int = 64, cache: CacheType = .i16
  ) -> Engine {
    var options = Engine.Options()
    options.batchTokens = batch
    options.sequences = sequences
    options.cacheType = cache
    options.speculation = speculation
    return Engine(decoder, options: options)
  }

  /// Guesses from what requests will give, as many as may be.
  private func oracle(_ texts: [[Int32]], errors: Int = 4) -> Speculation {
    Speculation(lossLimit: .infinity) { Oracle(texts, errors: errors) }
  }

  private func prompt(_ seed: UInt64, _ count: Int) -> [Int32] {
    var random = SeededRandom(seed)
    return random.tokens(count, vocabulary: 300)
  }

  private func request(
    _ seed: UInt64, prompt count: Int = 30, tokens: Int? = 60, sampling: SamplingOptions? = nil
  ) -> EngineRequest {
    EngineRequest(
      prompt: prompt(seed, count),
      sampling: sampling ?? SamplingOptions(temperature: 1, topK: 0, topP: 1, minP: 0, seed: seed),
      maximumTokens: tokens)
  }

  private static let samplings = [
    SamplingOptions.greedy,
    SamplingOptions(temperature: 1.5, topK: 0, topP: 1, minP: 0, seed: 5),
    SamplingOptions(
      temperature: 0.8, topK: 50, topP: 0.9, minP: 0.02, typicalP: 0.95, repetitionPenalty: 1.3, presencePenalty: 0.2,
      frequencyPenalty: 0.1, penaltyWindow: 20, logitBias: [3: 2, 4: -.infinity], seed: 6),
  ]

  @Test(arguments: samplings, [CacheType.i16, .q8_0])
  func `changes no token, however they are chosen and in any company`(
    sampling: SamplingOptions, cache: CacheType
  ) async throws {
    let requests = (0..<6).map {
      request(UInt64($0), prompt: [1, 2, 63, 64, 65, 130][$0], tokens: 40 + 10 * $0, sampling: sampling)
    }
    let expected = requests.map { decoder.plainly($0, cache: cache) }
    let texts = zip(requests, expected).map { $0.prompt + $1 }
    for (speculation, guesses) in [
      (oracle(texts), true), (oracle(texts, errors: 0), true), (Speculation.lookup, false), (.off, false),
    ] {
      for (batch, sequences) in [(512, 1), (512, 64), (5, 3)] {
        let engine = engine(speculation, batch: batch, sequences: sequences, cache: cache)
        let receivers = requests.map { _ in Receiver() }
        for (request, receiver) in zip(requests, receivers) { _ = try engine.submit(request) { receiver.receive($0) } }
        var drafted = 0, accepted = 0
        for (receiver, expected) in zip(receivers, expected) {
          let outcome = await receiver.outcome(), statistics = try #require(outcome.statistics)
          #expect(outcome.tokens == expected, "batches of \(batch), \(sequences) at once")
          #expect(outcome.reason == .length && outcome.finishes == 1 && outcome.eventsAfterFinish == 0)
          #expect(statistics.generatedTokens == expected.count)
          drafted += statistics.draftedTokens
          accepted += statistics.acceptedTokens
        }
        #expect(accepted <= drafted)
        if guesses { #expect(accepted > 20) }
      }
    }
  }

  @Test func `takes a text that is known in far fewer passes`() async throws {
    let request = request(1, tokens: 200), text = request.prompt + decoder.plainly(request)
    let sure = try #require(try await engine(oracle([text], errors: 0)).outcome(of: request).statistics)
    // A pass of 16 rows gives 15 guessed tokens and one more. How soon it takes so many depends on how long passes take,
    // which a busy machine blurs: fewer than half of the passes it must be.
    #expect(sure.acceptedTokens == sure.draftedTokens)
    #expect(sure.acceptedTokens > 100)
    let unsure = try #require(try await engine(oracle([text], errors: 1)).outcome(of: request).statistics)
    #expect(unsure.draftedTokens > 20 && unsure.acceptedTokens < 10)
    #expect(try await engine(.off).outcome(of: request).statistics?.draftedTokens == 0)
  }

  @Test(arguments: [1, 2, 5, 8, 9, 16, 17, 40])
  func `ends where the text ends, inside a guess too`(count: Int) async throws {
    let free = request(2, tokens: 120), whole = decoder.plainly(free), text = free.prompt + whole
    for errors in [0, 3] {
      let engine = engine(oracle([text], errors: errors))
      // At most so many tokens.
      var short = free
      short.maximumTokens = count
      let limited = try await engine.outcome(of: short)
      #expect(limited.tokens == Array(whole.prefix(count)) && limited.reason == .length)
      // A stop token.
      var stopping = free
      stopping.stopTokens = [whole[count]]
      let stopped = try await engine.outcome(of: stopping)
      #expect(stopped.tokens == Array(whole.prefix(try #require(whole.firstIndex(of: whole[count])))))
      #expect(stopped.reason == .stop)
      // A receiver that has enough.
      let receiver = Receiver { $0 < count }
      _ = try engine.submit(free) { receiver.receive($0) }
      let enough = await receiver.outcome()
      #expect(enough.tokens == Array(whole.prefix(count)) && enough.reason == .stop)
      #expect(receiver.now.eventsAfterFinish == 0)
      // The end of the context.
      var options = Engine.Options()
      options.speculation = oracle([text], errors: errors)
      options.contextLength = free.prompt.count + count
      var endless = free
      endless.maximumTokens = nil
      let full = try await Engine(decoder, options: options).outcome(of: endless)
      #expect(full.tokens == Array(whole.prefix(count)) && full.reason == .length)
    }
  }

  @Test func `stops at once when cancelled`() async throws {
    let free = request(3, tokens: 120), whole = decoder.plainly(free)
    for count in [1, 7, 12, 30] {
      let ticket = Mutex<Engine.Ticket?>(nil), isSubmitted = DispatchSemaphore(value: 0)
      let receiver = Receiver {
        if $0 == 1 { isSubmitted.wait() }
        if $0 == count { ticket.withLock { $0?.cancel() } }
        return true
      }
      let engine = engine(oracle([free.prompt + whole], errors: 0))
      let made = try engine.submit(free) { receiver.receive($0) }
      ticket.withLock { $0 = made }
      isSubmitted.signal()
      let outcome = await receiver.outcome()
      #expect(outcome.tokens == Array(whole.prefix(count)) && outcome.reason == .cancelled)
      // The engine is free again.
      #expect(try await engine.outcome(of: free).tokens == whole)
      #expect(outcome.finishes == 1 && receiver.now.eventsAfterFinish == 0)
    }
  }

  @Test(arguments: [0, 2]) func `leaves a memory with what was accepted and nothing else`(errors: Int) async throws {
    for ending in 0..<4 {
      let plain = SequenceMemory(), guessed = SequenceMemory()
      var conversation = prompt(20, 40)
      for turn in 0..<4 {
        var request = request(UInt64(turn), tokens: 30)
        request.prompt = conversation
        let whole = decoder.plainly(request)
        if ending == 1 { request.stopTokens = [whole[20]] }
        let enough = ending == 2 ? 17 : .max
        var outcomes: [Outcome] = []
        for (memory, speculation) in [
          (plain, Speculation.off), (guessed, oracle([conversation + whole], errors: errors)),
        ] {
          request.memory = memory
          let receiver = Receiver { $0 < enough }
          // Every other turn, the speculative engine's memory is used by one that does not speculate.
          let engine = engine(ending == 3 && turn % 2 == 1 ? .off : speculation)
          _ = try engine.submit(request) { receiver.receive($0) }
          outcomes.append(await receiver.outcome())
        }
        #expect(outcomes[0].tokens == Array(whole.prefix(outcomes[0].tokens.count)))
        #expect(outcomes[1].tokens == outcomes[0].tokens)
        #expect(outcomes[1].statistics?.cachedTokens == outcomes[0].statistics?.cachedTokens)
        #expect(turn == 0 || (outcomes[1].statistics?.cachedTokens ?? 0) > conversation.count - 20)
        conversation += outcomes[0].tokens + prompt(UInt64(60 + turn), 5)
      }
    }
  }

  @Test func `leaves many sequences alone, whose passes are full`() async throws {
    let requests = (0..<20).map { request(UInt64($0), prompt: 5) }
    let texts = requests.map { $0.prompt + decoder.plainly($0) }
    let engine = engine(oracle(texts, errors: 0)), areSubmitted = DispatchSemaphore(value: 0)
    let first = Receiver { count in
      if count == 1 { areSubmitted.wait() }
      return true
    }
    let receivers = [first] + requests.dropFirst().map { _ in Receiver() }
    for (request, receiver) in zip(requests, receivers) { _ = try engine.submit(request) { receiver.receive($0) } }
    areSubmitted.signal()
    for (receiver, text) in zip(receivers, texts) {
      let outcome = await receiver.outcome()
      #expect(outcome.tokens == Array(text.dropFirst(5)))
      #expect(outcome.statistics?.draftedTokens == 0)
    }
  }

  // MARK: - Draft models

  @Test func `by a draft model of the same weights is always right`() async throws {
    for sampling in [SamplingOptions.greedy, SamplingOptions(temperature: 1, topK: 1, seed: 1)] {
      let request = request(30, prompt: 100, tokens: 150, sampling: sampling)
      let outcome = try await engine(.draftModel(other()), batch: 32).outcome(of: request)
      #expect(outcome.tokens == decoder.plainly(request))
      let statistics = try #require(outcome.statistics)
      #expect(statistics.draftedTokens > 0 && statistics.acceptedTokens == statistics.draftedTokens)
    }
  }

  @Test(arguments: [(2, 300, 400), (1, 200, 400), (1, 400, 400), (2, 20, 400), (1, 300, 60), (1, 300, 10)])
  func `by a draft model of any other kind changes no token`(
    seed: UInt64, vocabulary: Int, contextLength: Int
  ) async throws {
    let draft = try other(seed: seed, vocabulary: vocabulary, contextLength: contextLength)
    let engine = engine(.draftModel(draft), batch: 32), memory = SequenceMemory()
    for sampling in Self.samplings {
      for count in [1, 40, 130] {
        var request = request(31, prompt: count, sampling: sampling)
        request.memory = memory
        let outcome = try await engine.outcome(of: request)
        #expect(outcome.tokens == decoder.plainly(request))
      }
    }
  }

  @Test func `by a draft model goes on through a conversation`() async throws {
    let engine = engine(.draftModel(try other()), batch: 32), memory = SequenceMemory()
    var conversation = prompt(32, 40)
    for turn in 0..<4 {
      var request = request(UInt64(turn), tokens: 30, sampling: .greedy)
      request.prompt = conversation
      let expected = decoder.plainly(request)
      request.memory = memory
      let outcome = try await engine.outcome(of: request)
      #expect(outcome.tokens == expected)
      // Its cache holds the conversation and no guess that failed, or it would err.
      #expect(outcome.statistics?.acceptedTokens == outcome.statistics?.draftedTokens)
      conversation += outcome.tokens.prefix(25) + prompt(UInt64(70 + turn), 10)
    }
  }

  // MARK: - A real model

  @Test(.enabled(if: TestModels.areComplete, "needs models and texts: see ModelsTests/Fixtures/README.md"))
  func `of a copied text is right, and gives what a plain loop gives`() async throws {
    let file = try GGUFFile(path: #require(TestModels.path(TestModels.ggufNames[0])))
    let tokenizer = try Tokenizer(file.tokenizerVocabulary()), model = try Decoder(file)
    let verse = "In the beginning God created the heaven and the earth. And the earth was without form, and void.\n"
    let prompt = tokenizer.encode(verse + verse + verse)
    for sampling in [SamplingOptions.greedy, SamplingOptions(temperature: 0.7, seed: 1)] {
      let request = EngineRequest(prompt: prompt, sampling: sampling, maximumTokens: 60)
      for speculation in [Speculation.lookup, .draftModel(model)] {
        var options = Engine.Options()
        options.speculation = speculation
        let outcome = try await Engine(model, options: options).outcome(of: request)
        #expect(outcome.tokens == model.plainly(request))
        if sampling == .greedy { #expect(try #require(outcome.statistics).acceptedTokens > 0) }
      }
    }
  }
}
