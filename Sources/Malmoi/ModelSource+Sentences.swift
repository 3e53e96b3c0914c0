// How a model that reads makes one vector of a text: what sentence-transformers notes beside it, what GGUF numbers.
import Checkpoints
import Foundation
import JSON
import Models

extension ModelSource {
  /// GGUF's numbers of the kinds of pooling.
  private static let numbers: [(number: Int, pooling: Pooling, key: String)] = [
    (1, .mean, "pooling_mode_mean_tokens"), (2, .cls, "pooling_mode_cls_token"), (3, .last, "pooling_mode_lasttoken"),
  ]

  private var poolingKey: String {
    get throws { try checkpoint.metadata.string(required: "general.architecture") + ".pooling_type" }
  }

  /// How the metadata say that texts are pooled; nil where they say nothing.
  var numberedPooling: Pooling? {
    get throws {
      let number = try checkpoint.metadata.int(poolingKey)
      return Self.numbers.first { $0.number == number }?.pooling
    }
  }

  /// What sentence-transformers notes beside a folder's model: how texts are pooled, and how long they may be.
  func sentenceSettings() throws -> (pooling: Pooling?, limit: Int?) {
    let pooling = try read("1_Pooling/config.json"), settings = try read("sentence_bert_config.json")
    let kind = Self.numbers.first { pooling?[$0.key]?.value == .bool(true) }?.pooling
    guard let length = settings?["max_seq_length"] else { return (kind, nil) }
    do {
      return (kind, try length.int(in: 1...1 << 30))
    } catch {
      throw CheckpointError(path: path + "/sentence_bert_config.json", field: error.field, message: error.message)
    }
  }

  private func read(_ name: String) throws -> JSONField? {
    let file = path + "/" + name
    guard let data = FileManager.default.contents(atPath: file) else { return nil }
    do {
      return JSONField(try JSONValue(parsing: data))
    } catch {
      throw CheckpointError(path: file, field: error.field, message: error.message)
    }
  }

  /// Notes in a GGUF file's metadata how the folder's texts are pooled.
  func notePooling(in metadata: inout GGUFMetadata) throws {
    guard shape == .encoder, let pooling = try sentenceSettings().pooling,
      let known = Self.numbers.first(where: { $0.pooling == pooling })
    else { return }
    metadata.set(try poolingKey, .uint32(UInt32(known.number)))
  }

  /// Notes the same in a folder as sentence-transformers does.
  func writePooling(intoFolder folder: String) throws {
    guard shape == .encoder, let pooling = try sentenceSettings().pooling ?? numberedPooling else { return }
    let width = try checkpoint.tensor(required: "token_embd.weight").rowLength
    var settings: [(String, JSONValue)] = [("word_embedding_dimension", .int(width))]
    for known in Self.numbers { settings.append((known.key, .bool(known.pooling == pooling))) }
    let modules: JSONValue = [
      ["idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"],
      ["idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"],
    ]
    try FileManager.default.createDirectory(atPath: folder + "/1_Pooling", withIntermediateDirectories: true)
    for (name, value) in [
      ("1_Pooling/config.json", JSONValue.object(.init(uniqueKeysWithValues: settings))), ("modules.json", modules),
    ] {
      let file = try AtomicFile(path: folder + "/" + name)
      try Array((value.text(indent: 2) + "\n").utf8).withUnsafeBytes(file.append)
      try file.commit()
    }
  }
}
