// A model that is ready to write: weights, tokenizer, chat template, engine.
@_exported import Adapters
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
    /// How tokens are guessed ahead, which changes the speed and no token.
    public var speculation = Speculation.lookup
    /// The GGUF file of a smaller model with the same vocabulary, which then guesses in place of `speculation`.
    public var draftModel: String?
    /// What was learnt beside the model, put into it while it is loaded; nothing is merged.
    public var adapters: [AdapterReference]

    public init(
      threads: Int? = nil, contextLength: Int? = nil, cacheType: CacheType = .i16, batchTokens: Int = 512,
      speculation: Speculation = .lookup, draftModel: String? = nil, adapters: [AdapterReference] = []
    ) {
      self.threads = threads
      self.contextLength = contextLength
      self.cacheType = cacheType
      self.batchTokens = batchTokens
      self.speculation = speculation
      self.draftModel = draftModel
      self.adapters = adapters
    }
  }

  /// What the model was loaded as.
  public let name: String
  public let source: ModelSource
  public let tokenizer: Tokenizer
  /// Nil for a model that continues text and cannot chat.
  public let chatTemplate: ChatTemplate?
  public let engine: Engine
  public var decoder: Decoder { engine.model }
  public var contextLength: Int { engine.contextLength }

  /// Loads a decoder from a GGUF file or a Hugging Face folder.
  /// - Throws: `CheckpointError`, `TokenizerError` or `TemplateError`, each naming what is wrong with the file.
  ///   A draft model of another vocabulary is a `CheckpointError` of its file, an adapter that does not fit an
  ///   `AdapterError`.
  public init(path: String, name: String? = nil, options: Options = Options()) throws {
    self.name = name ?? path
    let source = try ModelSource(path: path)
    self.source = source
    guard source.shape == .decoder else {
      throw source.fault("a model that \(source.shape == .encoder ? "reads" : "rewrites") texts and does not continue them")
    }
    // The tokenizer and the weights need nothing of each other.
    let made = Box<Result<Tokenizer, any Error>>()
    let ready = DispatchGroup()
    DispatchQueue.global().async(group: ready) {
      made.value = Result { try source.tokenizer() }
    }
    let backend = options.threads.map { CPUBackend(threads: $0) } ?? CPUBackend.shared
    let decoder = Result { try Decoder(source.checkpoint, backend: backend) }
    ready.wait()
    let tokenizer = try made.value?.get() ?? source.tokenizer()
    self.tokenizer = tokenizer
    var model = try decoder.get()
    try model.apply(options.adapters, of: source.checkpoint)
    _ = try source.checked(tokenizer, vocabulary: model.configuration.vocabulary)
    chatTemplate = try source.chatTemplate().map { try ChatTemplate(source: $0) }
    var engineOptions = Engine.Options()
    engineOptions.batchTokens = options.batchTokens
    engineOptions.cacheType = options.cacheType
    engineOptions.contextLength = options.contextLength
    engineOptions.speculation = try options.draftModel.map {
      .draftModel(try Self.draftModel(path: $0, for: tokenizer, of: path, backend: backend))
    } ?? options.speculation
    engine = Engine(model, options: engineOptions)
  }

  /// A model whose guesses mean the same texts as `target`'s tokens.
  private static func draftModel(
    path: String, for target: Tokenizer, of targetPath: String, backend: any Backend
  ) throws -> Decoder {
    let source = try ModelSource(path: path), own = try source.tokenizer()
    func differs(_ message: String) -> CheckpointError {
      CheckpointError(path: path, field: "tokenizer", message: "\(message): it cannot draft for \(targetPath)")
    }
    guard own.vocabularyCount == target.vocabularyCount else {
      throw differs("\(own.vocabularyCount) tokens, not \(target.vocabularyCount)")
    }
    if let token = (0..<Int32(own.vocabularyCount)).first(where: { own.piece(of: $0) != target.piece(of: $0) }) {
      throw differs("token \(token) is not the same")
    }
    return try Decoder(source.checkpoint, backend: backend)
  }

  /// Loads a model by name, fetching it first where it is not on this machine.
  ///
  /// - Parameters:
  ///   - reference: a name of the catalog such as `smollm2`, `hf:owner/repository[:file]`, or the path of a GGUF file.
  ///   - options: the draft model may be named as the model is.
  ///   - hub: where models are kept and fetched from; nil for this user's.
  ///   - progress: called while the model is fetched.
  /// - Throws: `HubError` when the model cannot be had, and what ``init(path:name:options:)`` throws.
  public static func load(
    _ reference: String, options: Options = Options(), hub: Hub? = nil,
    progress: @escaping @Sendable (PullProgress) -> Void = { _ in }
  ) async throws -> LanguageModel {
    let hub = try hub ?? Hub(configuration: HubConfiguration())
    let local = try await hub.pull(hub.reference(reference), progress: progress)
    var options = options
    if let draft = options.draftModel {
      options.draftModel = try await hub.pull(hub.reference(draft), progress: progress).path
    }
    return try LanguageModel(path: local.path, name: local.name, options: options)
  }
}

/// Carries a value from one thread to another that waits for it.
private final class Box<Value>: @unchecked Sendable {
  var value: Value?
}
