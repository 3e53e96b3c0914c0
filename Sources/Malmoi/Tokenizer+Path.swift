// A tokenizer alone, without a model's weights.
import Checkpoints
import Foundation
import Tensors
import Tokenization

extension Tokenizer {
  /// The tokenizer of a GGUF file, of a Hugging Face folder, or of a `tokenizer.json` by itself.
  /// - Throws: `TokenizerError` or `CheckpointError` that names the file and what is wrong with it.
  public convenience init(anyAt path: String) throws {
    var isFolder: ObjCBool = false
    _ = FileManager.default.fileExists(atPath: path, isDirectory: &isFolder)
    if isFolder.boolValue {
      try self.init(folder: path)
    } else if path.hasSuffix(".json") {
      let file = try MappedFile(path: path)
      try self.init(tokenizerJSON: withExtendedLifetime(file) { Array(file.bytes) }, file: path)
    } else {
      try self.init(GGUFFile(path: path).tokenizerVocabulary())
    }
  }
}
