// What several tests need: tokenizers, texts, and corpora made of them.
import CZlib
import ChatTemplates
import Foundation
import JSON
import TestSupport
import Tokenization

import TrainingData

/// The tokenizer of Fixtures/chat, whose special tokens are SmolLM2's.
func chatTokenizer() throws -> Tokenizer { try Tokenizer(folder: fixtureURL("chat").path) }

/// A small tokenizer from the fixtures of another room.
func smallTokenizer(_ name: String, change: (inout JSONValue) -> Void = { _ in }) throws -> Tokenizer {
  let url = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .appendingPathComponent("TokenizationTests/Fixtures/Tokenizers/\(name)/tokenizer.json")
  var json = try JSONValue(parsing: Array(Data(contentsOf: url)))
  change(&json)
  return try Tokenizer(tokenizerJSON: Array(json.text().utf8), file: name)
}

/// T5's small tokenizer with so many sentinels.
func sentinelTokenizer(_ count: Int) throws -> Tokenizer {
  try smallTokenizer("t5") { json in
    guard case .object(var root) = json, case .array(let tokens)? = root["added_tokens"] else { return }
    let kept = tokens.filter { (try? JSONField($0).required("content").string())?.hasPrefix("<extra_id") != true }
    root["added_tokens"] = .array(
      kept + (0..<count).map { number in
        [
          "id": .int(420 + number), "content": .string("<extra_id_\(number)>"), "single_word": false, "lstrip": false,
          "rstrip": false, "normalized": false, "special": true,
        ]
      })
    json = .object(root)
  }
}

struct Reference {
  var messages: [ChatMessage]
  var ids: [Int32]
  var mask: [Bool]
}

struct References {
  let plain: ChatTemplate
  let marked: ChatTemplate
  var conversations: [Reference] = []
  var texts: [(text: String, ids: [Int32])] = []

  init() throws {
    let root = JSONField(try JSONValue(parsing: Array(fixture("references.json"))))
    plain = try ChatTemplate(source: root.required("plain").string())
    marked = try ChatTemplate(source: root.required("marked").string())
    func ids(_ field: JSONField) throws -> [Int32] { try field.array().map { Int32(try $0.int()) } }
    for entry in try root.required("conversations").array() {
      let messages = try entry.required("messages").array().map {
        ChatMessage(role: try $0.required("role").string(), content: try $0.required("content").string())
      }
      let mask = try ids(entry.required("mask")).map { $0 == 1 }
      conversations.append(Reference(messages: messages, ids: try ids(entry.required("ids")), mask: mask))
    }
    for entry in try root.required("texts").array() {
      texts.append((try entry.required("text").string(), try ids(entry.required("ids"))))
    }
  }
}

extension TemporaryFolder {
  /// Writes a gzip file of one member.
  func compress(_ text: String, to name: String) {
    let file = gzopen(path(name), "wb")
    _ = Array(text.utf8).withUnsafeBytes { gzwrite(file, $0.baseAddress, UInt32($0.count)) }
    gzclose(file)
  }

  func write(_ text: String, to name: String) throws { _ = try write(Array(text.utf8), to: name) }

  func sources(_ names: String...) throws -> [SourceFile] { try SourceFile.find(names.map { path($0) }) }
}

/// Texts of words, no two alike.
func documents(_ count: Int, words: Int = 30, seed: UInt64 = 7) -> [String] {
  var random = SeededRandom(seed: seed)
  let vocabulary = ["the", "sea", "earth", "heaven", "나는", "학교에", "was", "without", "form", "and", "void,", "1234"]
  return (0..<count).map { number in
    "\(number): " + (0..<1 + random.below(words)).map { _ in
      vocabulary[random.below(vocabulary.count)] + (random.below(8) == 0 ? "\n" : " ")
    }.joined() + "."
  }
}

func jsonLines(_ texts: [String], field: String = "text") -> String {
  texts.map { JSONValue.object([field: .string($0)]).text() + "\n" }.joined()
}

/// SplitMix64.
struct SeededRandom {
  var state: UInt64
  init(seed: UInt64) { state = seed }
  mutating func below(_ bound: Int) -> Int {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ z >> 30) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ z >> 27) &* 0x94D0_49BB_1331_11EB
    return Int((z ^ z >> 31) % UInt64(bound))
  }
}

/// Options that make many pieces, blocks and shards of little text.
func smallSizes(threads: Int = 1) -> CorpusOptions {
  var options = CorpusOptions()
  options.pieceSize = 64
  options.blockSize = 64
  options.shardSize = 640
  options.threads = threads
  return options
}

/// All files of a folder and what is in them.
func contents(of folder: String) throws -> [String: Data] {
  var result: [String: Data] = [:]
  for name in try FileManager.default.contentsOfDirectory(atPath: folder) {
    result[name] = try Data(contentsOf: URL(fileURLWithPath: folder + "/" + name))
  }
  return result
}
