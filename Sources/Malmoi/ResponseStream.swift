// Text as it is written. Whoever lets go of the stream stops the work.
import Generation
import Synchronization
import Tokenization

/// The pieces of a response, in order. Each is whole characters. The generation ends at once when the loop over the
/// stream is left, when its task is cancelled, or by ``cancel()``.
public struct ResponseStream: AsyncSequence, Sendable {
  public typealias Element = String
  private let stream: AsyncThrowingStream<String, any Error>
  private let shared: Shared

  /// What is known once the stream has ended.
  public struct Outcome: Sendable {
    public var finishReason: FinishReason
    public var statistics: GenerationStatistics
    /// The whole response.
    public var text: String
  }

  fileprivate final class Shared: Sendable {
    let ticket = Mutex<Engine.Ticket?>(nil)
    let isCancelled = Atomic<Bool>(false)
    let text = Mutex("")
    let outcome = Mutex<Outcome?>(nil)

    func cancel() {
      isCancelled.store(true, ordering: .relaxed)
      ticket.withLock { $0?.cancel() }
    }
  }

  /// - Parameters:
  ///   - continuesText: whether the response goes on with the prompt's text, rather than answering it.
  ///   - finished: called once, on the engine's thread, before the stream ends.
  /// - Throws: ``GenerationError``, before anything runs.
  init(
    _ model: LanguageModel, prompt: [Int32], options: GenerationOptions, memory: SequenceMemory?, continuesText: Bool,
    reading: @escaping @Sendable (Int) -> Void = { _ in }, finished: @escaping @Sendable (Outcome) -> Void = { _ in }
  ) throws(GenerationError) {
    let shared = Shared()
    let (stream, continuation) = AsyncThrowingStream<String, any Error>.makeStream()
    self.stream = stream
    self.shared = shared
    let assembler = Mutex(
      TextAssembler(model.tokenizer, stopStrings: options.stopStrings, continuesText: continuesText))
    let request = EngineRequest(
      prompt: prompt, sampling: options.sampling, maximumTokens: options.maximumResponseTokens,
      stopTokens: Set(model.tokenizer.endOfGeneration), memory: memory)
    let say = { @Sendable (text: String) in
      guard !text.isEmpty else { return }
      shared.text.withLock { $0 += text }
      continuation.yield(text)
    }
    let ticket = try model.engine.submit(request) { event in
      switch event {
      case .prompt(let read):
        reading(read)
        return true
      case .token(let token):
        let (text, isStopped) = assembler.withLock { $0.append(token) }
        say(text)
        return !isStopped && !shared.isCancelled.load(ordering: .relaxed)
      case .finished(let reason, let statistics):
        say(assembler.withLock { $0.finish() })
        let isCancelled = shared.isCancelled.load(ordering: .relaxed)
        let outcome = Outcome(
          finishReason: isCancelled ? .cancelled : reason, statistics: statistics,
          text: shared.text.withLock { $0 })
        shared.outcome.withLock { $0 = outcome }
        finished(outcome)
        if isCancelled { continuation.finish(throwing: CancellationError()) } else { continuation.finish() }
        return false
      }
    }
    shared.ticket.withLock { $0 = ticket }
    continuation.onTermination = { reason in
      if case .cancelled = reason { shared.cancel() }
    }
  }

  /// A response that cannot begin.
  init(failure: any Error) {
    shared = Shared()
    stream = AsyncThrowingStream { $0.finish(throwing: failure) }
  }

  public struct AsyncIterator: AsyncIteratorProtocol {
    fileprivate var base: AsyncThrowingStream<String, any Error>.AsyncIterator
    fileprivate let owner: Owner

    public mutating func next() async throws -> String? {
      let piece = try await base.next(isolation: nil)
      // A cancelled task sees its stream end; that must not look like a finished answer.
      if piece == nil { try Task.checkCancellation() }
      return piece
    }
  }

  /// Stops the work when the last iterator goes.
  fileprivate final class Owner: Sendable {
    private let shared: Shared
    fileprivate init(_ shared: Shared) { self.shared = shared }
    deinit { if shared.outcome.withLock({ $0 == nil }) { shared.cancel() } }
  }

  public func makeAsyncIterator() -> AsyncIterator {
    AsyncIterator(base: stream.makeAsyncIterator(), owner: Owner(shared))
  }

  /// Ends the response where it is.
  public func cancel() { shared.cancel() }

  /// Nil until the stream has ended.
  public var outcome: Outcome? { shared.outcome.withLock { $0 } }
}
