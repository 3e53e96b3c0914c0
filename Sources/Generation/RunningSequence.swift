// One request on its way: what it has, what it still wants, and what it tells of itself.
import Foundation
import Synchronization
import Tensors

/// The cache of one sequence between requests, so that a conversation is not read anew with every turn.
public final class SequenceMemory: @unchecked Sendable {  // used by the engine's thread only, one request at a time
  fileprivate var cache: KeyValueCache?
  fileprivate var drafter: (any Drafter)?
  fileprivate var tokens: [Int32] = []
  fileprivate let isInUse = Atomic<Bool>(false)

  public init() {}
}

/// A sequence that the engine continues. Belongs to the engine's thread once it has been added.
final class RunningSequence: @unchecked Sendable {
  let request: EngineRequest
  private let ticket: Engine.Ticket
  private let receive: @Sendable (EngineEvent) -> Bool
  private let limit: Int
  /// What an adapter puts before the prompt: the cache holds it first, and nobody is told of it.
  private let virtualTokens: [Int32]
  private let arrival = ContinuousClock.now
  private var firstToken: ContinuousClock.Instant?
  private let memory: SequenceMemory
  private var tokens: [Int32]
  private var sampler: Sampler
  private let speculator: Speculator?
  private var statistics = GenerationStatistics()
  let cache: KeyValueCache
  private(set) var isFinished = false

  init(
    _ request: EngineRequest, after virtualTokens: [Int32], ticket: Engine.Ticket, contextLength: Int,
    layout: PageLayout, options: Engine.Options,
    receive: @escaping @Sendable (EngineEvent) -> Bool
  ) {
    self.request = request
    self.ticket = ticket
    self.receive = receive
    limit = min(request.prompt.count + min(request.maximumTokens ?? contextLength, contextLength), contextLength)
    self.virtualTokens = virtualTokens
    tokens = request.prompt
    sampler = Sampler(request.sampling)
    // A memory that another request is using is left alone: this one reads its prompt anew.
    let wanted = request.memory ?? SequenceMemory()
    memory = wanted.isInUse.exchange(true, ordering: .acquiringAndReleasing) ? SequenceMemory() : wanted
    cache = memory.cache ?? KeyValueCache(layout)
    let common = zip(memory.tokens, tokens).prefix { $0 == $1 }.count
    cache.truncate(to: virtualTokens.count + min(common, tokens.count - 1))  // the last token's scores are always wanted
    memory.cache = cache
    let kept = memory.drafter, drafter = options.speculation.makeDrafter.map { kept ?? $0(options) }
    drafter?.forget(after: common)
    memory.drafter = drafter
    speculator = drafter.map { Speculator($0, lossLimit: options.speculation.lossLimit) }
    statistics.promptTokens = tokens.count
    statistics.cachedTokens = readCount
  }

  /// Tokens of the text that the cache holds.
  private var readCount: Int { max(0, cache.count - virtualTokens.count) }

  var isReadingPrompt: Bool { cache.count < virtualTokens.count + request.prompt.count - 1 }
  var isCancelled: Bool { ticket.isCancelled }

  /// What the next pass may read: tokens that the cache does not hold yet, and guesses at what follows them.
  var pending: [Int32] { virtualTokens.dropFirst(cache.count) + tokens[readCount...] + draft }
  /// The guesses that the next pass checks.
  var draft: [Int32] { speculator?.draft ?? [] }
  /// Whether a pass has read all tokens, so that another one can be chosen.
  var isRead: Bool { cache.count >= virtualTokens.count + tokens.count }

  /// Guesses at most `most` tokens, fewer where the end is near: a pass gives one token more than it checks.
  func propose(atMost most: Int, vocabulary: Int, prices: PassCost.Prices) {
    speculator?.propose(
      after: tokens, atMost: min(most, limit - tokens.count - 1), vocabulary: vocabulary, prices: prices)
  }

  func didReadPart() {
    let count = readCount
    speculator?.read(tokens, upTo: count)
    if count < request.prompt.count { _ = receive(.prompt(read: count)) }
  }

  /// Chooses a token, and one more after each guess that was right.
  /// - Parameter logits: a row for the last token and for each guess.
  func choose(from logits: UnsafeMutableBufferPointer<Float>, prices: PassCost.Prices) {
    let draft = draft, vocabulary = logits.count / (draft.count + 1), held = tokens.count
    let isFirst = firstToken == nil
    var accepted = 0, reason: FinishReason?
    while true {
      let row = logits[accepted * vocabulary..<(accepted + 1) * vocabulary]
      let token = sampler.sample(UnsafeMutableBufferPointer(rebasing: row), recent: tokens)
      reason = take(token)
      guard reason == nil, accepted < draft.count, draft[accepted] == token else { break }
      accepted += 1
    }
    cache.truncate(to: virtualTokens.count + held + accepted)
    statistics.draftedTokens += draft.count
    statistics.acceptedTokens += accepted
    if let reason { return finish(reason) }
    speculator?.settle(accepted: accepted, prices: prices)
    if isFirst { speculator?.read(tokens, upTo: tokens.count - 1) }
  }

  /// - Returns: why the sequence ends with this token, if it does.
  private func take(_ token: Int32) -> FinishReason? {
    if request.stopTokens.contains(token) { return .stop }
    if firstToken == nil {
      firstToken = .now
      _ = receive(.prompt(read: request.prompt.count))
    }
    tokens.append(token)
    statistics.generatedTokens += 1
    if !receive(.token(token)) { return .stop }
    if tokens.count >= limit { return .length }
    return isCancelled ? .cancelled : nil
  }

  func finish(_ reason: FinishReason) {
    guard !isFinished else { return }
    isFinished = true
    let end = ContinuousClock.now
    statistics.timeToFirstToken = ((firstToken ?? end) - arrival) / .seconds(1)
    statistics.generationTime = (end - (firstToken ?? end)) / .seconds(1)
    memory.tokens = Array(tokens.prefix(readCount))
    memory.isInUse.store(false, ordering: .releasing)
    _ = receive(.finished(reason, statistics))
  }
}
