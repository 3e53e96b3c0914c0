// Folders whose files do not fit one another: each is sound, or nearly, and the model must not believe the tokenizer.
import Checkpoints
import Foundation
import Malmoi
import TestSupport
import Testing
import Tokenization

@Suite struct HostileFolderTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  /// A tiny model's folder with this tokenizer.
  private func model(_ family: String, tokenizer: String) throws -> String {
    let source = try FamilyFixture(family).path, path = folder.path(family)
    try? FileManager.default.removeItem(atPath: path)
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
    for name in ["config.json", "model.safetensors"] {
      try FileManager.default.copyItem(atPath: source + "/" + name, toPath: path + "/" + name)
    }
    try folder.write(tokenizer.utf8, to: "\(family)/tokenizer.json")
    return path
  }

  /// Word pieces; `[S]` is put before a text, and the second of a pair has the type `second`.
  private func wordPieces(count: Int, start: Int? = 1, second: Int = 1) -> String {
    let pieces = (["[UNK]", "[S]", "a", "b"] + (4..<max(4, count)).map { "w\($0)" }).enumerated()
    let special = start.map { _ in #"{"SpecialToken":{"id":"[S]","type_id":0}},"# } ?? ""
    return #"""
      {"normalizer":{"type":"BertNormalizer"},"pre_tokenizer":{"type":"BertPreTokenizer"},
      "post_processor":{"type":"TemplateProcessing","single":[\#(special){"Sequence":{"id":"A","type_id":0}}],
      "pair":[{"Sequence":{"id":"A","type_id":0}},{"Sequence":{"id":"B","type_id":\#(second)}}],
      "special_tokens":{"[S]":{"id":"[S]","ids":[\#(start ?? 1)],"tokens":["[S]"]}}},
      "model":{"type":"WordPiece","unk_token":"[UNK]","vocab":{\#(pieces.map { "\"\($1)\":\($0)" }.joined(separator: ","))}}}
      """#
  }

  private func complaint(_ body: () throws -> Void) -> String? {
    do { try body() } catch { return "\(error)" }
    return nil
  }

  @Test func `segments that the model has not are refused, and the next text is fine`() throws {
    let encoder = try TextEncoder(path: model("bert-classes", tokenizer: wordPieces(count: 40, second: 5)), threads: 1)
    let found = complaint { _ = try encoder.labelScores(of: [("a", "b")]) }
    #expect(found?.contains("names segment 5, where the model has 2") == true, "\(found ?? "")")
    #expect(try encoder.labelScores(of: [("a", nil)]).count == 1)
    // DistilBERT has no segments, so none can be wrong.
    let without = try TextEncoder(path: model("distilbert-classes", tokenizer: wordPieces(count: 40, second: 5)), threads: 1)
    #expect(try without.labelScores(of: [("a", "b")]).first?.count == 3)
  }

  @Test func `tokens beyond the embedding are refused`() throws {
    let many = complaint { _ = try TextEncoder(path: model("bert-bare", tokenizer: wordPieces(count: 60)), threads: 1) }
    #expect(many?.contains("60 tokens, of which the embedding has 48") == true, "\(many ?? "")")
    let around = complaint { _ = try TextEncoder(path: model("bert-bare", tokenizer: wordPieces(count: 40, start: 47)), threads: 1) }
    #expect(around?.contains("tokenizer.json") == true, "\(around ?? "")")
  }

  @Test func `a text without tokens is refused by name, among others too`() throws {
    let bare = try TextEncoder(path: model("bert-bare", tokenizer: wordPieces(count: 40, start: nil)), threads: 1)
    for texts in [[""], ["a", " \n "]] {
      #expect(complaint { _ = try bare.embeddings(of: texts) }?.contains("a text has no tokens") == true)
    }
    #expect(try bare.embeddings(of: ["a"]).first?.count == 32)
    let marked = try TextEncoder(path: model("bert-bare", tokenizer: wordPieces(count: 40)), threads: 1)
    #expect(try marked.embeddings(of: [""]).first?.count == 32)
  }

  @Test func `tensors without elements are refused by name`() throws {
    let path = try model("bert-bare", tokenizer: wordPieces(count: 40))
    for (name, shape) in [("embeddings.word_embeddings.weight", [0, 32]), ("embeddings.LayerNorm.weight", [0])] {
      var writer = SafetensorsWriter(path: path + "/model.safetensors")
      let sound = try SafetensorsFile(path: FamilyFixture("bert-bare").path + "/model.safetensors")
      for tensor in sound.tensors {
        let isEmptied = tensor.name == name
        try writer.addTensor(
          tensor.name, elementType: tensor.elementType, shape: isEmptied ? shape : tensor.shape,
          bytes: isEmptied ? [] : Array(tensor.bytes))
      }
      try writer.write()
      let found = complaint { _ = try TextEncoder(path: path, threads: 1) }
      #expect(found?.contains(name) == true && found?.contains("is empty") == true, "\(found ?? "")")
    }
  }

  @Test func `a model of text and pictures is refused with what to do`() throws {
    let path = try model("bert-bare", tokenizer: wordPieces(count: 40))
    try folder.write(#"{"model_type":"gemma3","text_config":{"model_type":"gemma3_text"}}"#.utf8, to: "bert-bare/config.json")
    let found = complaint { _ = try ModelSource(path: path) }
    #expect(found?.contains("reads pictures beside text") == true && found?.contains("gemma3_text") == true, "\(found ?? "")")
  }

  @Test func `vocabularies of GGUF that contradict themselves make no files`() throws {
    var vocabulary = TokenizerVocabulary(model: .wordPiece, pieces: PackedStrings(["[UNK]", "[CLS]", "▁a", "a"]))
    vocabulary.unknown = 0
    #expect(try vocabulary.folderFiles(chatTemplate: nil).first?.text.contains("\"a\":2,\"##a\":3") == true)
    vocabulary.padding = 4
    #expect(throws: TokenizerError.self) { try vocabulary.folderFiles(chatTemplate: nil) }
    vocabulary.padding = nil
    vocabulary.pieces = PackedStrings(["[UNK]", "[CLS]", "▁##a", "a"])
    #expect(throws: TokenizerError.duplicatePiece("##a", first: 2, second: 3)) { try vocabulary.folderFiles(chatTemplate: nil) }
    var likely = TokenizerVocabulary(model: .unigram, pieces: PackedStrings(["<p>", "</s>", "<u>", "▁"]))
    likely.scores = [0, 0, 0]
    #expect(throws: TokenizerError.self) { try likely.folderFiles(chatTemplate: nil) }
    likely.scores = [0, 0, 0, .nan]
    #expect(throws: TokenizerError.self) { try likely.folderFiles(chatTemplate: nil) }
  }
}
