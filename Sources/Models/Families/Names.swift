// Names that many families share in Hugging Face folders.
import Checkpoints

/// A table of the names within one layer: both beginnings, then pairs of what follows.
func layerNames(_ from: String, _ to: String, _ names: KeyValuePairs<String, String>) -> [(from: String, to: String)] {
  names.map { (from + $0.key, to + $0.value) }
}

/// The names of Llama, which most later decoders have kept.
let llamaNames = [
  (from: "model.embed_tokens", to: "token_embd"), ("model.norm", "output_norm"), ("lm_head", "output"),
] + llamaLayerNames([
  "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
])

/// The same, with a family's own norms.
func llamaNames(norms: KeyValuePairs<String, String>) -> [(from: String, to: String)] {
  llamaNames.prefix(3) + llamaLayerNames(norms)
}

private func llamaLayerNames(_ norms: KeyValuePairs<String, String>) -> [(from: String, to: String)] {
  layerNames("model.layers.{}.", "blk.{}.", norms) + layerNames("model.layers.{}.", "blk.{}.", [
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output", "self_attn.q_norm": "attn_q_norm", "self_attn.k_norm": "attn_k_norm",
    "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
  ])
}

extension ConfigurationTranslation {
  /// Queries and keys in the order in which GGUF's Llama rotates them.
  mutating func interleavePairs() throws {
    let heads = try metadata.int(required: key("attention.head_count"), in: 1...1 << 12)
    transforms["attn_q"] = .interleavedPairs(heads: heads)
    transforms["attn_k"] = .interleavedPairs(heads: try int("attention.head_count_kv") ?? heads)
  }
}
