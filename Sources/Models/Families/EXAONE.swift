// EXAONE 3.5 and 4 (LG AI Research 2024, 2025), Korean and English: Llama's shape; and one in which only the layers
// that see a window know positions.
import Checkpoints
import JSON

enum EXAONE: DecoderFamily {
  static let architectures = ["exaone", "exaone4"]

  static let forms = [
    HuggingFaceForm(
      ["exaone"], as: "exaone", class: "ExaoneForCausalLM", prefixes: ["transformer."],
      spellings: ["num_layers", "layer_norm_epsilon"],
      names: [("wte", "token_embd"), ("ln_f", "output_norm"), ("lm_head", "output")]
        + layerNames("h.{}.", "blk.{}.", [
          "ln_1": "attn_norm", "attn.attention.q_proj": "attn_q", "attn.attention.k_proj": "attn_k",
          "attn.attention.v_proj": "attn_v", "attn.attention.out_proj": "attn_output", "ln_2": "ffn_norm",
          "mlp.c_fc_0": "ffn_gate", "mlp.c_fc_1": "ffn_up", "mlp.c_proj": "ffn_down",
        ])
    ) {
      $0.set("attention.layer_norm_rms_epsilon", try $0.config.required("layer_norm_epsilon").double())
    } compose: {
      ["activation_function": .string(try $0.metadata.string("exaone.hidden_act") ?? "silu")]
    },
    HuggingFaceForm(
      ["exaone4"], as: "exaone4", class: "Exaone4ForCausalLM",
      names: llamaNames(norms: [
        "post_attention_layernorm": "post_attention_norm", "post_feedforward_layernorm": "post_ffw_norm",
      ])
    ) { translation in
      // A period, or a letter for each layer of one, such as LLLG.
      var period = 4
      if let pattern = translation.config["sliding_window_pattern"] {
        if case .string(let letters) = pattern.value { period = letters.utf8.count } else {
          period = try pattern.int(in: 0...1 << 12)
        }
      }
      try translation.setWindowPattern(period: [], default: period)
    },
  ]

  static func configuration(_ checkpoint: any Checkpoint) throws -> DecoderConfiguration {
    var configuration = try DecoderConfiguration(checkpoint, rotation: .halves)
    guard configuration.architecture == "exaone4", configuration.positions.contains(where: { $0.window != nil }) else {
      return configuration
    }
    try configuration.keepWindows(checkpoint, default: 4)
    for layer in 0..<configuration.layers where configuration.positions[layer].window == nil {
      configuration.positions[layer].rotation = nil
    }
    return configuration
  }
}
