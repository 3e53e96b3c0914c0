// A folder as Hugging Face models are published in: which of its files make the tokenizer, and what the others add.
import Foundation
import JSON

/// The tokenizer files of a model folder.
///
/// Read is `tokenizer.json`; or else `tokenizer.model` (SentencePiece), `vocab.json` with `merges.txt` or `vocab.txt`.
/// Special tokens and templates come from `tokenizer_config.json`, `special_tokens_map.json`, `generation_config.json`,
/// `config.json`, `chat_template.jinja` and `chat_template.json`, where they are there.
public struct TokenizerFolder: Sendable {
  /// The files of which one has to be there.
  static let tokenizerFiles = ["tokenizer.json", "tokenizer.model", "spiece.model", "vocab.json", "vocab.txt"]

  public let path: String
  let configuration: TokenizerConfiguration

  /// - Throws: ``TokenizerError`` for configuration files that cannot be used.
  public init(path: String) throws {
    self.path = path
    configuration = try TokenizerConfiguration(folder: path)
  }

  /// The chat template; nil if there is none.
  public var chatTemplate: String? {
    configuration.chatTemplates["default"] ?? configuration.chatTemplates.min { $0.key < $1.key }?.value
  }

  /// All chat templates by name; the one that has none is called `default`.
  public var chatTemplates: [String: String] { configuration.chatTemplates }

  /// The most tokens the model takes, as the tokenizer's configuration says; nil where it says nothing of use.
  public var modelMaximumLength: Int? { configuration.modelMaximumLength }

  /// Whether there is a file to make a tokenizer of.
  public var hasTokenizer: Bool {
    Self.tokenizerFiles.contains { FileManager.default.fileExists(atPath: path + "/" + $0) }
  }

  /// - Throws: ``TokenizerError`` that names the file and the field.
  public func tokenizer() throws -> Tokenizer { try Tokenizer(definition()) }

  func definition() throws -> TokenizerDefinition {
    var definition = try baseDefinition()
    try configuration.complete(&definition)
    return definition
  }

  private func baseDefinition() throws -> TokenizerDefinition {
    for name in Self.tokenizerFiles {
      guard let bytes = try Self.read(name, in: path) else { continue }
      let file = path + "/" + name
      switch name {
      case "tokenizer.json": return try TokenizerJSON(bytes, file: file).definition()
      case "tokenizer.model", "spiece.model":
        return try SentencePieceModel(bytes, file: file).definition(configuration)
      case "vocab.json":
        guard let merges = try Self.read("merges.txt", in: path) else { continue }
        return try TokenizerDefinition(
          vocabulary: bytes, file: file, merges: merges, mergesFile: path + "/merges.txt", configuration)
      default: return try TokenizerDefinition(wordPieces: bytes, file: file, configuration)
      }
    }
    throw TokenizerError.noTokenizerFile(folder: path, expected: Self.tokenizerFiles)
  }

  /// The bytes of a file; nil if it is not there.
  static func read(_ name: String, in folder: String) throws -> [UInt8]? {
    let file = folder + "/" + name
    guard FileManager.default.fileExists(atPath: file) else { return nil }
    do {
      return [UInt8](try Data(contentsOf: URL(fileURLWithPath: file), options: .mappedIfSafe))
    } catch {
      throw TokenizerError.malformedFile(file, field: nil, reason: "cannot be read")
    }
  }

  /// A file as JSON; nil if it is not there.
  static func readJSON(_ name: String, in folder: String) throws -> JSONField? {
    guard let bytes = try read(name, in: folder) else { return nil }
    do {
      return JSONField(try JSONValue(parsing: bytes))
    } catch {
      throw TokenizerError(error, file: folder + "/" + name)
    }
  }
}

extension Tokenizer {
  /// The tokenizer of a Hugging Face model folder.
  /// - Throws: ``TokenizerError`` that names the file and the field.
  public convenience init(folder: String) throws {
    try self.init(TokenizerFolder(path: folder).definition())
  }
}
