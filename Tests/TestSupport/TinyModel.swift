// Models small enough to be made by a test, so that whole programs are tested without a download.
import Checkpoints
import Foundation
import Tensors
import Tokenization

/// Makes GGUF files of decoders with random weights: real architectures, tokenizers and formats, a few hundred kB.
///
/// What such a model writes makes no sense, but it is the same for the same seed, and with greedy choice it is
/// lower-case letters and spaces that never end by themselves.
public enum TinyModel {
  public enum Architecture: String, Sendable, CaseIterable {
    /// With a byte-level tokenizer and ChatML turns.
    case llama
    /// With a SentencePiece tokenizer and Gemma's turns.
    case gemma3
  }

  /// Writes a model.
  /// - Parameters:
  ///   - dataType: of the matrices: F32, F16, BF16, Q4_0, Q4_1 or Q8_0.
  ///   - isTied: the embedding is the output head too; then anything may be written.
  ///   - hasChatTemplate: a model without one continues text.
  /// - Throws: `CheckpointError` when the file cannot be written.
  public static func write(
    to file: URL, architecture: Architecture = .llama, dataType: DataType = .q8_0, layers: Int = 2,
    contextLength: Int = 512, isTied: Bool = false, hasChatTemplate: Bool = true, seed: UInt64 = 1
  ) throws {
    let width = 64, headWidth = 32, heads = 2, keyValueHeads = 1, hidden = 96
    let vocabulary = architecture == .llama ? byteLevel : sentencePiece
    var writer = GGUFWriter(path: file.path)
    describe(&writer.metadata, architecture, [
      "embedding_length": width, "block_count": layers, "attention.head_count": heads,
      "attention.head_count_kv": keyValueHeads, "attention.key_length": headWidth,
      "attention.value_length": headWidth, "feed_forward_length": hidden, "context_length": contextLength,
      "attention.sliding_window": architecture == .gemma3 ? 16 : 0,
    ])
    vocabulary.write(into: &writer.metadata)
    if hasChatTemplate { writer.metadata.set("tokenizer.chat_template", .string(vocabulary.chatTemplate)) }

    var chance = Chance(state: seed)
    func add(_ name: String, _ shape: [Int], _ values: [Float], _ type: DataType) throws {
      guard let bytes = type.quantized(values) else { throw Unsupported(dataType: type) }
      try writer.addTensor(name + ".weight", dataType: type, shape: shape, bytes: bytes)
    }
    func matrix(_ name: String, _ inputs: Int, _ outputs: Int) throws {
      let scale = 1 / Float(inputs).squareRoot()
      try add(name, [inputs, outputs], (0..<inputs * outputs).map { _ in chance.normal() * scale }, dataType)
    }
    func norm(_ name: String, _ width: Int) throws {
      try add(name, [width], (0..<width).map { _ in 1 + chance.normal() / 10 }, .f32)
    }

    let rows = vocabulary.pieces.count
    try matrix("token_embd", width, rows)
    for layer in 0..<layers {
      func name(_ part: String) -> String { "blk.\(layer).\(part)" }
      try norm(name("attn_norm"), width)
      try matrix(name("attn_q"), width, heads * headWidth)
      try matrix(name("attn_k"), width, keyValueHeads * headWidth)
      try matrix(name("attn_v"), width, keyValueHeads * headWidth)
      try matrix(name("attn_output"), heads * headWidth, width)
      try norm(name("ffn_norm"), width)
      try matrix(name("ffn_gate"), width, hidden)
      try matrix(name("ffn_up"), width, hidden)
      try matrix(name("ffn_down"), hidden, width)
      guard architecture == .gemma3 else { continue }
      try norm(name("attn_q_norm"), headWidth)
      try norm(name("attn_k_norm"), headWidth)
      try norm(name("post_attention_norm"), width)
      try norm(name("post_ffw_norm"), width)
    }
    try norm("output_norm", width)
    if !isTied {
      // Of all scores only those of text that a test can read are not 0; the best of so many is above it.
      let values = (0..<rows).flatMap { row in
        let scale: Float = vocabulary.plain.contains(row) ? 1 : 0
        return (0..<width).map { _ in chance.normal() * scale }
      }
      try add("output", [width, rows], values, dataType)
    }
    try writer.write()
  }

  private struct Unsupported: Error, CustomStringConvertible {
    let dataType: DataType
    var description: String { "a tiny model cannot be made of \(dataType.name)" }
  }

  private static func describe(
    _ metadata: inout GGUFMetadata, _ architecture: Architecture, _ sizes: KeyValuePairs<String, Int>
  ) {
    metadata.set("general.architecture", .string(architecture.rawValue))
    metadata.set("general.name", .string("tiny \(architecture.rawValue)"))
    for (key, value) in sizes { metadata.set("\(architecture.rawValue).\(key)", .uint32(UInt32(value))) }
    metadata.set("\(architecture.rawValue).attention.layer_norm_rms_epsilon", .float32(1e-5))
    metadata.set("\(architecture.rawValue).rope.freq_base", .float32(10_000))
  }
}

extension TinyModel {
  private struct Vocabulary {
    var model: TokenizerModel
    var pieces: [String] = []
    var kinds: [TokenKind] = []
    var scores: [Float] = []
    var merges: [String] = []
    /// Tokens that a model without tied weights writes.
    var plain: Set<Int> = []
    var ids: KeyValuePairs<String, String>
    var chatTemplate: String

    mutating func add(_ piece: String, _ kind: TokenKind = .normal, score: Float = 0) {
      pieces.append(piece)
      kinds.append(kind)
      scores.append(score)
    }

    func write(into metadata: inout GGUFMetadata) {
      let key = { "tokenizer.ggml." + $0 }
      metadata.set(key("model"), .string(model.rawValue))
      metadata.set(key("tokens"), .strings(pieces))
      metadata.set(key("token_type"), .array(GGUFArray(kinds.map { Int32($0.rawValue) })))
      if model == .byteLevelBPE {
        metadata.set(key("pre"), .string("gpt-2"))
        metadata.set(key("merges"), .strings(merges))
      } else {
        metadata.set(key("scores"), .array(GGUFArray(scores)))
        metadata.set(key("add_bos_token"), .bool(true))
        metadata.set(key("add_space_prefix"), .bool(false))
      }
      for (name, piece) in ids {
        if let id = pieces.firstIndex(of: piece) { metadata.set(key(name + "_token_id"), .uint32(UInt32(id))) }
      }
    }
  }

  /// Every byte in GPT-2's alphabet, and a few merges.
  private static var byteLevel: Vocabulary {
    var vocabulary = Vocabulary(
      model: .byteLevelBPE, ids: ["bos": "<|endoftext|>", "eos": "<|im_end|>"],
      chatTemplate: """
        {% for message in messages %}<|im_start|>{{ message.role }}
        {{ message.content }}<|im_end|>
        {% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
        {% endif %}
        """)
    for piece in ["<|endoftext|>", "<|im_start|>", "<|im_end|>"] { vocabulary.add(piece, .control) }
    var next: UInt32 = 0x100
    for byte in UInt32(0)...255 {
      // Printable Latin-1 stands for itself.
      let isPrintable = (0x21...0x7E).contains(byte) || (0xA1...0xAC).contains(byte) || byte >= 0xAE
      let code = isPrintable ? byte : next
      if !isPrintable { next += 1 }
      if byte == 0x20 || (0x61...0x7A).contains(byte) { vocabulary.plain.insert(vocabulary.pieces.count) }
      vocabulary.add(Unicode.Scalar(code).map { String(Character($0)) } ?? "")
    }
    for (left, right) in [("t", "h"), ("th", "e"), ("i", "n"), ("Ġ", "a")] {
      vocabulary.merges.append("\(left) \(right)")
      vocabulary.plain.insert(vocabulary.pieces.count)
      vocabulary.add(left + right)
    }
    return vocabulary
  }

  /// Every byte as a byte token, the letters, and a few longer pieces.
  private static var sentencePiece: Vocabulary {
    var vocabulary = Vocabulary(
      model: .sentencePiece, ids: ["bos": "<bos>", "eos": "<eos>", "eot": "<end_of_turn>", "unknown": "<unk>"],
      chatTemplate: """
        {{ bos_token }}{% for message in messages %}<start_of_turn>\
        {{ 'model' if message.role == 'assistant' else message.role }}
        {{ message.content | trim }}<end_of_turn>
        {% endfor %}{% if add_generation_prompt %}<start_of_turn>model
        {% endif %}
        """)
    for piece in ["<pad>", "<eos>", "<bos>"] { vocabulary.add(piece, .control) }
    vocabulary.add("<unk>", .unknown)
    for piece in ["<start_of_turn>", "<end_of_turn>"] { vocabulary.add(piece, .control) }
    for byte in 0...255 { vocabulary.add("<0x" + String(format: "%02X", byte) + ">", .byte) }
    for code in UInt8(ascii: "a")...UInt8(ascii: "z") {
      vocabulary.plain.insert(vocabulary.pieces.count)
      vocabulary.add(String(UnicodeScalar(code)), score: -20)
    }
    for (rank, piece) in ["▁", "th", "the", "▁a"].enumerated() {
      vocabulary.plain.insert(vocabulary.pieces.count)
      vocabulary.add(piece, score: Float(-1 - rank))
    }
    return vocabulary
  }

  /// SplitMix64 (Steele, Lea, Flood 2014), so that a seed gives the same model everywhere.
  private struct Chance {
    var state: UInt64

    mutating func uniform() -> Float {
      state &+= 0x9E37_79B9_7F4A_7C15
      var mixed = state
      mixed = (mixed ^ mixed >> 30) &* 0xBF58_476D_1CE4_E5B9
      mixed = (mixed ^ mixed >> 27) &* 0x94D0_49BB_1331_11EB
      return Float((mixed ^ mixed >> 31) >> 40) / Float(1 << 24)
    }

    /// About a normal distribution of mean 0 and variance 1: a sum of twelve uniform numbers.
    mutating func normal() -> Float { (0..<12).reduce(-6) { sum, _ in sum + uniform() } }
  }
}
