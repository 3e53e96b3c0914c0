// Llama and those that share its shape: SmolLM2, TinyLlama, Mistral, Llama 2 and 3 (Touvron et al. 2023), Mixtral with
// its experts (Jiang et al. 2024), and SmolLM3, of whose layers every fourth knows no positions.
import Checkpoints
import JSON

enum Llama: DecoderFamily {
  static let architectures = ["llama"]

  static let forms = [
    HuggingFaceForm(["llama", "mistral"], as: "llama", class: "LlamaForCausalLM", names: llamaNames) {
      try $0.interleavePairs()
    } compose: {
      // The class called after Llama knows no windows.
      guard try $0.metadata.int("llama.attention.sliding_window") ?? 0 > 0 else { return [:] }
      return ["model_type": "mistral", "architectures": ["MistralForCausalLM"]]
    },
    HuggingFaceForm(
      ["mixtral"], as: "llama", class: "MixtralForCausalLM",
      names: llamaNames + layerNames("model.layers.{}.block_sparse_moe.", "blk.{}.", [
        "gate": "ffn_gate_inp", "experts.{}.w1": "ffn_gate_exps", "experts.{}.w2": "ffn_down_exps",
        "experts.{}.w3": "ffn_up_exps",
      ])) { try $0.interleavePairs() },
  ]

  static func configuration(_ checkpoint: any Checkpoint) throws -> DecoderConfiguration {
    // GGUF's Llama files hold query and key rows in the order of interleaved pairs.
    try DecoderConfiguration(checkpoint, rotation: .interleaved)
  }
}

enum SmolLM3: DecoderFamily {
  static let architectures = ["smollm3"]

  static let forms = [
    HuggingFaceForm(["smollm3"], as: "smollm3", class: "SmolLM3ForCausalLM", names: llamaNames) { translation in
      try translation.interleavePairs()
      if try !translation.flag("use_sliding_window", default: false) { translation.set("attention.sliding_window", 0) }
      if let layers = translation.config["no_rope_layers"] {
        translation.set("rope.layers", try layers.array().map { try $0.int() != 0 })
      }
    }
  ]

  static func configuration(_ checkpoint: any Checkpoint) throws -> DecoderConfiguration {
    var configuration = try DecoderConfiguration(checkpoint, rotation: .interleaved)
    let turns = try checkpoint.metadata.bools("smollm3.rope.layers")
      ?? (0..<configuration.layers).map { ($0 + 1) % 4 != 0 }
    guard turns.count == configuration.layers else {
      throw checkpoint.metadata.error("smollm3.rope.layers", "expected a flag for each of \(configuration.layers) layers")
    }
    for (layer, turns) in turns.enumerated() where !turns { configuration.positions[layer].rotation = nil }
    return configuration
  }
}
