// The engine: what it promises of each request, alone and in company.
import Foundation
import Generation
import Models
import Synchronization
import Tensors
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(2))) struct `The engine` {
  private let decoder: Decoder

  init() throws {
    var random = RandomDecoder()
    random.contextLength = 400
    decoder = try random.make(backend: CPUBackend(threads: 2))
  }

  private func prompt(_ seed: UInt64, _ count: Int) -> [Int32] {
    var random = SeededRandom(seed)
    return random.tokens(count, vocabulary: 300)
  }

  private func request(_ seed: UInt64, prompt count: Int = 30, tokens: Int? = 20) -> EngineRequest {
    EngineRequest(
      prompt: prompt(seed, count), sampling: SamplingOptions(temperature: 1, topK: 0, topP: 1, minP: 0, seed: seed),
      maximumTokens: tokens)
  }

  private func engine(batch: Int = 512, sequences: Int = 64, cache: CacheType = .i16) -> Engine {
    var options = Engine.Options()
    options.batchTokens = batch
    options.sequences = sequences
    options.cacheType = cache
    return Engine(decoder, options: options)
  }

  @Test(arguments: [CacheType.i16, .q8_0])
  func `gives the tokens of a plain loop, in any company`(cache: CacheType) async throws {
    let requests = (0..<8).map { request(UInt64($0), prompt: [1, 2, 63, 64, 65, 100, 7, 150][$0], tokens: 10 + $0) }
    let expected = requests.map { decoder.plainly($0, cache: cache) }
    for (batch, sequences) in [(512, 64), (1, 64), (7, 3), (64, 8)] {
      let engine = engine(batch: batch, sequences: sequences, cache: cache)
      let receivers = requests.map { _ in Receiver() }
      for (request, receiver) in zip(requests, receivers) { _ = try engine.submit(request) { receiver.receive($0) } }
      // Others come and are cancelled while these run.
      for seed in 100..<104 {
        let ticket = try engine.submit(request(UInt64(seed), prompt: 40, tokens: 300)) { _ in true }
        try await Task.sleep(for: .milliseconds(2))
        ticket.cancel()
      }
      for (receiver, expected) in zip(receivers, expected) {
        let outcome = await receiver.outcome()
        #expect(outcome.tokens == expected, "batches of \(batch), \(sequences) at once")
        #expect(outcome.reason == .length)
        #expect(outcome.finishes == 1 && outcome.eventsAfterFinish == 0)
      }
    }
  }

  @Test func `reports the prompt as it is read, and counts`() async throws {
    let outcome = try await engine(batch: 64).outcome(of: request(1, prompt: 150, tokens: 5))
    #expect(outcome.reads == [64, 128, 150])
    let statistics = try #require(outcome.statistics)
    #expect(statistics.promptTokens == 150)
    #expect(statistics.cachedTokens == 0)
    #expect(statistics.generatedTokens == 5)
    #expect(statistics.timeToFirstToken > 0 && statistics.generationTime > 0)
    #expect(statistics.promptRate > 0 && statistics.generationRate > 0)
  }

  @Test func `ends at a stop token, which is not part of the text`() async throws {
    let free = decoder.plainly(request(2))
    var stopping = request(2)
    stopping.stopTokens = [free[7], 299]
    let outcome = try await engine().outcome(of: stopping)
    #expect(outcome.tokens == Array(free.prefix(try #require(free.firstIndex { stopping.stopTokens.contains($0) }))))
    #expect(outcome.reason == .stop)
  }

  @Test func `ends when the receiver has enough`() async throws {
    let receiver = Receiver { $0 < 4 }
    let engine = engine()
    _ = try engine.submit(request(3)) { receiver.receive($0) }
    let outcome = await receiver.outcome()
    #expect(outcome.tokens == Array(decoder.plainly(request(3)).prefix(4)))
    #expect(outcome.reason == .stop)
  }

  @Test func `ends at the context's end`() async throws {
    let outcome = try await engine().outcome(of: request(4, prompt: 380, tokens: nil))
    #expect(outcome.tokens.count == 20)
    #expect(outcome.reason == .length)
    let most = try await engine().outcome(of: request(4, prompt: 380, tokens: .max))
    #expect(most.tokens == outcome.tokens)
    var options = Engine.Options()
    options.contextLength = 50
    let short = Engine(decoder, options: options)
    #expect(short.contextLength == 50)
    #expect(try await short.outcome(of: request(4, prompt: 49, tokens: nil)).tokens.count == 1)
    options.contextLength = 100_000
    #expect(Engine(decoder, options: options).contextLength == 400)
  }

  @Test func `refuses what it cannot do before anything runs`() throws {
    let engine = engine()
    func refused(_ error: GenerationError, _ change: (inout EngineRequest) -> Void) {
      var request = request(5)
      change(&request)
      #expect(throws: error) { try engine.submit(request) { _ in Issue.record("something ran"); return true } }
    }
    refused(.emptyPrompt) { $0.prompt = [] }
    refused(.unknownToken(300, vocabulary: 300)) { $0.prompt = [1, 300] }
    refused(.unknownToken(-1, vocabulary: 300)) { $0.prompt = [-1] }
    refused(.exceededContextWindowSize(promptTokens: 400, contextLength: 400)) {
      $0.prompt = Array(repeating: 1, count: 400)
    }
    refused(.invalidOption("the most tokens is 0, not 1 or more")) { $0.maximumTokens = 0 }
    refused(.invalidOption("top-p is 2.0, not in 0 ... 1")) { $0.sampling.topP = 2 }
  }

  @Test func `takes sizes of nothing as one`() async throws {
    for (batch, sequences) in [(0, 0), (-5, 1), (1, -5)] {
      let outcome = try await engine(batch: batch, sequences: sequences).outcome(of: request(6, tokens: 3))
      #expect(outcome.tokens.count == 3)
    }
  }

  @Test func `finishes a cancelled request once, running or waiting`() async throws {
    let engine = engine(sequences: 1)
    let tickets = Mutex<[Engine.Ticket]>([]), areSubmitted = DispatchSemaphore(value: 0)
    let running = Receiver { count in
      if count == 1 { areSubmitted.wait() }
      if count == 3 { tickets.withLock { $0[1].cancel() } }
      if count == 10 { tickets.withLock { $0[0].cancel(); $0[0].cancel() } }
      return true
    }
    let waiting = Receiver(), countAtEnd = Mutex(0)
    let first = try engine.submit(request(7, tokens: 300)) { running.receive($0) }
    let second = try engine.submit(request(8, tokens: 300)) { event in
      countAtEnd.withLock { $0 = running.now.tokens.count }
      return waiting.receive(event)
    }
    tickets.withLock { $0 = [first, second] }
    areSubmitted.signal()
    let waited = await waiting.outcome(), ran = await running.outcome()
    #expect(waited.reason == .cancelled && waited.tokens.isEmpty)
    #expect(countAtEnd.withLock { $0 } == 3)  // it did not wait for the first one's end
    #expect(ran.reason == .cancelled && ran.tokens.count == 10)
    // The engine is free again.
    #expect(try await engine.outcome(of: request(9)).tokens == decoder.plainly(request(9)))
    #expect(running.now.finishes == 1 && running.now.eventsAfterFinish == 0)
    #expect(waiting.now.finishes == 1 && waiting.now.eventsAfterFinish == 0)
  }

  @Test func `remembers a conversation without changing its tokens`() async throws {
    let engine = engine(), memory = SequenceMemory()
    var conversation = prompt(10, 40), cached: [Int] = []
    for turn in 0..<4 {
      var request = request(UInt64(turn), tokens: 12)
      request.prompt = conversation
      let expected = decoder.plainly(request)
      request.memory = memory
      let outcome = try await engine.outcome(of: request)
      #expect(outcome.tokens == expected, "turn \(turn)")
      cached.append(try #require(outcome.statistics).cachedTokens)
      conversation += outcome.tokens + prompt(UInt64(50 + turn), 10)
    }
    // All but the last token of each answer, which was chosen but never read.
    #expect(cached == [0, 51, 73, 95])

    // Another beginning, the same text once more, and a shorter one.
    let other = prompt(11, 40)
    for prompt in [other, other, other.prefix(20) + [1], Array(other.prefix(5))] {
      var request = request(12)
      request.prompt = prompt
      let expected = decoder.plainly(request)
      request.memory = memory
      #expect(try await engine.outcome(of: request).tokens == expected)
    }
  }

  @Test func `gives a memory in use to nobody else`() async throws {
    let engine = engine(), memory = SequenceMemory(), receivers = (0..<3).map { _ in Receiver() }
    var shared = request(13, tokens: 30)
    let expected = decoder.plainly(shared)
    shared.memory = memory
    for receiver in receivers { _ = try engine.submit(shared) { receiver.receive($0) } }
    for receiver in receivers { #expect(await receiver.outcome().tokens == expected) }
  }

  @Test func `remembers what a cancelled request has read`() async throws {
    let engine = engine(batch: 16), memory = SequenceMemory(), receiver = Receiver()
    var long = request(14, prompt: 200, tokens: 10)
    let expected = decoder.plainly(long)
    long.memory = memory
    let ticket = Mutex<Engine.Ticket?>(nil)
    let made = try engine.submit(long) { event in
      if case .prompt(let read) = event, read >= 48 { ticket.withLock { $0?.cancel() } }
      return receiver.receive(event)
    }
    ticket.withLock { $0 = made }
    _ = await receiver.outcome()
    let again = try await engine.outcome(of: long)
    #expect(again.tokens == expected)
    #expect(try #require(again.statistics).cachedTokens > 0)
  }

  @Test func `takes requests from many tasks`() async throws {
    let engine = engine(sequences: 5), expected = (0..<6).map { decoder.plainly(request(UInt64($0), tokens: 8)) }
    let results = try await withThrowingTaskGroup(of: (Int, [Int32]).self) { group in
      for task in 0..<30 {
        group.addTask { (task % 6, try await engine.outcome(of: request(UInt64(task % 6), tokens: 8)).tokens) }
      }
      return try await group.reduce(into: []) { $0.append($1) }
    }
    #expect(results.count == 30)
    for (index, tokens) in results { #expect(tokens == expected[index]) }
  }

  @Test func `finishes everything when it is thrown away, and lets go of the model`() async throws {
    weak var storage: Storage?
    let receivers = (0..<6).map { _ in Receiver() }
    do {
      var random = RandomDecoder()
      random.seed = 3
      let decoder = try random.make(backend: CPUBackend(threads: 2))
      storage = decoder.embedding.weight.storage
      var options = Engine.Options()
      options.sequences = 3
      let engine = Engine(decoder, options: options)
      for (index, receiver) in receivers.enumerated() {
        _ = try engine.submit(request(UInt64(index), tokens: 1000)) { receiver.receive($0) }
      }
      #expect(storage != nil)
    }
    for receiver in receivers {
      let outcome = await receiver.outcome()
      #expect(outcome.reason == .cancelled && outcome.finishes == 1)
    }
    for _ in 0..<500 where storage != nil { try await Task.sleep(for: .milliseconds(10)) }
    #expect(storage == nil)
    for receiver in receivers { #expect(receiver.now.eventsAfterFinish == 0) }
  }

  @Test func `can be let go by its own receiver`() async throws {
    let holder = Holder(engine()), receiver = Receiver()
    try holder.withEngine { engine in
      _ = try engine?.submit(request(15, tokens: 300)) { event in
        if case .token = event { holder.drop() }
        return receiver.receive(event)
      }
    }
    #expect(await receiver.outcome().reason == .cancelled)
  }
}

/// Holds the last reference to an engine.
private final class Holder: Sendable {
  private let engine: Mutex<Engine?>

  init(_ engine: Engine) { self.engine = Mutex(engine) }

  func drop() { engine.withLock { $0 = nil } }

  func withEngine(_ body: (Engine?) throws -> Void) rethrows { try engine.withLock { try body($0) } }
}
