// The batching engine: what is asked of it and what it tells. EngineLoop.swift does the work.
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
  /// Tokens that were guessed ahead, and those of them that were then written.
  public var draftedTokens = 0
  public var acceptedTokens = 0
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
    /// How tokens are guessed ahead, which makes text that repeats faster and changes no token.
    public var speculation = Speculation.lookup

    public init() {}
  }

  public let model: Decoder
  /// The most tokens of a prompt and what follows.
  public let contextLength: Int
  /// What an adapter puts before every prompt.
  private let virtualTokens: [Int32]
  private let loop: EngineLoop

  public init(_ model: Decoder, options: Options = Options()) {
    self.model = model
    virtualTokens = model.virtualTokens
    contextLength = min(options.contextLength ?? .max, model.configuration.contextLength - virtualTokens.count)
    let loop = EngineLoop(model, options: options)
    self.loop = loop
    let thread = Thread { loop.run() }
    thread.name = "malmoi engine"
    thread.stackSize = 8 << 20
    thread.start()
  }

  deinit { loop.stop() }

  /// Ends a request before its time.
  public struct Ticket: Sendable {
    private let flag = Flag()

    /// The sequence ends with ``FinishReason/cancelled`` before its next token.
    public func cancel() { flag.value.store(true, ordering: .relaxed) }

    var isCancelled: Bool { flag.value.load(ordering: .relaxed) }
  }

  private final class Flag: Sendable {
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
    loop.add(RunningSequence(
      request, after: virtualTokens, ticket: ticket, contextLength: contextLength,
      layout: model.configuration.pageLayout(loop.options.cacheType), options: loop.options, receive: receive))
    return ticket
  }
}
