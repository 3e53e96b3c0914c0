// Folders come from strangers: whatever lies in them, the answer is a tokenizer or an error that says what is wrong.
import Foundation
import TestSupport
import Testing
import Tokenization

@Suite struct HostileFolderTests {
  /// A folder with these files that is removed afterwards.
  @discardableResult
  private func withFolder<Result>(
    _ files: [String: [UInt8]], _ body: (String) throws -> Result
  ) throws -> Result {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("tokenizer-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    for (name, bytes) in files { try Data(bytes).write(to: folder.appendingPathComponent(name)) }
    return try body(folder.path)
  }

  private func complaint(_ json: String) throws -> String {
    try withFolder(["tokenizer.json": Array(json.utf8)]) { folder in
      do {
        _ = try Tokenizer(folder: folder)
        return "none"
      } catch let error as TokenizerError {
        return error.description
      }
    }
  }


  static let complaints: [(json: String, says: String)] = [
    ("{}", "model: missing"),
    ("[]", "expected an object"),
    (#"{"model": {"type": "Magic", "vocab": {}}}"#, "model.type: “Magic” is not supported; expected BPE"),
    (#"{"model": {"type": "WordLevel", "vocab": {"a": -1}}}"#, "model.vocab.a: expected an id from 0"),
    (#"{"model": {"type": "WordLevel", "vocab": {"a": 99999999999}}}"#, "model.vocab.a: expected an id from 0"),
    (#"{"model": {"type": "WordLevel", "vocab": {"a": 9999999}}}"#, "1 pieces have ids up to 9999999"),
    (#"{"model": {"type": "WordLevel", "vocab": {"a": 0.5}}}"#, "expected an integer"),
    (#"{"model": {"type": "WordLevel", "vocab": {"a": 0, "b": 0}}}"#, "“a” and “b” both have the id 0"),
    (#"{"model": {"type": "WordLevel", "vocab": {}}}"#, "no pieces"),
    (#"{"model": {"type": "WordPiece", "vocab": {"a": 0}}}"#, "model.unk_token: is not in the vocabulary"),
    (#"{"model": {"type": "BPE", "vocab": {"a": 0}, "merges": ["a b"]}}"#, "not in the vocabulary"),
    (#"{"model": {"type": "BPE", "vocab": {"a": 0}, "merges": [["a"]]}}"#, "model.merges.0: expected two pieces"),
    (#"{"model": {"type": "BPE", "vocab": {"a": 0}, "merges": ["a"]}}"#, "expected two pieces with a space"),
    (#"{"model": {"type": "BPE", "vocab": {"a": 0}, "merges": [7]}}"#, "expected a string"),
    (#"{"model": {"type": "Unigram", "vocab": [["a", "b"]]}}"#, "model.vocab.0.1: expected a number"),
    (#"{"model": {"type": "Unigram", "unk_id": 5, "vocab": [["a", 0.0]]}}"#, "model.unk_id: expected an integer"),
    (#"{"model": {"type": "Unigram", "vocab": [["a", 0.0], ["a", 0.0]]}}"#, "are both spelled 'a'"),
    (#"{"model": {"type": "WordLevel", "vocab": {"a": 0}}, "normalizer": {"type": "X"}}"#, "normalizer.type: “X”"),
    (
      #"{"model": {"type": "WordLevel", "vocab": {"a": 0}}, "normalizer": {"type": "Precompiled", "precompiled_charsmap": "@@"}}"#,
      "normalizer.precompiled_charsmap: is not base 64"
    ),
    (
      #"{"model": {"type": "WordLevel", "vocab": {"a": 0}}, "normalizer": {"type": "Precompiled", "precompiled_charsmap": "/////wAA"}}"#,
      "does not fit"
    ),
    (
      #"{"model": {"type": "WordLevel", "vocab": {"a": 0}}, "pre_tokenizer": {"type": "Split", "pattern": {"Regex": "(a"}, "behavior": "Isolated"}}"#,
      "pre_tokenizer.pattern.Regex: expected ')'"
    ),
    (
      #"{"model": {"type": "WordLevel", "vocab": {"a": 0}}, "pre_tokenizer": {"type": "Split", "pattern": {"Regex": "(((((a{1000}){1000}){1000}){1000}){1000})"}, "behavior": "Isolated"}}"#,
      "more than 20000 steps"
    ),
    (
      #"{"model": {"type": "WordLevel", "vocab": {"a": 0}}, "post_processor": {"type": "BertProcessing", "cls": ["a", 7], "sep": ["a", 0]}}"#,
      "post_processor.cls.1: expected an integer from 0 to 0, found 7"
    ),
    (#"{"model": {"type": "WordLevel", "vocab": {"a": 0}}, "decoder": {"type": "Y"}}"#, "decoder.type: “Y”"),
    (String(repeating: #"{"a":"#, count: 200) + "1" + String(repeating: "}", count: 200), "nested deeper"),
    (String(repeating: "[", count: 100_000), "expected an object"),
    (#"{"model": {"vocab": {"a": 0"#, "expected"),
    (#"{"model": {"vocab": {"a\u"#, "expected"),
  ]

  @Test("A damaged tokenizer.json is described", arguments: complaints.indices)
  func damagedJSON(_ index: Int) throws {
    let (json, says) = Self.complaints[index]
    let complaint = try complaint(json)
    #expect(complaint.contains(says), "\(complaint)")
    #expect(complaint.contains("tokenizer"))
  }

  @Test func `any cut and any changed byte of a tokenizer gives a tokenizer or an error`() throws {
    let whole = [UInt8](try fixture("Tokenizers/words/tokenizer.json"))
    var random = SplitMix64(state: 5)
    for _ in 0..<300 {
      var bytes = whole
      if random.below(4) == 0 { bytes.removeLast(random.below(bytes.count)) }
      for _ in 0..<random.below(4) where !bytes.isEmpty { bytes[random.below(bytes.count)] = UInt8(random.below(256)) }
      try withFolder(["tokenizer.json": bytes]) { folder in
        if let tokenizer = try? Tokenizer(folder: folder) { _ = tokenizer.encode("in the a beginning é") }
      }
    }
  }

  @Test func `protocol buffers with wrong lengths are refused`() throws {
    for bytes: [UInt8] in [[0x0A], [0x0A, 0xFF, 0xFF, 0xFF, 0xFF, 0x0F], [0x0A, 0x02, 0x0A, 0x09], [0xFF], [0x0B], [0x0D]] {
      try withFolder(["tokenizer.model": bytes]) { folder in
        #expect(throws: TokenizerError.self) { try Tokenizer(folder: folder) }
      }
    }
    // A piece whose score is not a number.
    let piece: [UInt8] = [0x0A, 0x01, 0x61, 0x15, 0x00, 0x00, 0xC0, 0x7F]
    try withFolder(["tokenizer.model": [0x0A, UInt8(piece.count)] + piece]) { folder in
      #expect(throws: TokenizerError.invalidScore(id: 0)) { try Tokenizer(folder: folder) }
    }
  }

  @Test func `a folder without a tokenizer says what is looked for`() throws {
    try withFolder([:]) { folder in
      #expect(throws: TokenizerError.self) { try Tokenizer(folder: folder) }
    }
  }

  @Test("A megabyte of one letter takes no longer than its length", arguments: ["a", " ", "\n", "\u{301}", "가", "-"])
  func largeTexts(_ letter: String) throws {
    let text = String(repeating: letter, count: 1 << 18)
    for name in HuggingFaceParityTests.names {
      let tokenizer = try Tokenizer(folder: fixtureURL("Tokenizers").appendingPathComponent(name).path)
      let start = ContinuousClock.now
      _ = tokenizer.encode(text, specialTokens: .all)
      #expect(ContinuousClock.now - start < .seconds(10), "\(name)")
    }
  }

  @Test func `a pattern that asks for exponential time comes to an end`() throws {
    let json = #"{"model": {"type": "WordLevel", "vocab": {"a": 0}, "unk_token": "a"}, "pre_tokenizer": {"type": "Split", "pattern": {"Regex": "(?:(?:a|a)+)+b"}, "behavior": "Isolated"}}"#
    try withFolder(["tokenizer.json": Array(json.utf8)]) { folder in
      let tokenizer = try Tokenizer(folder: folder)
      #expect(tokenizer.encode(String(repeating: "a", count: 5000)) == [0])
    }
  }
}
