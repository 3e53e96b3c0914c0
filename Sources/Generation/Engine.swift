// The batching engine: one thread that advances all running sequences together, one forward pass at a time.
import Foundation
import Models
import Synchronization
import Tensors

/// A sequence to continue.
public struct EngineRequest: Sendable {
  /// The tokens so far; not empty.
  public var prompt: [Int32]
  public var sampling: SamplingOptions
  /// The most tokens to generate; nil for as many as the context holds.
  public var maximumTokens: Int?
  /// Tokens that end the sequence and are not part of it.
  public var stopTokens: Set<Int32>
  /// What was computed for an earlier request; the prompt's common beginning is not computed again.
  public var memory: SequenceMemory?

  public init(
    prompt: [Int32], sampling: SamplingOptions = SamplingOptions(), maximumTokens: Int? = nil,
    stopTokens: Set<Int32> = [], memory: SequenceMemory? = nil
  ) {
    self.prompt = prompt
    self.sampling = sampling
    self.maximumTokens = maximumTokens
    self.stopTokens = stopTokens
    self.memory = memory
  }
}

/// Why a sequence ended.
public enum FinishReason: String, Sendable, Codable {
  /// A stop token, or the receiver had enough.
  case stop
  /// The most tokens that were allowed, or the end of the context.
  case length
  case cancelled
}

/// How a request went. Durations are in seconds.
public struct GenerationStatistics: Sendable {
  public var promptTokens = 0
  /// Tokens of the prompt that were remembered from an earlier request.
  public var cachedTokens = 0
  public var generatedTokens = 0
  /// From the request's arrival to its first token.
  public var timeToFirstToken = 0.0
  /// From the first token to the last.
  public var generationTime = 0.0

  /// Prompt tokens computed per second.
  public var promptRate: Double {
    timeToFirstToken > 0 ? Double(promptTokens - cachedTokens) / timeToFirstToken : 0
  }
  /// Tokens generated per second after the first.
  public var generationRate: Double { generationTime > 0 ? Double(generatedTokens - 1) / generationTime : 0 }
}

/// What the engine tells of a request, in order, on its own thread.
public enum EngineEvent: Sendable {
  /// So many of the prompt's tokens have been read.
  case prompt(read: Int)
  case token(Int32)
  case finished(FinishReason, GenerationStatistics)
}

/// The cache of one sequence between requests, so that a conversation is not read anew with every turn.
public final class SequenceMemory: @unchecked Sendable {  // used by the engine's thread only, one request at a time
  fileprivate var cache: KeyValueCache?
  fileprivate var tokens: [Int32] = []
  fileprivate let isInUse = Atomic<Bool>(false)

  public init() {}
}

/// Runs requests for one model. Sequences share each forward pass, and none of them changes another's tokens.
public final class Engine: Sendable {
  /// Sizes of the engine's work.
  public struct Options: Sendable {
    /// The most tokens of one forward pass.
    public var batchTokens = 512
    /// The most sequences that run at once; others wait.
    public var sequences = 64
    public var cacheType = CacheType.i16
    /// Tokens that a sequence may have; nil for what the model was trained for.
    public var contextLength: Int?

    public init() {}
  }

  public let model: Decoder
  public let contextLength: Int
  private let loop: Loop

  public init(_ model: Decoder, options: Options = Options()) {
    self.model = model
    contextLength = min(options.contextLength ?? .max, model.configuration.contextLength)
    let loop = Loop(model, options: options, contextLength: contextLength)
    self.loop = loop
    let thread = Thread { loop.run() }
    thread.name = "malmoi engine"
    thread.stackSize = 8 << 20
    thread.start()
  }

  deinit { loop.stop() }

  /// Ends a request before its time.
  public struct Ticket: Sendable {
    fileprivate let cancelled = Flag()

    /// The sequence ends with ``FinishReason/cancelled`` before its next forward pass.
    public func cancel() { cancelled.value.store(true, ordering: .relaxed) }
  }

  fileprivate final class Flag: Sendable {
    let value = Atomic<Bool>(false)
  }

  /// Starts a request.
  /// - Parameter receive: called on the engine's thread for every event, which it must not hold up; for a token it
  ///   returns whether to go on. `finished` comes exactly once, last.
  /// - Throws: ``GenerationError``, before anything runs.
  public func submit(
    _ request: EngineRequest, receive: @escaping @Sendable (EngineEvent) -> Bool
  ) throws(GenerationError) -> Ticket {
    try request.sampling.validate()
    guard !request.prompt.isEmpty else { throw .emptyPrompt }
    let vocabulary = model.configuration.vocabulary
    if let token = request.prompt.first(where: { $0 < 0 || Int($0) >= vocabulary }) {
      throw .unknownToken(token, vocabulary: vocabulary)
    }
    guard request.prompt.count < contextLength else {
      throw .exceededContextWindowSize(promptTokens: request.prompt.count, contextLength: contextLength)
    }
    if let most = request.maximumTokens, most < 1 { throw .invalidOption("the most tokens is \(most), not 1 or more") }
    let ticket = Ticket()
    loop.add(Sequence(
      request, ticket: ticket, contextLength: contextLength, layout: loop.layout, receive: receive))
    return ticket
  }
}

/// One request on its way. Belongs to the engine's thread once it has been added.
private final class Sequence: @unchecked Sendable {
  let request: EngineRequest
  let ticket: Engine.Ticket
  private let receive: @Sendable (EngineEvent) -> Bool
  private let limit: Int
  private let arrival = ContinuousClock.now
  private var firstToken: ContinuousClock.Instant?
  private let memory: SequenceMemory
  private(set) var tokens: [Int32]
  private var sampler: Sampler
  private var statistics = GenerationStatistics()
  let cache: KeyValueCache
  private(set) var isFinished = false

  init(
    _ request: EngineRequest, ticket: Engine.Ticket, contextLength: Int, layout: PageLayout,
    receive: @escaping @Sendable (EngineEvent) -> Bool
  ) {
    self.request = request
    self.ticket = ticket
    self.receive = receive
    limit = min(request.prompt.count + min(request.maximumTokens ?? contextLength, contextLength), contextLength)
    tokens = request.prompt
    sampler = Sampler(request.sampling)
    // A memory that another request is using is left alone: this one reads its prompt anew.
    let wanted = request.memory ?? SequenceMemory()
    memory = wanted.isInUse.exchange(true, ordering: .acquiringAndReleasing) ? SequenceMemory() : wanted
    cache = memory.cache ?? KeyValueCache(layout)
    let common = zip(memory.tokens, tokens).prefix { $0 == $1 }.count
    cache.truncate(to: min(common, tokens.count - 1))  // the last token's scores are always wanted
    memory.cache = cache
    statistics.promptTokens = tokens.count
    statistics.cachedTokens = cache.count
  }

  /// Tokens that the cache does not hold yet.
  var pending: ArraySlice<Int32> { tokens[cache.count...] }
  var isReadingPrompt: Bool { cache.count < request.prompt.count - 1 }
  var isCancelled: Bool { ticket.cancelled.value.load(ordering: .relaxed) }

  func didRead() {
    if cache.count < request.prompt.count { _ = receive(.prompt(read: cache.count)) }
  }

  func choose(from logits: UnsafeMutableBufferPointer<Float>) {
    let token = sampler.sample(logits, recent: tokens)
    if request.stopTokens.contains(token) { return finish(.stop) }
    if firstToken == nil {
      firstToken = .now
      _ = receive(.prompt(read: request.prompt.count))
    }
    tokens.append(token)
    statistics.generatedTokens += 1
    if !receive(.token(token)) { finish(.stop) } else if tokens.count >= limit { finish(.length) }
  }

  func finish(_ reason: FinishReason) {
    guard !isFinished else { return }
    isFinished = true
    let end = ContinuousClock.now
    statistics.timeToFirstToken = ((firstToken ?? end) - arrival) / .seconds(1)
    statistics.generationTime = (end - (firstToken ?? end)) / .seconds(1)
    memory.tokens = Array(tokens.prefix(cache.count))
    memory.isInUse.store(false, ordering: .releasing)
    _ = receive(.finished(reason, statistics))
  }
}

/// The engine's thread: takes up requests, batches, samples.
private final class Loop: @unchecked Sendable {  // `waiting` and `isStopping` are guarded by `condition`
  let layout: PageLayout
  private let model: Decoder
  private let options: Engine.Options
  private let condition = NSCondition()
  private var waiting: [Sequence] = []
  private var isStopping = false

  /// No more sequences than a forward pass has tokens: then each of them advances with every pass.
  private var mostRunning: Int { max(1, min(options.sequences, options.batchTokens)) }

  init(_ model: Decoder, options: Engine.Options, contextLength: Int) {
    self.model = model
    self.options = options
    layout = model.configuration.pageLayout(options.cacheType)
  }

  func add(_ sequence: Sequence) {
    condition.lock()
    waiting.append(sequence)
    condition.signal()
    condition.unlock()
  }

  func stop() {
    condition.lock()
    isStopping = true
    condition.signal()
    condition.unlock()
  }

  func run() {
    var running: [Sequence] = []
    while true {
      condition.lock()
      while waiting.isEmpty, running.isEmpty, !isStopping { condition.wait() }
      let ends = isStopping
      var over: [Sequence] = [], stillWaiting: [Sequence] = []
      for sequence in waiting {
        if ends || sequence.isCancelled {
          over.append(sequence)  // a cancelled sequence need not wait for its turn to end
        } else if running.count < mostRunning {
          running.append(sequence)
        } else {
          stillWaiting.append(sequence)
        }
      }
      waiting = stillWaiting
      condition.unlock()
      for sequence in over + running where ends || sequence.isCancelled { sequence.finish(.cancelled) }
      if ends { return }
      running.removeAll(where: \.isFinished)
      step(running)
      running.removeAll(where: \.isFinished)
    }
  }

  /// One forward pass: a token of every sequence that is being written, then as much of prompts as fits.
  private func step(_ running: [Sequence]) {
    var room = max(1, options.batchTokens), batch: [(sequence: Sequence, tokens: ArraySlice<Int32>)] = []
    let writing = running.filter { !$0.isReadingPrompt }, reading = running.filter(\.isReadingPrompt)
    for sequence in writing + reading where room > 0 {
      let tokens = sequence.pending.prefix(room)
      room -= tokens.count
      batch.append((sequence, tokens))
    }
    guard !batch.isEmpty else { return }
    let context = PagedContext(batch.map { ($0.sequence.cache, $0.tokens.count) })
    let states = model(batch.flatMap(\.tokens), context)
    var lastRows: [Int32] = [], ready: [Sequence] = [], row = 0
    for (sequence, tokens) in batch {
      row += tokens.count
      if sequence.pending.isEmpty {
        lastRows.append(Int32(row - 1))
        ready.append(sequence)
      } else {
        sequence.didRead()
      }
    }
    guard !ready.isEmpty else { return }
    let logits = model.logits(states.rows(at: lastRows)), vocabulary = logits.shape[1]
    withExtendedLifetime(logits) {
      for (index, sequence) in ready.enumerated() {
        sequence.choose(from: UnsafeMutableBufferPointer(
          rebasing: logits.floats[index * vocabulary..<(index + 1) * vocabulary]))
      }
    }
  }
}
