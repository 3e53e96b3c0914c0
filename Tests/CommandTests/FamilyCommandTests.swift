// Encoders, encoder–decoders and folders as users meet them: fill, embed, classify, run, convert.
import Checkpoints
import Foundation
import TestSupport
import Testing

@Suite struct FamilyCommandTests {
  private let folder: TemporaryFolder
  private let command: Executable

  init() throws {
    folder = try TemporaryFolder()
    command = Executable(home: folder.url)
  }

  private static let words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    + ["the", "cat", "sat", "on", "mat", "##s", "하늘", "##은", "푸르", "##다"] + (0..<33).map { "word\($0)" }

  /// A family's tiny model with a tokenizer beside it.
  private func model(_ family: String, tokenizer: (name: String, text: String)? = nil) throws -> String {
    let source = try FamilyFixture(family).path, target = folder.path(family)
    try FileManager.default.createDirectory(atPath: target, withIntermediateDirectories: false)
    for name in try FileManager.default.contentsOfDirectory(atPath: source) where !name.hasPrefix("expected") {
      try FileManager.default.copyItem(atPath: source + "/" + name, toPath: target + "/" + name)
    }
    let file = tokenizer ?? ("vocab.txt", Self.words.joined(separator: "\n") + "\n")
    try folder.write(file.text.utf8, to: "\(family)/\(file.name)")
    return target
  }

  /// Pieces of one letter, as SentencePiece has them.
  private var letters: (name: String, text: String) {
    let pieces = ["<pad>", "</s>", "<unk>", "▁"] + "abcdefghijklmnopqrstuvwxyz".map(String.init) + (0..<18).map { "x\($0)" }
    let vocabulary = pieces.enumerated().map { "[\"\($1)\", \(-Double($0) / 10)]" }.joined(separator: ",")
    return (
      "tokenizer.json",
      """
      {"version":"1.0","truncation":null,"padding":null,"added_tokens":[
      {"id":0,"content":"<pad>","single_word":false,"lstrip":false,"rstrip":false,"normalized":false,"special":true},
      {"id":1,"content":"</s>","single_word":false,"lstrip":false,"rstrip":false,"normalized":false,"special":true}],
      "normalizer":null,"pre_tokenizer":{"type":"Metaspace","replacement":"▁","prepend_scheme":"always","split":true},
      "post_processor":null,"decoder":{"type":"Metaspace","replacement":"▁","prepend_scheme":"always","split":true},
      "model":{"type":"Unigram","unk_id":2,"vocab":[\(vocabulary)]}}
      """)
  }

  @Test func `words behind a mask are found, in a GGUF file too`() throws {
    let folderModel = try model("bert"), file = folder.path("bert.gguf")
    let result = try command.run(["fill", folderModel, "the [MASK] sat", "--top", "3", "--json"])
    #expect(result.status == 0, "\(result.errors)")
    let masks = try #require(try JSONSerialization.jsonObject(with: result.output) as? [[[String: Any]]])
    let chances = masks.first?.compactMap { $0["probability"] as? Double } ?? []
    #expect(masks.count == 1 && chances.count == 3 && chances == chances.sorted(by: >))
    #expect(try command.run(["convert", folderModel, file]).status == 0)
    #expect(try command.run(["fill", file, "the [MASK] sat", "--top", "3", "--json"]).output == result.output)
    let without = try command.run(["fill", folderModel, "the cat"])
    #expect(without.status == 1 && without.complaints.first?.contains("the text has no [MASK]") == true)
  }

  @Test func `texts become vectors, alone or among others`() throws {
    let model = try model("bert-bare")
    let both = try command.run(["embed", model], input: Data("the cat\n하늘은 푸르다\n".utf8))
    let one = try command.run(["embed", model, "하늘은 푸르다"])
    #expect(both.status == 0 && one.status == 0, "\(both.errors) \(one.errors)")
    let lines = String(decoding: both.output, as: UTF8.self).split(separator: "\n")
    #expect(lines.count == 2 && lines.allSatisfy { $0.split(separator: " ").count == 32 })
    #expect(lines.last.map(String.init) == String(decoding: one.output, as: UTF8.self).split(separator: "\n").first.map(String.init))
    let length = lines[0].split(separator: " ").compactMap { Double($0) }.reduce(0) { $0 + $1 * $1 }
    #expect(abs(length - 1) < 1e-4)
    let labels = try command.run(["classify", model, "the cat"])
    #expect(labels.status == 1 && labels.complaints.first?.contains("not trained to classify") == true)
  }

  @Test func `a trained head gives its own labels`() throws {
    let result = try command.run(["classify", try model("bert-classes"), "the cat", "--json"])
    #expect(result.status == 0, "\(result.errors)")
    let rows = try #require(try JSONSerialization.jsonObject(with: result.output) as? [[String: Any]])
    let chances = try #require(rows.first?["probabilities"] as? [String: Double])
    #expect(chances.count == 3 && abs(chances.values.reduce(0, +) - 1) < 1e-9)
    #expect(rows.first?["label"] as? String == chances.max { $0.value < $1.value }?.key)
    let unknown = try command.run(["classify", folder.path("bert-classes"), "the cat", "--labels", "good,bad"])
    #expect(unknown.status == 1 && unknown.complaints.first?.contains("is no label of this model") == true)
  }

  @Test func `a decoder chooses among any labels`() throws {
    try TinyModel.write(to: folder.file("tiny.gguf"))
    let result = try command.run(["classify", folder.path("tiny.gguf"), "the thin", "--labels", "a,in,the", "--json"])
    #expect(result.status == 0, "\(result.errors)")
    let rows = try #require(try JSONSerialization.jsonObject(with: result.output) as? [[String: Any]])
    #expect((rows.first?["probabilities"] as? [String: Double])?.count == 3)
    #expect(try command.run(["classify", folder.path("tiny.gguf"), "the thin"]).status == 2)
    let embedded = try command.run(["embed", folder.path("tiny.gguf"), "the"])
    #expect(embedded.status == 1 && embedded.complaints.first?.contains("one that reads is needed") == true)
  }

  @Test func `one text is written from another`() throws {
    let model = try model("t5", tokenizer: letters)
    let arguments = ["run", model, "summarize the cat", "-n", "8", "--temperature", "0"]
      + (0..<3).flatMap { ["--logit-bias", "\($0)=-100"] }  // what such a model would rather say: nothing
    let result = try command.run(arguments)
    #expect(result.status == 0 && result.output.count > 1, "\(result.errors)")
    #expect(try command.run(arguments).output == result.output)
    let config = try String(contentsOfFile: model + "/config.json", encoding: .utf8)
    try folder.write(
      config.replacingOccurrences(of: "\"decoder_start_token_id\": 0", with: "\"decoder_start_token_id\": 4096").utf8,
      to: "t5/config.json")
    let beyond = try command.run(arguments)
    #expect(beyond.status == 1 && beyond.complaints.first?.contains("begins answers with token 4096, of 48") == true)
    try folder.write(config.utf8, to: "t5/config.json")
    let file = folder.path("t5.gguf")
    #expect(try command.run(["convert", model, file]).status == 0)
    #expect(try command.run(["run", file] + arguments.dropFirst(2)).output == result.output)
  }

  @Test func `a file becomes a folder and a file again, and answers the same`() throws {
    try TinyModel.write(to: folder.file("tiny.gguf"), dataType: .f16)
    let ask = { (model: String) in
      try command.run(["run", model, "the", "-n", "12", "--temperature", "0"]).output
    }
    let folderModel = folder.path("folder"), again = folder.path("again.gguf")
    let made = try command.run(["convert", folder.path("tiny.gguf"), folderModel])
    #expect(made.status == 0, "\(made.errors)")
    #expect(try command.run(["convert", folderModel, again]).status == 0)
    let answer = try ask(folder.path("tiny.gguf"))
    #expect(!answer.isEmpty)
    #expect(try ask(folderModel) == answer)
    #expect(try ask(again) == answer)
    let taken = try command.run(["convert", folder.path("tiny.gguf"), folderModel])
    #expect(taken.status == 1 && taken.complaints.first?.contains("exists already") == true)
    let quantized = try command.run(["quantize", folderModel, folder.path("small.gguf"), "--type", "q8_0", "--no-report"])
    #expect(quantized.status == 0, "\(quantized.errors)")
    #expect(try !ask(folder.path("small.gguf")).isEmpty)
    #expect(try folder.contents.filter { $0.contains("partial") }.isEmpty)
  }
}
