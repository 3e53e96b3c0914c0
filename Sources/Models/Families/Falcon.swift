// Falcon (Almazrouei et al. 2023): attention and feed-forward side by side, few key-value heads.
import Checkpoints

enum Falcon: DecoderFamily {
  static let architectures = ["falcon"]

  static let forms = [
    HuggingFaceForm(
      ["falcon", "RefinedWeb", "RefinedWebModel"], as: "falcon", prefixes: ["transformer."],
      names: [("word_embeddings", "token_embd"), ("ln_f", "output_norm"), ("lm_head", "output")]
        + layerNames("h.{}.", "blk.{}.", [
          // GGUF calls what feed-forward reads the first norm, where there are two.
          "input_layernorm": "attn_norm", "ln_mlp": "attn_norm", "ln_attn": "attn_norm_2",
          "post_attention_layernorm": "ffn_norm", "self_attention.query_key_value": "attn_qkv",
          "self_attention.dense": "attn_output", "mlp.dense_h_to_4h": "ffn_up", "mlp.dense_4h_to_h": "ffn_down",
        ]), describe: describe)
  ]

  @Sendable private static func describe(_ translation: inout ConfigurationTranslation) throws {
    let config = translation.config
    if let alibi = config["alibi"], try alibi.bool() { throw alibi.error("positions by ALiBi are not supported") }
    let heads = try translation.metadata.int(required: "falcon.attention.head_count", in: 1...1 << 12)
    let keyValueHeads: Int
    if try translation.flag("new_decoder_architecture", default: false) {
      keyValueHeads = try (config["num_kv_heads"] ?? config["n_head_kv"])?.int(in: 1...heads) ?? heads
    } else {
      keyValueHeads = try translation.flag("multi_query", default: true) ? 1 : heads
    }
    translation.set("attention.head_count_kv", keyValueHeads)
    translation.set("use_parallel_residual", try translation.flag("parallel_attn", default: true))
    translation.transforms["attn_qkv"] = .ungrouped(groups: keyValueHeads, counts: [heads / keyValueHeads, 1, 1])
  }

  static func configuration(_ checkpoint: any Checkpoint) throws -> DecoderConfiguration {
    var configuration = try DecoderConfiguration(checkpoint, rotation: .halves)
    configuration.layer.activation = try checkpoint.activation(configuration.architecture) ?? .gelu
    configuration.layer.isParallel = try checkpoint.metadata.bool("falcon.use_parallel_residual") ?? true
    return configuration
  }
}
