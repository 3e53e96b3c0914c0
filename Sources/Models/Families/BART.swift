// BART (Lewis et al. 2020): the first transformer's shape, with learnt positions.
import Checkpoints
import JSON
import Layers

enum BART: EncoderDecoderFamily {
  static let architectures = ["bart"]

  private static let layer: KeyValuePairs = [
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.out_proj": "attn_o", "self_attn_layer_norm": "attn_output_norm", "fc1": "ffn_up", "fc2": "ffn_down",
    "final_layer_norm": "layer_output_norm",
  ]

  static let forms = [
    HuggingFaceForm(
      ["bart"], as: "bart", class: "BartForConditionalGeneration", prefixes: ["model."],
      beside: ["lm_head", "final_logits_bias"],
      spellings: ["d_model", "encoder_layers", "encoder_attention_heads", "encoder_ffn_dim"],
      names: [
        ("shared", "token_embd"), ("final_logits_bias", "output.bias"), ("lm_head", "output"),
        ("encoder.embed_positions", "enc.position_embd"), ("decoder.embed_positions", "dec.position_embd"),
        ("encoder.layernorm_embedding", "enc.token_embd_norm"), ("decoder.layernorm_embedding", "dec.token_embd_norm"),
      ] + layerNames("encoder.layers.{}.", "enc.blk.{}.", layer) + layerNames("decoder.layers.{}.", "dec.blk.{}.", layer)
        + layerNames("decoder.layers.{}.", "dec.blk.{}.", [
          "encoder_attn.q_proj": "cross_attn_q", "encoder_attn.k_proj": "cross_attn_k",
          "encoder_attn.v_proj": "cross_attn_v", "encoder_attn.out_proj": "cross_attn_o",
          "encoder_attn_layer_norm": "cross_attn_output_norm",
        ]), ignored: ["embed_tokens.weight"]
    ) { translation in
      let config = translation.config
      translation.transforms["position_embd"] = .withoutRows(2)
      translation.set("attention.layer_norm_epsilon", 1e-5)
      translation.set("decoder_block_count", try config["decoder_layers"]?.int() ?? translation.layerCount())
      translation.set("scales_embedding", try translation.flag("scale_embedding", default: false))
      for (one, other) in [("encoder_ffn_dim", "decoder_ffn_dim"), ("encoder_attention_heads", "decoder_attention_heads")] {
        guard let given = config[other], given.value != config[one]?.value else { continue }
        throw given.error("differs from \(one): not supported")
      }
    } compose: {
      try composed($0)
    }
  ]

  @Sendable private static func composed(_ checkpoint: any Checkpoint) throws -> [String: JSONValue] {
    let metadata = checkpoint.metadata
    return [
      "is_encoder_decoder": true, "scale_embedding": .bool(try metadata.bool("bart.scales_embedding") ?? false),
      "decoder_layers": .int(try metadata.int("bart.decoder_block_count") ?? metadata.int(required: "bart.block_count")),
      "decoder_attention_heads": .int(try metadata.int(required: "bart.attention.head_count")),
      "decoder_ffn_dim": .int(try metadata.int(required: "bart.feed_forward_length")),
      "max_position_embeddings": .int(try checkpoint.tensor(required: "enc.position_embd.weight").rowCount),
      "activation_function": .string(try metadata.string("bart.hidden_act") ?? "gelu"),
    ]
  }

  static func configuration(_ checkpoint: any Checkpoint) throws -> EncoderDecoderConfiguration {
    let metadata = checkpoint.metadata
    var layer = try LayerConfiguration(checkpoint, architecture: "bart", block: "enc.blk.0.")
    layer.activation = try checkpoint.activation("bart") ?? .gelu
    let half = { (side: String, layers: Int) in
      EncoderDecoderConfiguration.Half(
        layer: layer, layers: layers,
        positions: try checkpoint.tensor(required: "\(side).position_embd.weight").rowCount,
        hasEmbeddingNorm: checkpoint.contains("\(side).token_embd_norm.weight"), hasFinalNorm: false)
    }
    let layers = try metadata.int(required: "bart.block_count", in: 1...1 << 12)
    try checkpoint.check(layers: layers, key: "bart.block_count", block: "enc.blk.")
    let encoder = try half("enc", layers)
    var decoder = try half("dec", try metadata.int("bart.decoder_block_count", in: 1...1 << 12) ?? layers)
    try checkpoint.check(layers: decoder.layers, key: "bart.decoder_block_count", block: "dec.blk.")
    decoder.layer.hasCrossAttention = true
    return EncoderDecoderConfiguration(
      architecture: "bart", vocabulary: try checkpoint.tensor(required: "token_embd.weight").rowCount,
      contextLength: min(encoder.positions ?? .max, decoder.positions ?? .max), encoder: encoder, decoder: decoder,
      embeddingScale: try metadata.bool("bart.scales_embedding") == true ? Float(layer.width).squareRoot() : 1,
      isHeadTied: !checkpoint.contains("output.weight"), headHasBias: checkpoint.contains("output.bias"),
      startToken: Int32(try metadata.int("bart.decoder_start_token_id", in: 0...Int(Int32.max)) ?? 2))
  }
}
