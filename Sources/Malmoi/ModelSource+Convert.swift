// The same model in another form: weights, tokenizer and chat template together.
import Checkpoints
import Foundation
import Models
import Tokenization

extension ModelSource {
  /// Writes a GGUF file that has everything: metadata, tensors, and the tokenizer and chat template if there are.
  /// - Parameter changed: the model's checkpoint after something was done to it; nil for it as it is.
  /// - Throws: `CheckpointError` where the file cannot be written, `TokenizerError` for a tokenizer that GGUF has no words
  ///   for.
  public func writeGGUF(_ changed: (any Checkpoint)? = nil, to path: String) throws {
    guard !FileManager.default.fileExists(atPath: path) || !Self.isSame(path, self.path) else {
      throw CheckpointError(path: path, message: "is the model itself")
    }
    var writer = try GGUFWriter(path: path, of: changed ?? checkpoint)
    try notePooling(in: &writer.metadata)
    if let folder = tokenizerFolder, folder.hasTokenizer {
      writer.metadata.set(try folder.vocabulary())
      if let template = folder.chatTemplate { writer.metadata.set("tokenizer.chat_template", .string(template)) }
      if writer.metadata["general.name"] == nil {
        writer.metadata.set("general.name", .string(URL(fileURLWithPath: self.path).lastPathComponent))
      }
    }
    try writer.write()
  }

  private static func isSame(_ one: String, _ other: String) -> Bool {
    URL(fileURLWithPath: one).resolvingSymlinksInPath() == URL(fileURLWithPath: other).resolvingSymlinksInPath()
  }

  /// Writes what belongs to a model beside its weights into a folder: the tokenizer's files, and how an encoder's texts
  /// become vectors.
  /// - Throws: `TokenizerError` for a tokenizer of which no files can be made, or what writing throws.
  public func writeCompanions(intoFolder folder: String) throws {
    try writePooling(intoFolder: folder)
    if tokenizerFolder != nil {
      for name in try FileManager.default.contentsOfDirectory(atPath: path)
      where name.hasPrefix("tokenizer") || ["sentence_bert_config.json", "vocab.txt", "vocab.json", "merges.txt", "special_tokens_map.json",
        "generation_config.json", "chat_template.jinja", "spiece.model"].contains(name)
      {
        try FileManager.default.copyItem(atPath: path + "/" + name, toPath: folder + "/" + name)
      }
      return
    }
    guard let file = checkpoint as? GGUFFile, file.metadata["tokenizer.ggml.model"] != nil else { return }
    for (name, text) in try file.tokenizerVocabulary().folderFiles(chatTemplate: chatTemplate()) {
      let file = try AtomicFile(path: folder + "/" + name)
      try Array(text.utf8).withUnsafeBytes(file.append)
      try file.commit()
    }
  }
}
