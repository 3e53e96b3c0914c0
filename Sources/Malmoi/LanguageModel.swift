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
    /// How tokens are guessed ahead, which changes the speed and no token.
    public var speculation = Speculation.lookup
    /// The GGUF file of a smaller model with the same vocabulary, which then guesses in place of `speculation`.
    public var draftModel: String?

    public init(
      threads: Int? = nil, contextLength: Int? = nil, cacheType: CacheType = .i16, batchTokens: Int = 512,
      speculation: Speculation = .lookup, draftModel: String? = nil
    ) {
      self.threads = threads
      self.contextLength = contextLength
      self.cacheType = cacheType
      self.batchTokens = batchTokens
      self.speculation = speculation
      self.draftModel = draftModel
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
  ///   A draft model of another vocabulary is a `CheckpointError` of its file.
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
    let backend = options.threads.map { CPUBackend(threads: $0) } ?? CPUBackend.shared
    let decoder = Result { try Decoder(file, backend: backend) }
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
    engineOptions.speculation = try options.draftModel.map {
      .draftModel(try Self.draftModel(path: $0, for: file, backend: backend))
    } ?? options.speculation
    engine = Engine(model, options: engineOptions)
  }

  /// A model whose guesses mean the same texts as `target`'s tokens.
  private static func draftModel(path: String, for target: GGUFFile, backend: any Backend) throws -> Decoder {
    let file = try GGUFFile(path: path)
    let own = try file.tokenizerVocabulary().pieces, wanted = try target.tokenizerVocabulary().pieces
    func differs(_ message: String) -> CheckpointError {
      CheckpointError(
        path: path, field: "tokenizer.ggml.tokens", message: "\(message): it cannot draft for \(target.path)")
    }
    guard own.count == wanted.count else { throw differs("\(own.count) tokens, not \(wanted.count)") }
    guard own.bytes == wanted.bytes, own.offsets == wanted.offsets else {
      let first = own.indices.first { !own[$0].elementsEqual(wanted[$0]) }
      throw differs("token \(first ?? 0) is not the same")
    }
    return try Decoder(file, backend: backend)
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
