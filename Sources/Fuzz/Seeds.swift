// The files that damage starts from: small models and tokenizers of every kind, complete and valid.
import Checkpoints
import Tensors
import Tokenization

extension ModelSketch {
  /// A decoder of one or two layers.
  static func decoder(
    _ architecture: String, width: Int, heads: Int, keyValueHeads: Int, hidden: Int, vocabulary: Int, layers: Int,
    matrix: DataType, down: DataType, embedding: DataType, isHeadTied: Bool, more: [(String, GGUFValue)] = []
  ) -> ModelSketch {
    func key(_ name: String) -> String { "\(architecture).\(name)" }
    var sketch = ModelSketch(metadata: [
      ("general.architecture", .string(architecture)), ("general.name", .string("Tiny")),
      ("general.file_type", .uint32(2)), ("general.languages", .strings(["en", "ko"])),
      (key("embedding_length"), .uint32(UInt32(width))), (key("block_count"), .uint32(UInt32(layers))),
      (key("attention.head_count"), .uint32(UInt32(heads))),
      (key("attention.head_count_kv"), .uint32(UInt32(keyValueHeads))),
      (key("feed_forward_length"), .uint32(UInt32(hidden))), (key("context_length"), .uint32(128)),
      (key("attention.layer_norm_rms_epsilon"), .float32(1e-5)), (key("rope.freq_base"), .float32(10_000)),
    ])
    sketch.metadata += more
    let gemma = architecture == "gemma3", headWidth = width / heads
    func add(_ name: String, _ dataType: DataType, _ shape: [Int]) {
      sketch.parts.append(Part(name: name + ".weight", dataType: dataType, shape: shape))
    }
    add("token_embd", embedding, [width, vocabulary])
    add("output_norm", .f32, [width])
    if !isHeadTied { add("output", matrix, [width, vocabulary]) }
    for layer in 0..<layers {
      func layerPart(_ name: String, _ dataType: DataType, _ shape: [Int]) {
        add("blk.\(layer).\(name)", dataType, shape)
      }
      for name in ["attn_norm", "ffn_norm"] + (gemma ? ["post_attention_norm", "post_ffw_norm"] : []) {
        layerPart(name, .f32, [width])
      }
      if gemma { for name in ["attn_q_norm", "attn_k_norm"] { layerPart(name, .f32, [headWidth]) } }
      layerPart("attn_q", matrix, [width, heads * headWidth])
      layerPart("attn_k", matrix, [width, keyValueHeads * headWidth])
      layerPart("attn_v", down, [width, keyValueHeads * headWidth])
      layerPart("attn_output", matrix, [heads * headWidth, width])
      layerPart("ffn_gate", matrix, [width, hidden])
      layerPart("ffn_up", matrix, [width, hidden])
      layerPart("ffn_down", down, [hidden, width])
    }
    return sketch
  }

  static func decoders() -> [ModelSketch] {
    let small: [(DataType, DataType, DataType)] = [
      (.f32, .f16, .f32), (.q4_0, .q8_0, .q8_0), (.q4_1, .q5_0, .f16), (.bf16, .q5_1, .bf16), (.iq4_nl, .q4_0, .q4_0),
    ]
    let large: [(DataType, DataType, DataType)] = [(.q4_k, .q6_k, .q8_0), (.q3_k, .q5_k, .q2_k), (.iq4_xs, .f32, .q6_k)]
    let tokenizer = Self.sentencePiece().metadata.filter { $0.key != Self.textKey }
    return small.enumerated().map { index, types in
      decoder(
        "llama", width: 32, heads: 2, keyValueHeads: index % 2 + 1, hidden: 64, vocabulary: 40, layers: 1 + index % 2,
        matrix: types.0, down: types.1, embedding: types.2, isHeadTied: index % 2 == 0,
        more: index == 0
          ? tokenizer
          : [
            ("llama.rope.scaling.type", .string(index == 1 ? "yarn" : "linear")),
            ("llama.rope.scaling.factor", .float32(4)), ("llama.rope.dimension_count", .uint32(16)),
            ("llama.rope.scaling.original_context_length", .uint32(32)),
            ("llama.attention.sliding_window", .uint32(2)),
          ])
    } + large.map { types in
      decoder(
        "gemma3", width: 256, heads: 4, keyValueHeads: 1, hidden: 256, vocabulary: 24, layers: 1, matrix: types.0,
        down: types.1, embedding: types.2, isHeadTied: true,
        more: [
          ("gemma3.attention.key_length", .uint32(64)), ("gemma3.attention.value_length", .uint32(64)),
          ("gemma3.attention.sliding_window", .uint32(2)), ("gemma3.rope.freq_base_swa", .float32(10_000)),
        ])
    }
  }

  /// Holds the text that a tokenizer is tried with, as bytes.
  static let textKey = "fuzz.text"

  private static let tokenizerKey = "tokenizer.ggml."

  private static func tokenizer(
    _ model: String, _ pieces: [(piece: String, kind: TokenKind)], more: [(String, GGUFValue)]
  ) -> ModelSketch {
    ModelSketch(metadata: [
      (tokenizerKey + "model", .string(model)), (tokenizerKey + "tokens", .strings(pieces.map(\.piece))),
      (tokenizerKey + "token_type", .array(GGUFArray(pieces.map { Int32($0.kind.rawValue) }))),
      (tokenizerKey + "bos_token_id", .uint32(1)), (tokenizerKey + "eos_token_id", .uint32(2)),
      (tokenizerKey + "unknown_token_id", .uint32(0)), (tokenizerKey + "padding_token_id", .uint32(0)),
      (textKey, .array(GGUFArray([UInt8](repeating: 32, count: 1)))),
    ] + more)
  }

  static func sentencePiece() -> ModelSketch {
    let bytes = (0..<256).map { byte in
      let digits = String(byte, radix: 16, uppercase: true)
      return (piece: "<0x" + (digits.count < 2 ? "0" : "") + digits + ">", kind: TokenKind.byte)
    }
    let words = [
      "▁", "▁▁", "▁▁▁▁", "a", "b", "e", "h", "l", "o", "t", "th", "he", "the", "▁the", "ll", "hello", "▁hello", "é",
      "말", "모", "말모", "이", "\n", "\n\n", "😀",
    ].map { (piece: $0, kind: TokenKind.normal) }
    let special = [(piece: "<unk>", kind: TokenKind.unknown), ("<s>", .control), ("</s>", .control)]
    let user = [(piece: "<x>", kind: TokenKind.userDefined), ("<x><x>", .userDefined), ("<unused0>", .unused)]
    let pieces = special + bytes + words + user
    return tokenizer("llama", pieces, more: [
      (tokenizerKey + "scores", .array(GGUFArray(pieces.indices.map { -Float($0) }))),
      (tokenizerKey + "add_bos_token", .bool(true)), (tokenizerKey + "add_eos_token", .bool(false)),
      (tokenizerKey + "add_space_prefix", .bool(true)),
    ])
  }

  /// - Parameter preTokenizer: how text is cut into words.
  static func byteLevel(_ preTokenizer: String) -> ModelSketch {
    // The alphabet of GPT-2: printable Latin-1 stands for itself, the rest for what follows U+0100.
    var next: UInt32 = 0x100
    let alphabet = (0..<256).map { (byte: UInt32) -> String in
      let isPrintable = (0x21...0x7E).contains(byte) || (0xA1...0xAC).contains(byte) || (0xAE...0xFF).contains(byte)
      if !isPrintable { next += 1 }
      return Unicode.Scalar(isPrintable ? byte : next - 1).map { String($0) } ?? ""
    }
    let merges = [
      "t h", "h e", "th e", "Ġ the", "l l", "h ell", "e ll", "Ġ h", "Ġ Ġ", "ĠĠ ĠĠ", "Ċ Ċ", "1 2", "12 3", "Ã ©", "ë §",
      "ë§ Ĳ", "' s",
    ]
    var known = alphabet
    let joined = merges.compactMap { merge -> (merge: String, piece: String)? in
      let halves = merge.split(separator: " ").map(String.init)
      guard halves.allSatisfy(known.contains) else { return nil }
      known.append(halves.joined())
      return (merge, halves.joined())
    }
    let special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"].map { (piece: $0, kind: TokenKind.control) }
    let pieces = special + (alphabet + joined.map(\.piece)).map { (piece: $0, kind: TokenKind.normal) }
      + [(piece: "<x>", kind: TokenKind.userDefined)]
    return tokenizer("gpt2", pieces, more: [
      (tokenizerKey + "merges", .strings(joined.map(\.merge))), (tokenizerKey + "pre", .string(preTokenizer)),
      (tokenizerKey + "add_bos_token", .bool(false)),
    ])
  }
}
