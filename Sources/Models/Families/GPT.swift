// GPT-2 (Radford et al. 2019), GPT-J (Wang and Komatsuzaki 2021), and GPT-NeoX (Black et al. 2022) with Pythia,
// RedPajama-INCITE, StableLM-Alpha and Polyglot-Ko.
import Checkpoints

enum GPT2: DecoderFamily {
  static let architectures = ["gpt2"]

  static let forms = [
    HuggingFaceForm(
      ["gpt2"], as: "gpt2", class: "GPT2LMHeadModel", prefixes: ["transformer."],
      spellings: ["n_embd", "n_layer", "n_head", "n_inner", "n_positions", "layer_norm_epsilon"],
      names: [
        ("wte", "token_embd"), ("wpe", "position_embd"), ("ln_f", "output_norm"), ("lm_head", "output"),
      ] + layerNames("h.{}.", "blk.{}.", [
        "ln_1": "attn_norm", "attn.c_attn": "attn_qkv", "attn.c_proj": "attn_output", "ln_2": "ffn_norm",
        "mlp.c_fc": "ffn_up", "mlp.c_proj": "ffn_down",
      ]), ignored: [".attn.bias"]
    ) { translation in
      for matrix in ["attn_qkv", "attn_output", "ffn_up", "ffn_down"] { translation.transforms[matrix] = .transposed }
      for odd in ["scale_attn_by_inverse_layer_idx", "add_cross_attention"] where try translation.flag(odd, default: false) {
        throw translation.config[odd]?.error("not supported") ?? translation.config.error("not supported")
      }
    }
  ]

  static func configuration(_ checkpoint: any Checkpoint) throws -> DecoderConfiguration {
    var configuration = try DecoderConfiguration(checkpoint, rotation: nil)
    configuration.layer.activation = try checkpoint.activation(configuration.architecture) ?? .geluTanh
    return configuration
  }
}

enum GPTJ: DecoderFamily {
  static let architectures = ["gptj"]

  static let forms = [
    HuggingFaceForm(
      ["gptj"], as: "gptj", class: "GPTJForCausalLM", prefixes: ["transformer."],
      spellings: ["n_embd", "n_layer", "n_head", "n_inner", "n_positions", "layer_norm_epsilon", "rotary_dim"],
      names: [("wte", "token_embd"), ("ln_f", "output_norm"), ("lm_head", "output")]
        + layerNames("h.{}.", "blk.{}.", [
          "ln_1": "attn_norm", "attn.q_proj": "attn_q", "attn.k_proj": "attn_k", "attn.v_proj": "attn_v",
          "attn.out_proj": "attn_output", "mlp.fc_in": "ffn_up", "mlp.fc_out": "ffn_down",
        ]), ignored: [".attn.bias"]) { $0.set("use_parallel_residual", true) }
  ]

  static func configuration(_ checkpoint: any Checkpoint) throws -> DecoderConfiguration {
    var configuration = try DecoderConfiguration(checkpoint, rotation: .interleaved)
    configuration.layer.activation = try checkpoint.activation(configuration.architecture) ?? .geluTanh
    configuration.layer.isParallel = true
    return configuration
  }
}

enum GPTNeoX: DecoderFamily {
  static let architectures = ["gptneox"]

  static let forms = [
    HuggingFaceForm(
      ["gpt_neox"], as: "gptneox", class: "GPTNeoXForCausalLM", prefixes: ["gpt_neox."],
      beside: ["embed_out"], spellings: ["rotary_emb_base", "rotary_pct"],
      names: [("embed_in", "token_embd"), ("final_layer_norm", "output_norm"), ("embed_out", "output")]
        + layerNames("layers.{}.", "blk.{}.", [
          "input_layernorm": "attn_norm", "attention.query_key_value": "attn_qkv", "attention.dense": "attn_output",
          "post_attention_layernorm": "ffn_norm", "mlp.dense_h_to_4h": "ffn_up", "mlp.dense_4h_to_h": "ffn_down",
        ]), ignored: [".attention.bias"]
    ) { translation in
      let heads = try translation.metadata.int(required: "gptneox.attention.head_count", in: 1...1 << 12)
      translation.transforms["attn_qkv"] = .ungrouped(groups: heads, counts: [1, 1, 1])
      translation.set("use_parallel_residual", try translation.flag("use_parallel_residual", default: true))
      if try translation.int("rope.dimension_count") == nil {
        translation.set("rope.dimension_count", try translation.headWidth() / 4)
      }
    }
  ]

  static func configuration(_ checkpoint: any Checkpoint) throws -> DecoderConfiguration {
    var configuration = try DecoderConfiguration(checkpoint, rotation: .halves)
    configuration.layer.activation = try checkpoint.activation(configuration.architecture) ?? .gelu
    return configuration
  }
}
