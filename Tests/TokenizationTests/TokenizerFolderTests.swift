// The files that folders bring beside, or instead of, a tokenizer.json.
import Foundation
import TestSupport
import Testing
import Tokenization

@Suite struct TokenizerFolderTests {
  private func withFolder(_ files: [String: String], _ body: (String) throws -> Void) throws {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("folder-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    for (name, text) in files { try Data(text.utf8).write(to: folder.appendingPathComponent(name)) }
    try body(folder.path)
  }

  @Test func `a list of word pieces is read as BERT means it`() throws {
    let pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "un", "##aff", "##able", "the", "!", "The", "é"]
    let vocabulary = pieces.joined(separator: "\n") + "\n"
    try withFolder(["vocab.txt": vocabulary]) { folder in
      let tokenizer = try Tokenizer(folder: folder)
      #expect(tokenizer.encode("The UNaffable!") == [2, 8, 5, 6, 7, 9, 3])
      #expect(tokenizer.encode("é [MASK]", specialTokens: .all, addsBoundaryTokens: false) == [1, 4])
      #expect(tokenizer.decode([8, 5, 6, 7, 9]) == "the unaffable!")
      #expect(tokenizer.beginningOfSequence == 2 && tokenizer.endOfSequence == 3 && tokenizer.padding == 0)
      let encoding = try tokenizer.encoding(of: "the", pair: "un")
      #expect(encoding.ids == [2, 8, 3, 5, 3])
      #expect(encoding.typeIDs == [0, 0, 0, 1, 1])
    }
    try withFolder(["vocab.txt": vocabulary, "tokenizer_config.json": #"{"do_lower_case": false}"#]) { folder in
      let tokenizer = try Tokenizer(folder: folder)
      #expect(tokenizer.encode("The é", addsBoundaryTokens: false) == [10, 11])
    }
  }

  @Test func `a vocabulary with merges is read as GPT-2 means it`() throws {
    let vocabulary = #"{"h": 0, "e": 1, "l": 2, "o": 3, "\u0120": 4, "he": 5, "ll": 6, "\u0120he": 7, "<|endoftext|>": 8}"#
    let merges = "#version: 0.2\nh e\nl l\n\u{120} he\n"
    try withFolder(["vocab.json": vocabulary, "merges.txt": merges]) { folder in
      let tokenizer = try Tokenizer(folder: folder)
      #expect(tokenizer.encode("hello hello<|endoftext|>", specialTokens: .all) == [5, 6, 3, 7, 6, 3, 8])
      #expect(tokenizer.endsGeneration(8))
      #expect(tokenizer.decode([5, 6, 3, 7]) == "hello he")
      let written = try TokenizerFolder(path: folder).vocabulary()
      #expect(written.preTokenizer == "gpt-2")
    }
  }

  @Test func `configurations say which tokens begin and end and how conversations are written`() throws {
    let json = String(decoding: try fixture("Tokenizers/gpt2/tokenizer.json"), as: UTF8.self)
    let configuration = #"""
      {"bos_token": {"content": "<|im_start|>"}, "eos_token": "<|endoftext|>", "add_bos_token": true,
       "model_max_length": 512,
       "chat_template": [{"name": "default", "template": "A"}, {"name": "tool_use", "template": "B"}]}
      """#
    try withFolder([
      "tokenizer.json": json, "tokenizer_config.json": configuration,
      "generation_config.json": #"{"eos_token_id": [0, 5]}"#,
    ]) { folder in
      let files = try TokenizerFolder(path: folder)
      #expect(files.chatTemplate == "A")
      #expect(files.chatTemplates["tool_use"] == "B")
      #expect(files.modelMaximumLength == 512)
      let tokenizer = try files.tokenizer()
      #expect(tokenizer.beginningOfSequence == 1 && tokenizer.endOfSequence == 0)
      #expect(tokenizer.addsBeginningOfSequence && !tokenizer.addsEndOfSequence)
      #expect(tokenizer.encode("") == [1])
      #expect(tokenizer.endOfGeneration == [0, 5])
    }
    try withFolder(["tokenizer.json": json, "chat_template.jinja": "{{ 1 }}"]) { folder in
      let files = try TokenizerFolder(path: folder)
      #expect(files.chatTemplate == "{{ 1 }}")
    }
    try withFolder(["tokenizer.json": json, "tokenizer_config.json": #"{"add_bos_token": "yes"}"#]) { folder in
      #expect(throws: TokenizerError.self) { try Tokenizer(folder: folder) }
    }
  }

  @Test func `special tokens in text from users stay text`() throws {
    let tokenizer = try Tokenizer(folder: fixtureURL("Tokenizers/gpt2").path)
    let text = "<|im_start|>user <|im_start|>"
    #expect(!tokenizer.encode(text).contains(1))
    #expect(tokenizer.encode(text, specialTokens: .all).count { $0 == 1 } == 2)
    #expect(tokenizer.encode(text, specialTokens: .within([0..<12])).count { $0 == 1 } == 1)
    #expect(tokenizer.decode(tokenizer.encode(text)) == text)
  }

  @Test func `what GGUF calls bert marks the beginnings of words`() throws {
    var vocabulary = TokenizerVocabulary(
      model: .wordPiece, pieces: PackedStrings(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "▁un", "aff", "able", "▁!"]))
    vocabulary.kinds = [.control, .unknown, .control, .control, .normal, .normal, .normal, .normal]
    vocabulary.beginningOfSequence = 2
    vocabulary.endOfSequence = 3
    vocabulary.unknown = 1
    let tokenizer = try Tokenizer(vocabulary)
    #expect(tokenizer.encode("Unaffable! x") == [2, 4, 5, 6, 7, 1, 3])
    #expect(tokenizer.decode([4, 5, 6, 7]) == "unaffable!")
    vocabulary.unknown = 99
    #expect(throws: TokenizerError.self) { try Tokenizer(vocabulary) }
  }
}
