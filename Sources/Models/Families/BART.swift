// BART (Lewis et al. 2020): the first transformer's shape, with learnt positions.
import Checkpoints
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
      ["bart"], as: "bart", prefixes: ["model."],
      names: [
        ("shared", "token_embd"), ("lm_head", "output"), ("final_logits_bias", "output.bias"),
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
    }
  ]

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
