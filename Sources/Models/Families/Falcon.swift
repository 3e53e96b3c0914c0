// Falcon (Almazrouei et al. 2023): attention and feed-forward side by side, few key-value heads.
import Checkpoints
import JSON

enum Falcon: DecoderFamily {
  static let architectures = ["falcon"]

  /// Both are read alike; where there are two norms, the first is called otherwise.
  static let forms = [form(norms: ["ln_mlp", "input_layernorm"]), form(norms: ["input_layernorm", "ln_mlp"])]

  private static func form(norms: [String]) -> HuggingFaceForm {
    HuggingFaceForm(
      ["falcon", "RefinedWeb", "RefinedWebModel"], as: "falcon", class: "FalconForCausalLM", prefixes: ["transformer."],
      spellings: ["ffn_hidden_size", "layer_norm_epsilon"],
      // GGUF calls what feed-forward reads the first norm, where there are two.
      names: norms.map { ("h.{}." + $0, "blk.{}.attn_norm") }
        + [("word_embeddings", "token_embd"), ("ln_f", "output_norm"), ("lm_head", "output")]
        + layerNames("h.{}.", "blk.{}.", [
          "ln_attn": "attn_norm_2", "post_attention_layernorm": "ffn_norm",
          "self_attention.query_key_value": "attn_qkv", "self_attention.dense": "attn_output",
          "mlp.dense_h_to_4h": "ffn_up", "mlp.dense_4h_to_h": "ffn_down",
        ]), required: norms[0] == "ln_mlp" ? ["blk.0.attn_norm_2.weight"] : [], describe: describe, compose: compose)
  }

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

  /// The newer architecture is that of 40B, with as many norms and key-value heads as one likes.
  @Sendable private static func compose(_ checkpoint: any Checkpoint) throws -> [String: JSONValue] {
    let metadata = checkpoint.metadata, heads = try metadata.int(required: "falcon.attention.head_count", in: 1...1 << 12)
    let keyValueHeads = try metadata.int("falcon.attention.head_count_kv", in: 1...heads) ?? heads
    let norms = checkpoint.contains("blk.0.attn_norm_2.weight") ? 2 : 1
    return [
      "new_decoder_architecture": .bool(norms == 2 || keyValueHeads > 1 && keyValueHeads < heads),
      "num_ln_in_parallel_attn": .int(norms), "num_kv_heads": .int(keyValueHeads),
      "multi_query": .bool(keyValueHeads == 1), "alibi": false,
      "parallel_attn": .bool(try metadata.bool("falcon.use_parallel_residual") ?? true),
      "bias": .bool(checkpoint.contains("blk.0.attn_qkv.bias")),
      "activation": .string(try metadata.string("falcon.hidden_act") ?? "gelu"),
    ]
  }

  static func configuration(_ checkpoint: any Checkpoint) throws -> DecoderConfiguration {
    var configuration = try DecoderConfiguration(checkpoint, rotation: .halves)
    configuration.layer.activation = try checkpoint.activation(configuration.architecture) ?? .gelu
    configuration.layer.isParallel = try checkpoint.metadata.bool("falcon.use_parallel_residual") ?? true
    return configuration
  }
}
