// Listening to an engine, and doing its work without one.
import Generation
import Models
import Synchronization
import Tensors

/// All that the engine told of a request.
struct Outcome: Sendable {
  var tokens: [Int32] = []
  var reads: [Int] = []
  var reason: FinishReason?
  var statistics: GenerationStatistics?
  var finishes = 0
  var eventsAfterFinish = 0
}

/// Collects events on the engine's thread and hands them to a test's task.
final class Receiver: Sendable {
  private let state = Mutex((outcome: Outcome(), waiting: CheckedContinuation<Outcome, Never>?.none))
  private let onToken: @Sendable (Int) -> Bool

  /// - Parameter onToken: gets the number of tokens so far; returns whether to go on.
  init(onToken: @escaping @Sendable (Int) -> Bool = { _ in true }) {
    self.onToken = onToken
  }

  func receive(_ event: EngineEvent) -> Bool {
    let (count, resumed) = state.withLock { state in
      if state.outcome.finishes > 0 { state.outcome.eventsAfterFinish += 1 }
      switch event {
      case .prompt(let read): state.outcome.reads.append(read)
      case .token(let token): state.outcome.tokens.append(token)
      case .finished(let reason, let statistics):
        state.outcome.reason = reason
        state.outcome.statistics = statistics
        state.outcome.finishes += 1
        defer { state.waiting = nil }
        return (0, state.waiting.map { ($0, state.outcome) })
      }
      return (state.outcome.tokens.count, nil)
    }
    if let resumed { resumed.0.resume(returning: resumed.1) }
    if case .token = event { return onToken(count) }
    return true
  }

  /// How it stands; after ``outcome()``, whether anything came later.
  var now: Outcome { state.withLock(\.outcome) }

  func outcome() async -> Outcome {
    await withCheckedContinuation { continuation in
      let done = state.withLock { state in
        if state.outcome.finishes > 0 { return Outcome?.some(state.outcome) }
        state.waiting = continuation
        return nil
      }
      if let done { continuation.resume(returning: done) }
    }
  }
}

extension Engine {
  func outcome(of request: EngineRequest) async throws -> Outcome {
    let receiver = Receiver()
    _ = try submit(request) { receiver.receive($0) }
    return await receiver.outcome()
  }
}

extension Decoder {
  /// What a loop without an engine generates.
  func plainly(_ request: EngineRequest, cache type: CacheType = .i16) -> [Int32] {
    var sampler = Sampler(request.sampling), tokens = request.prompt, new = virtualTokens + request.prompt
    let cache = KeyValueCache(configuration.pageLayout(type))
    while tokens.count < request.prompt.count + (request.maximumTokens ?? 0) {
      let states = self(new, PagedContext([(cache, new.count)]))
      var logits = self.logits(states.rows(at: [Int32(new.count - 1)])).values
      new = [logits.withUnsafeMutableBufferPointer { sampler.sample($0, recent: tokens) }]
      tokens += new
    }
    return Array(tokens.dropFirst(request.prompt.count))
  }
}
