// Whole folders of strangers, as a program meets them: configuration, weights and tokenizer may each be wrong, or not
// fit the others.
import Checkpoints
import Foundation
import Malmoi
import Tensors
import Tokenization

/// A small model in a Hugging Face folder, and how to damage each of its files.
struct FolderSketch: Sendable {
  enum Use: Sendable {
    case reads, rewrites
  }

  let use: Use
  private let files: [(name: String, mutator: TextMutator)]
  /// Bytes after the header of the weights.
  private let dataCount: Int

  /// - Parameters:
  ///   - config: `config.json`.
  ///   - tensors: all in `f32`.
  ///   - tokenizer: `tokenizer.json`.
  init(_ use: Use, config: String, tensors: [(name: String, shape: [Int])], tokenizer: String) throws {
    self.use = use
    var writer = SafetensorsWriter(path: "model.safetensors")
    for (name, shape) in tensors {
      var bytes: [UInt8] = []
      for index in 0..<shape.reduce(1, *) {
        let number = Float((index * 7 + name.utf8.count) % 13) / 13 - 0.4
        Swift.withUnsafeBytes(of: number.bitPattern.littleEndian) { bytes += $0 }
      }
      try writer.addTensor(name, elementType: .f32, shape: shape, bytes: bytes)
    }
    dataCount = tensors.reduce(0) { $0 + $1.shape.reduce(4, *) }
    let header = String(decoding: try writer.encoded().dropFirst(8).dropLast(dataCount), as: UTF8.self)
    let numbers = ["0", "1", "2", "3", "7", "8", "16", "-1", "4294967296", "1e3", "null", "true", "[]", "{}", "\"\""]
    files = [
      ("config.json", TextMutator(
        corpus: [config], dictionary: numbers + Self.keys + ["\"relu\"", "\"last\"", "\"single_label\""], signs: ["\":"])),
      ("model.safetensors", TextMutator(
        corpus: [header],
        dictionary: numbers + tensors.map { "\"\($0.name)\"" } + ["\"F32\"", "\"F16\"", "\"BF16\"", "\"F64\"", "\"U8\""],
        signs: ["[0,", "\":"])),
      ("tokenizer.json", TextMutator(
        corpus: [tokenizer],
        dictionary: numbers + [
          "\"a\"", "\"[CLS]\"", "\"[MASK]\"", "\"</s>\"", "\"type_id\":", "\"id\":", "\"ids\":", "\"A\"", "\"B\"", "5", "99",
          "\"unk_id\":", "\"truncation\":{\"max_length\":2}", "\"padding\":{\"pad_id\":9,\"strategy\":{\"Fixed\":4}}",
        ], signs: ["\":", "##"])),
    ]
  }

  private static let keys = [
    "hidden_size", "num_attention_heads", "num_hidden_layers", "type_vocab_size", "max_position_embeddings", "vocab_size",
    "decoder_start_token_id", "num_decoder_layers", "d_kv", "id2label", "eos_token_id", "pad_token_id",
  ].map { "\"\($0)\":" }

  /// As a rule one of the files is damaged, at times two.
  func input(_ random: inout SeededGenerator) -> [UInt8] {
    let damaged = random.below(files.count), other = random.chance(4) ? random.below(files.count) : damaged
    return joined(files.indices.map { index -> [UInt8] in
      let mutator = files[index].mutator
      guard index == damaged || index == other else { return mutator.example }
      return random.chance(3) ? mutator.input(&random) : mutator.otherNumbers(&random)
    })
  }

  /// The folder as it is meant.
  func sound() -> [UInt8] { joined(files.map(\.mutator.example)) }

  /// The files one after another, each after its length.
  private func joined(_ texts: [[UInt8]]) -> [UInt8] {
    var result: [UInt8] = []
    for (file, content) in zip(files, texts) {
      var text = content
      if file.name == "model.safetensors" {
        let header = text
        text = [UInt8](repeating: 0, count: 8) + header + [UInt8](repeating: 0x3C, count: dataCount)
        text.overwrite(at: 0, with: UInt64(header.count), width: 8)
      }
      var length = [UInt8](repeating: 0, count: 4)
      length.overwrite(at: 0, with: UInt64(text.count), width: 4)
      result += length + text
    }
    return result
  }

  /// Writes the files into the folder and does with the model what it is for.
  func run(_ input: ArraySlice<UInt8>, in folder: String) throws {
    var rest = input
    for (name, _) in files {
      let length = rest.prefix(4).reversed().reduce(0) { $0 << 8 | Int($1) }
      rest = rest.dropFirst(4)
      // What was mapped keeps its pages: the file takes the place of another. Foundation would wait for the disk.
      let path = folder + "/" + name, content = Array(rest.prefix(length)), file = fopen(path + ".new", "wb")
      promise(file.map { fwrite(content, 1, content.count, $0) == content.count && fclose($0) == 0 } == true, "disk full")
      promise(rename(path + ".new", path) == 0, "\(path) can be replaced")
      rest = rest.dropFirst(length)
    }
    switch use {
    case .reads:
      let encoder = try TextEncoder(path: folder, threads: 1)
      for texts in [["ab b", "the aa abc ab"], [""], [String(repeating: "a ", count: 300)]] {
        attempt {
          let vectors = try encoder.embeddings(of: texts)
          promise(vectors.count == texts.count, "each text has a vector")
        }
      }
      attempt {
        let scores = try encoder.labelScores(of: [("ab", "b"), ("a", nil)])
        promise(scores.allSatisfy { $0.count == encoder.labels.count }, "each label has a score")
      }
      attempt { _ = try encoder.fill("a [MASK] b [MASK]", top: 3) }
    case .rewrites:
      let rewriter = try TextRewriter(path: folder, threads: 1)
      for text in ["ab b", "", String(repeating: "ab ", count: 100)] {
        attempt { try rewriter.rewrite(text, options: GenerationOptions(maximumResponseTokens: 4)) { _ in true } }
      }
    }
  }

  /// A text that the model cannot take is refused with an error; that the next one may be fine is the point.
  private func attempt(_ body: () throws -> Void) {
    do { try body() } catch { promise(!"\(error)".contains(where: \.isNewline), "an error is one line") }
  }
}

extension FolderSketch {
  /// BERT with everything that it can have: segments, a pooler, labels, a head that fills masks.
  static func encoder() throws -> FolderSketch {
    var tensors: [(name: String, shape: [Int])] = []
    func linear(_ name: String, _ outputs: Int, _ inputs: Int) {
      tensors += [(name + ".weight", [outputs, inputs]), (name + ".bias", [outputs])]
    }
    func norm(_ name: String) { tensors += [(name + ".weight", [16]), (name + ".bias", [16])] }
    for (name, rows) in [("word", 8), ("position", 12), ("token_type", 2)] {
      tensors.append(("bert.embeddings.\(name)_embeddings.weight", [rows, 16]))
    }
    norm("bert.embeddings.LayerNorm")
    let layer = "bert.encoder.layer.0."
    for part in ["attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense"] {
      linear(layer + part, 16, 16)
    }
    norm(layer + "attention.output.LayerNorm")
    linear(layer + "intermediate.dense", 32, 16)
    linear(layer + "output.dense", 16, 32)
    norm(layer + "output.LayerNorm")
    linear("bert.pooler.dense", 16, 16)
    linear("classifier", 3, 16)
    linear("cls.predictions.transform.dense", 16, 16)
    norm("cls.predictions.transform.LayerNorm")
    tensors.append(("cls.predictions.bias", [8]))
    return try FolderSketch(
      .reads,
      config: #"{"model_type":"bert","hidden_size":16,"num_hidden_layers":1,"num_attention_heads":1,"vocab_size":8,"#
        + #""intermediate_size":32,"max_position_embeddings":12,"type_vocab_size":2,"layer_norm_eps":1e-12,"#
        + #""hidden_act":"gelu","id2label":{"0":"no","1":"maybe","2":"yes"},"pad_token_id":0}"#,
      tensors: tensors,
      tokenizer: ###"{"added_tokens":[{"id":1,"content":"[CLS]","special":true,"normalized":false},"###
        + ###"{"id":2,"content":"[SEP]","special":true},{"id":3,"content":"[MASK]","special":true}],"###
        + ###""normalizer":{"type":"BertNormalizer"},"pre_tokenizer":{"type":"BertPreTokenizer"},"###
        + ###""post_processor":{"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"[CLS]","type_id":0}},"###
        + ###"{"Sequence":{"id":"A","type_id":0}}],"pair":[{"Sequence":{"id":"A","type_id":0}},"###
        + ###"{"SpecialToken":{"id":"[SEP]","type_id":0}},{"Sequence":{"id":"B","type_id":1}}],"special_tokens":{"###
        + ###""[CLS]":{"id":"[CLS]","ids":[1],"tokens":["[CLS]"]},"[SEP]":{"id":"[SEP]","ids":[2],"tokens":["[SEP]"]}}},"###
        + ###""model":{"type":"WordPiece","unk_token":"[UNK]","vocab":{"[UNK]":0,"[CLS]":1,"[SEP]":2,"[MASK]":3,"###
        + ###""a":4,"b":5,"##b":6,"the":7}}}"###)
  }

  /// T5 with one layer on either side.
  static func encoderDecoder() throws -> FolderSketch {
    var tensors: [(name: String, shape: [Int])] = [("shared.weight", [8, 16])]
    for (side, blocks) in [("encoder", ["SelfAttention"]), ("decoder", ["SelfAttention", "EncDecAttention"])] {
      let block = "\(side).block.0.layer."
      for (place, attention) in blocks.enumerated() {
        for part in ["q", "k", "v", "o"] { tensors.append(("\(block)\(place).\(attention).\(part).weight", [16, 16])) }
        tensors.append(("\(block)\(place).layer_norm.weight", [16]))
      }
      tensors.append(("\(block)0.SelfAttention.relative_attention_bias.weight", [4, 1]))
      for (part, shape) in [("wi", [32, 16]), ("wo", [16, 32])] {
        tensors.append(("\(block)\(blocks.count).DenseReluDense.\(part).weight", shape))
      }
      tensors += [("\(block)\(blocks.count).layer_norm.weight", [16]), ("\(side).final_layer_norm.weight", [16])]
    }
    return try FolderSketch(
      .rewrites,
      config: #"{"model_type":"t5","d_model":16,"d_kv":16,"d_ff":32,"num_layers":1,"num_decoder_layers":1,"num_heads":1,"#
        + #""vocab_size":8,"relative_attention_num_buckets":4,"relative_attention_max_distance":9,"#
        + #""layer_norm_epsilon":1e-6,"decoder_start_token_id":0,"eos_token_id":1,"feed_forward_proj":"relu"}"#,
      tensors: tensors,
      tokenizer: #"{"added_tokens":[{"id":1,"content":"</s>","special":true,"normalized":false}],"#
        + #""pre_tokenizer":{"type":"Metaspace","replacement":"▁","prepend_scheme":"always"},"post_processor":{"#
        + #""type":"TemplateProcessing","single":[{"Sequence":{"id":"A","type_id":0}},{"SpecialToken":{"id":"</s>","type_id":0}}],"#
        + #""pair":[{"Sequence":{"id":"A","type_id":0}}],"special_tokens":{"</s>":{"id":"</s>","ids":[1],"tokens":["</s>"]}}},"#
        + #""decoder":{"type":"Metaspace","replacement":"▁","prepend_scheme":"always"},"model":{"type":"Unigram","unk_id":2,"#
        + #""vocab":[["<p>",0],["</s>",0],["<u>",0],["▁",-1],["a",-2.5],["b",-3],["ab",-2],["▁ab",-2]]}}"#)
  }
}
