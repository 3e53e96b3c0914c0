// T5, FLAN-T5 and mT5 (Raffel et al. 2020; Chung et al. 2022; Xue et al. 2021): positions are distances.
import Checkpoints
import JSON
import Layers

enum T5: EncoderDecoderFamily {
  static let architectures = ["t5"]

  private static let attention: KeyValuePairs = [
    "layer.0.SelfAttention.q": "attn_q", "layer.0.SelfAttention.k": "attn_k", "layer.0.SelfAttention.v": "attn_v",
    "layer.0.SelfAttention.o": "attn_o", "layer.0.SelfAttention.relative_attention_bias": "attn_rel_b",
    "layer.0.layer_norm": "attn_norm",
  ]

  private static func feedForward(_ layer: Int, _ isGated: Bool) -> KeyValuePairs<String, String> {
    let (one, other) = isGated ? ("wi_1", "wi") : ("wi", "wi_1")
    return [
      "layer.\(layer).DenseReluDense.wi_0": "ffn_gate", "layer.\(layer).DenseReluDense.\(one)": "ffn_up",
      "layer.\(layer).DenseReluDense.\(other)": "ffn_up", "layer.\(layer).DenseReluDense.wo": "ffn_down",
      "layer.\(layer).layer_norm": "ffn_norm",
    ]
  }

  /// Both are read alike; with a gate the second map is called otherwise than without.
  static let forms = [form(isGated: true), form(isGated: false)]

  private static func form(isGated: Bool) -> HuggingFaceForm {
    HuggingFaceForm(
      ["t5", "mt5"], as: "t5", class: "T5ForConditionalGeneration",
      spellings: ["n_positions", "d_model", "num_layers", "num_heads", "d_kv", "d_ff", "layer_norm_epsilon"],
      names: [
        ("shared", "token_embd"), ("encoder.final_layer_norm", "enc.output_norm"),
        ("decoder.final_layer_norm", "dec.output_norm"), ("lm_head", "output"),
      ] + layerNames("encoder.block.{}.", "enc.blk.{}.", attention)
        + layerNames("encoder.block.{}.", "enc.blk.{}.", feedForward(1, isGated))
        + layerNames("decoder.block.{}.", "dec.blk.{}.", attention)
        + layerNames("decoder.block.{}.", "dec.blk.{}.", [
          "layer.1.EncDecAttention.q": "cross_attn_q", "layer.1.EncDecAttention.k": "cross_attn_k",
          "layer.1.EncDecAttention.v": "cross_attn_v", "layer.1.EncDecAttention.o": "cross_attn_o",
          "layer.1.layer_norm": "cross_attn_norm",
        ]) + layerNames("decoder.block.{}.", "dec.blk.{}.", feedForward(2, isGated)),
      ignored: ["embed_tokens.weight", "EncDecAttention.relative_attention_bias.weight"],
      required: isGated ? ["enc.blk.0.ffn_gate.weight"] : []
    ) { translation in
      let config = translation.config
      translation.set(
        "attention.layer_norm_rms_epsilon", try config["layer_norm_epsilon"]?.double() ?? 1e-6)
      // Positions are distances, so nothing ends here; but a reader of GGUF asks, and T5 was trained on so many tokens.
      if try translation.int("context_length") == nil { translation.set("context_length", 512) }
      translation.set("decoder_block_count", try config["num_decoder_layers"]?.int() ?? translation.layerCount())
      translation.set(
        "attention.relative_buckets_count", try config["relative_attention_num_buckets"]?.int(in: 1...1 << 12) ?? 32)
      translation.set(
        "attention.relative_maximum_distance", try config["relative_attention_max_distance"]?.int(in: 1...1 << 20) ?? 128)
      // What feed_forward_proj says of the activation, dense_act_fn may not repeat.
      if config["dense_act_fn"] == nil, let kind = try config["feed_forward_proj"]?.string() {
        translation.set("hidden_act", kind == "gated-gelu" ? "gelu_new" : String(kind.split(separator: "-").last ?? "relu"))
      }
    } compose: {
      try composed($0)
    }
  }

  @Sendable private static func composed(_ checkpoint: any Checkpoint) throws -> [String: JSONValue] {
    let metadata = checkpoint.metadata, isGated = checkpoint.contains("enc.blk.0.ffn_gate.weight")
    let layers = try metadata.int(required: "t5.block_count")
    return [
      "is_encoder_decoder": true, "feed_forward_proj": isGated ? "gated-gelu" : "relu",
      "num_decoder_layers": .int(try metadata.int("t5.decoder_block_count") ?? layers),
      "relative_attention_num_buckets": .int(try metadata.int("t5.attention.relative_buckets_count") ?? 32),
      "relative_attention_max_distance": .int(try metadata.int("t5.attention.relative_maximum_distance") ?? 128),
      "layer_norm_epsilon": .double(
        try metadata.float(required: "t5.attention.layer_norm_rms_epsilon").nearestFloat),
    ]
  }

  static func configuration(_ checkpoint: any Checkpoint) throws -> EncoderDecoderConfiguration {
    let metadata = checkpoint.metadata
    var layer = try LayerConfiguration(checkpoint, architecture: "t5", block: "enc.blk.0.")
    layer.activation = try checkpoint.activation("t5") ?? (layer.isGated ? .geluTanh : .relu)
    layer.attentionScale = 1
    let layers = try metadata.int(required: "t5.block_count", in: 1...1 << 12)
    try checkpoint.check(layers: layers, key: "t5.block_count", block: "enc.blk.")
    let buckets = try metadata.int("t5.attention.relative_buckets_count", in: 4...1 << 12) ?? 32
    let distance = try metadata.int("t5.attention.relative_maximum_distance", in: 1...1 << 20) ?? 128
    guard distance > buckets / 2 else {
      throw metadata.error("t5.attention.relative_maximum_distance", "\(distance) is not beyond the \(buckets / 2) exact distances")
    }
    let encoder = EncoderDecoderConfiguration.Half(
      layer: layer, layers: layers, hasEmbeddingNorm: false, hasFinalNorm: true, relative: (buckets, distance))
    var decoder = encoder
    decoder.layers = try metadata.int("t5.decoder_block_count", in: 1...1 << 12) ?? layers
    try checkpoint.check(layers: decoder.layers, key: "t5.decoder_block_count", block: "dec.blk.")
    decoder.layer.hasCrossAttention = true
    let isTied = !checkpoint.contains("output.weight")
    return EncoderDecoderConfiguration(
      architecture: "t5", vocabulary: try checkpoint.tensor(required: "token_embd.weight").rowCount, contextLength: nil,
      encoder: encoder, decoder: decoder, isHeadTied: isTied, headHasBias: false,
      scoreScale: isTied ? 1 / Float(layer.width).squareRoot() : 1,
      startToken: Int32(try metadata.int("t5.decoder_start_token_id", in: 0...Int(Int32.max)) ?? 0))
  }
}
