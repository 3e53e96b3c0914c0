// `malmoi tokenizer` as its users meet it, and the tokenizers of encoders and T5 on their way through GGUF.
import Foundation
import TestSupport
import Testing

@Suite struct TokenizerCommandTests {
  private let folder: TemporaryFolder
  private let command: Executable

  init() throws {
    folder = try TemporaryFolder()
    command = Executable(home: folder.url)
  }

  private func text(_ name: String) throws -> String {
    let lines = (0..<60).map { "the cat sat on the mat \($0 % 7), and the other cats sat there too: 하늘은 푸르다" }
    return try folder.write(lines.joined(separator: "\n").utf8, to: name).path
  }

  @Test("A trained tokenizer is a file that other commands read", arguments: ["bpe", "wordpiece", "unigram"])
  func train(type: String) throws {
    let source = try text("text.txt"), out = folder.path("\(type).json")
    let special = type == "wordpiece" ? ["--special", "[CLS]", "--special", "[SEP]"] : ["--special", "<|end|>"]
    let size = type == "bpe" ? "300" : "60"
    let made = try command.run(["tokenizer", "train", source, "--type", type, "--vocab-size", size, "--out", out] + special)
    #expect(made.status == 0, "\(made.errors)")
    let shown = try command.run(["tokenizer", "report", out, "--text", source, "--json"])
    #expect(shown.status == 0, "\(shown.errors)")
    let reports = try #require(try JSONSerialization.jsonObject(with: shown.output) as? [[String: Any]])
    let vocabulary = try #require(reports.first?["vocabularySize"] as? Int)
    #expect(vocabulary > 20 && vocabulary <= Int(size) ?? 0)
    let rows = try #require(reports.first?["rows"] as? [[String: Any]])
    let all = try #require(rows.first { $0["kind"] == nil })
    let bytes = try #require(all["bytes"] as? Int), tokens = try #require(all["tokens"] as? Int)
    #expect(bytes == (try Data(contentsOf: URL(fileURLWithPath: source)).count) && tokens > 0 && tokens < bytes)
    #expect(rows.contains { $0["kind"] as? String == "hangul" })
  }

  @Test func `tokenizers are compared in a table`() throws {
    let source = try text("text.txt")
    for size in ["280", "400"] {
      let made = try command.run(
        ["tokenizer", "train", source, "--vocab-size", size, "--out", folder.path("\(size).json"), "--min-frequency", "1"])
      #expect(made.status == 0, "\(made.errors)")
    }
    let shown = try command.run(["tokenizer", "report", folder.path("280.json"), folder.path("400.json"), "--text", source])
    #expect(shown.status == 0, "\(shown.errors)")
    let lines = String(decoding: shown.output, as: UTF8.self).split(separator: "\n").map(String.init)
    #expect(lines.first?.hasPrefix("280.json, vocabulary of 280") == true)
    #expect(lines.contains { $0.hasPrefix("400.json, vocabulary of ") })
    #expect(lines.count { $0.contains("tokens/word") } == 2 && lines.count { $0.hasPrefix("  hangul") } == 2)
  }

  @Test func `what cannot be trained is said, and nothing is written`() throws {
    let source = try text("text.txt"), out = folder.path("out.json")
    try folder.write([0x61, 0xFF, 0x62], to: "bytes.txt")
    for (arguments, status, message) in [
      ([folder.path("none.txt"), "--vocab-size", "300"], 1, "none.txt"),
      ([folder.path("bytes.txt"), "--vocab-size", "300"], 1, "bytes.txt"),
      ([source, "--vocab-size", "0"], 2, "0"), ([source, "--vocab-size", "300", "--cased"], 2, "--cased does not go with --type bpe"),
      ([source, "--vocab-size", "300", "--pre-tokenizer", "klingon"], 2, "klingon"),
    ] as [([String], Int32, String)] {
      let result = try command.run(["tokenizer", "train"] + arguments + ["--out", out])
      #expect(result.status == (status == 2 ? 64 : 1) || result.status == status, "\(result.errors)")
      #expect(result.errors.contains(message), "\(result.errors)")
      #expect(!FileManager.default.fileExists(atPath: out))
    }
    let missing = try command.run(["tokenizer", "report", folder.path("none.json"), "--text", source])
    #expect(missing.status == 1 && missing.errors.contains("none.json"))
  }

  private static let pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "cat", "##s", "The", "é", "e", "!"]

  @Test("An encoder's tokenizer and the way it makes vectors come back from GGUF", arguments: [true, false])
  func encoderCompanions(lowercases: Bool) throws {
    let source = try FamilyFixture("bert-bare").path, model = folder.path("model")
    try FileManager.default.createDirectory(atPath: model, withIntermediateDirectories: false)
    for name in ["config.json", "model.safetensors"] {
      try FileManager.default.copyItem(atPath: source + "/" + name, toPath: model + "/" + name)
    }
    try folder.write((Self.pieces + (0..<36).map { "word\($0)" }).joined(separator: "\n").utf8, to: "model/vocab.txt")
    try folder.write(#"{"do_lower_case": \#(lowercases)}"#.utf8, to: "model/tokenizer_config.json")
    try folder.write(#"{"pooling_mode_cls_token": true, "pooling_mode_mean_tokens": false}"#.utf8, to: "model/1_Pooling/config.json")
    let file = folder.path("model.gguf"), again = folder.path("again")
    for arguments in [["convert", model, file], ["convert", file, again]] {
      let made = try command.run(arguments)
      #expect(made.status == 0, "\(made.errors)")
    }
    let text = "The cats! é [MASK]"
    let ids = try [model, file, again].map { try command.run(["tokenize", $0, text, "--json", "--special"]).output }
    #expect(!ids[0].isEmpty && ids[1] == ids[0] && ids[2] == ids[0])
    let vectors = try [model, file, again].map { try command.run(["embed", $0, text]).output }
    #expect(!vectors[0].isEmpty && vectors[1] == vectors[0] && vectors[2] == vectors[0])
    // Pooled otherwise it would be another vector.
    try FileManager.default.removeItem(atPath: again + "/1_Pooling")
    #expect(try command.run(["embed", again, text]).output != vectors[0])
  }
}
