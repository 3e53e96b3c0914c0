// An engine whose model begins every text with virtual tokens: nobody sees them, and no rule changes.
import Adapters
import Foundation
import Generation
import Models
import Tensors
import TestSupport
import Testing

@Suite struct `An engine with learnt virtual tokens` {
  private static let methods: [AdapterConfiguration] = [.init(.prefix(tokens: 5)), .init(.prompt(tokens: 5))]

  private func model(_ configuration: AdapterConfiguration) throws -> Decoder {
    var model = try Decoder(FamilyFixture("llama").checkpoint)
    try configuration.apply(to: &model, seed: 3)
    return model
  }

  private func request(_ prompt: [Int32], tokens: Int = 12) -> EngineRequest {
    var sampling = SamplingOptions()
    sampling.seed = 4
    return EngineRequest(prompt: prompt, sampling: sampling, maximumTokens: tokens)
  }

  @Test("remembers a conversation, and guesses, without changing its tokens", arguments: methods)
  func conversation(configuration: AdapterConfiguration) async throws {
    let model = try model(configuration), memory = SequenceMemory()
    var options = Engine.Options()
    options.batchTokens = 4
    let engine = Engine(model, options: options)
    #expect(engine.contextLength == 128 - 5)
    var conversation: [Int32] = [5, 9, 30, 12, 7, 7, 21, 5, 9, 30], cached: [Int] = []
    for turn in 0..<3 {
      var request = request(conversation)
      let expected = model.plainly(request)
      request.memory = memory
      let outcome = try await engine.outcome(of: request)
      #expect(outcome.tokens == expected, "turn \(turn)")
      cached.append(try #require(outcome.statistics).cachedTokens)
      #expect(outcome.reads.last == conversation.count && outcome.reads.allSatisfy { $0 >= 0 && $0 <= conversation.count })
      conversation += outcome.tokens + [3, 4, 5]
    }
    #expect(cached == [0, 21, 36])
    // Another text in the same memory.
    var other = request([40, 41])
    let expected = model.plainly(other)
    other.memory = memory
    #expect(try await engine.outcome(of: other).tokens == expected)
    // A draft model knows nothing of virtual tokens.
    options.speculation = .draftModel(try Decoder(FamilyFixture("llama").checkpoint))
    let drafted = try await Engine(model, options: options).outcome(of: request(conversation))
    #expect(drafted.tokens == model.plainly(request(conversation)))
  }

  @Test("has room for fewer tokens", arguments: methods)
  func room(configuration: AdapterConfiguration) async throws {
    let model = try model(configuration), engine = Engine(model)
    let long = [Int32](repeating: 7, count: 120)
    let outcome = try await engine.outcome(of: request(long, tokens: 50))
    #expect(outcome.tokens.count == 3 && outcome.reason == .length)
    #expect(throws: GenerationError.self) { try engine.submit(request(long + [7, 7, 7])) { _ in true } }
  }

  @Test("scores a text as one pass over all of it does", arguments: methods)
  func scores(configuration: AdapterConfiguration) throws {
    let model = try model(configuration), tokens: [Int32] = [5, 9, 30, 12, 7, 7, 21]
    let found = try model.score(tokens).compactMap(\.logProbability), all = model.virtualTokens + tokens
    let cache = KeyValueCache(model.configuration.pageLayout(.i16))
    let logits = model.logits(model(all, PagedContext([(cache, all.count)])))
    let sums = model.backend.logSumExp(logits).values, values = logits.values
    let expected = (0..<tokens.count - 1).map { values[(5 + $0) * 48 + Int(tokens[$0 + 1])] - sums[5 + $0] }
    #expect(zip(found, expected).allSatisfy { abs($0 - $1) < 1e-6 } && found.count == expected.count)
    #expect(throws: GenerationError.self) { try model.score([Int32](repeating: 1, count: 124)) }
  }
}
