// Qwen 2 (Yang et al. 2024) with biases on queries, keys and values; Qwen 3 with norms there, and with experts.
import Checkpoints

enum Qwen: DecoderFamily {
  static let architectures = ["qwen2", "qwen3", "qwen3moe"]

  static let forms = [
    HuggingFaceForm(["qwen2"], as: "qwen2", class: "Qwen2ForCausalLM", names: llamaNames, describe: windows),
    HuggingFaceForm(["qwen3"], as: "qwen3", class: "Qwen3ForCausalLM", names: llamaNames, describe: windows),
    HuggingFaceForm(
      ["qwen3_moe"], as: "qwen3moe", class: "Qwen3MoeForCausalLM",
      names: llamaNames + layerNames("model.layers.{}.mlp.", "blk.{}.", [
        "gate": "ffn_gate_inp", "experts.{}.gate_proj": "ffn_gate_exps", "experts.{}.up_proj": "ffn_up_exps",
        "experts.{}.down_proj": "ffn_down_exps",
      ])
    ) { translation in
      try windows(&translation)
      translation.set("expert_weights_norm", try translation.flag("norm_topk_prob", default: false))
    } compose: { checkpoint in
      let layers = try checkpoint.metadata.int(required: "qwen3moe.block_count", in: 1...1 << 12)
      let dense = (0..<layers).filter { !checkpoint.contains("blk.\($0).ffn_gate_inp.weight") }
      return ["mlp_only_layers": .array(dense.map { .int($0) }), "decoder_sparse_step": 1]
    },
  ]

  /// The window is stated even where it is not used, and used by the later layers only.
  @Sendable private static func windows(_ translation: inout ConfigurationTranslation) throws {
    guard try translation.flag("use_sliding_window", default: false) else {
      return translation.set("attention.sliding_window", 0)
    }
    let first = try translation.config["max_window_layers"]?.int(in: 0...1 << 12) ?? 0
    translation.set("attention.sliding_window_pattern", (0..<(try translation.layerCount())).map { $0 >= first })
  }

  static func configuration(_ checkpoint: any Checkpoint) throws -> DecoderConfiguration {
    var configuration = try DecoderConfiguration(checkpoint, rotation: .halves)
    try configuration.keepWindows(checkpoint)
    return configuration
  }
}
