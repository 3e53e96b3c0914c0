// A model that is ready to write: weights, tokenizer, chat template, engine.
@_exported import ChatTemplates
import Checkpoints
import Foundation
@_exported import Generation
@_exported import Hub
import Models
import Tensors
@_exported import Tokenization

/// A language model in memory. Any number of sessions and tasks may share it; what they ask for is computed together.
public final class LanguageModel: Sendable {
  /// How a model is brought into memory.
  public struct Options: Sendable {
    /// Threads of compute; nil for all processors.
    public var threads: Int?
    /// The most tokens of prompt and answer together; nil for what the model was trained for.
    public var contextLength: Int?
    public var cacheType = CacheType.i16
    /// The most tokens of one forward pass.
    public var batchTokens = 512

    public init(
      threads: Int? = nil, contextLength: Int? = nil, cacheType: CacheType = .i16, batchTokens: Int = 512
    ) {
      self.threads = threads
      self.contextLength = contextLength
      self.cacheType = cacheType
      self.batchTokens = batchTokens
    }
  }

  /// What the model was loaded as.
  public let name: String
  public let file: GGUFFile
  public let tokenizer: Tokenizer
  /// Nil for a model that continues text and cannot chat.
  public let chatTemplate: ChatTemplate?
  public let engine: Engine
  public var decoder: Decoder { engine.model }
  public var contextLength: Int { engine.contextLength }

  /// Loads a model from a GGUF file.
  /// - Throws: `CheckpointError`, `TokenizerError` or `TemplateError`, each naming what is wrong with the file.
  public init(path: String, name: String? = nil, options: Options = Options()) throws {
    self.name = name ?? path
    let file = try GGUFFile(path: path)
    self.file = file
    // The tokenizer and the weights need nothing of each other.
    let made = Box<Result<Tokenizer, any Error>>()
    let ready = DispatchGroup()
    DispatchQueue.global().async(group: ready) {
      made.value = Result { try Tokenizer(file.tokenizerVocabulary()) }
    }
    let decoder = Result {
      try Decoder(file, backend: options.threads.map { CPUBackend(threads: $0) } ?? CPUBackend.shared)
    }
    ready.wait()
    tokenizer = try made.value?.get() ?? Tokenizer(file.tokenizerVocabulary())
    let model = try decoder.get()
    guard tokenizer.vocabularyCount <= model.configuration.vocabulary else {
      throw CheckpointError(
        path: path, field: "tokenizer.ggml.tokens",
        message: "\(tokenizer.vocabularyCount) tokens, of which the embedding has \(model.configuration.vocabulary)")
    }
    chatTemplate = try file.chatTemplate().map { try ChatTemplate(source: $0) }
    var engineOptions = Engine.Options()
    engineOptions.batchTokens = options.batchTokens
    engineOptions.cacheType = options.cacheType
    engineOptions.contextLength = options.contextLength
    engine = Engine(model, options: engineOptions)
  }

  /// Loads a model by name, fetching it first where it is not on this machine.
  ///
  /// - Parameters:
  ///   - reference: a name of the catalog such as `smollm2`, `hf:owner/repository[:file]`, or the path of a GGUF file.
  ///   - hub: where models are kept and fetched from; nil for this user's.
  ///   - progress: called while the model is fetched.
  /// - Throws: `HubError` when the model cannot be had, and what ``init(path:name:options:)`` throws.
  public static func load(
    _ reference: String, options: Options = Options(), hub: Hub? = nil,
    progress: @escaping @Sendable (PullProgress) -> Void = { _ in }
  ) async throws -> LanguageModel {
    let hub = try hub ?? Hub(configuration: HubConfiguration())
    let local = try await hub.pull(hub.reference(reference), progress: progress)
    return try LanguageModel(path: local.path, name: local.name, options: options)
  }
}

/// Carries a value from one thread to another that waits for it.
private final class Box<Value>: @unchecked Sendable {
  var value: Value?
}
