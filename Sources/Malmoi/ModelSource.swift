// A model's files before they are a model: a GGUF file, which has everything, or a Hugging Face folder.
import ChatTemplates
import Checkpoints
import Models
import Tokenization

/// A GGUF file or a folder as Hugging Face publishes models, opened and checked.
public struct ModelSource: Sendable {
  public let path: String
  /// Metadata and tensors.
  public let checkpoint: any Checkpoint
  /// Whether the model continues text, reads it, or writes one text from another.
  public let shape: ModelShape
  let tokenizerFolder: TokenizerFolder?

  /// - Throws: `CheckpointError` that names the file and the field or tensor, and what was expected.
  public init(path: String) throws {
    self.path = path
    checkpoint = try ModelRegistry.open(path)
    shape = try ModelRegistry.shape(of: checkpoint)
    tokenizerFolder = checkpoint is GGUFFile ? nil : try TokenizerFolder(path: path)
  }

  /// - Throws: `TokenizerError`, or `CheckpointError` for what a GGUF file says of it.
  public func tokenizer() throws -> Tokenizer {
    if let file = checkpoint as? GGUFFile { return try Tokenizer(file.tokenizerVocabulary()) }
    return try Tokenizer(folder: path)
  }

  /// The tokenizer, for a model that knows so many tokens.
  /// - Throws: `CheckpointError` where it knows fewer than the tokenizer has.
  func tokenizer(vocabulary: Int) throws -> Tokenizer { try checked(tokenizer(), vocabulary: vocabulary) }

  func checked(_ tokenizer: Tokenizer, vocabulary: Int) throws -> Tokenizer {
    guard tokenizer.vocabularyCount <= vocabulary else {
      throw CheckpointError(
        path: path, field: "tokenizer",
        message: "\(tokenizer.vocabularyCount) tokens, of which the embedding has \(vocabulary)")
    }
    return tokenizer
  }

  /// The text of the chat template; nil where there is none.
  public func chatTemplate() throws -> String? {
    if let file = checkpoint as? GGUFFile { return try file.chatTemplate() }
    return tokenizerFolder?.chatTemplate
  }

  /// The most tokens of a text, as the tokenizer's files state it.
  var tokenizerLimit: Int? { tokenizerFolder?.modelMaximumLength }

  /// An error where the model has not the shape that is asked for.
  func fault(_ message: String) -> CheckpointError { CheckpointError(path: path, message: message) }
}
