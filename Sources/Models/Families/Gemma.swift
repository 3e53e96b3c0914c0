// Gemma 1, 2 and 3 (Gemma Team 2024, 2025): scaled embeddings, and later windows, bent scores, norms on both sides.
import Checkpoints
import Layers
import Tensors

enum Gemma: DecoderFamily {
  static let architectures = ["gemma", "gemma2", "gemma3"]

  private static let aroundNames = llamaNames(norms: [
    "input_layernorm": "attn_norm", "post_attention_layernorm": "post_attention_norm",
    "pre_feedforward_layernorm": "ffn_norm", "post_feedforward_layernorm": "post_ffw_norm",
  ])

  static let forms = [
    HuggingFaceForm(["gemma"], as: "gemma", class: "GemmaForCausalLM", names: llamaNames, describe: norms),
    HuggingFaceForm(["gemma2"], as: "gemma2", class: "Gemma2ForCausalLM", names: aroundNames) { translation in
      try norms(&translation)
      try translation.setWindowPattern(period: [], default: 2)
    },
    HuggingFaceForm(["gemma3_text"], as: "gemma3", class: "Gemma3ForCausalLM", names: aroundNames) { translation in
      try norms(&translation)
      try translation.setWindowPattern(period: ["sliding_window_pattern", "_sliding_window_pattern"], default: 6)
    },
  ]

  @Sendable private static func norms(_ translation: inout ConfigurationTranslation) throws {
    for norm in ["attn_norm", "ffn_norm", "post_attention_norm", "post_ffw_norm", "attn_q_norm", "attn_k_norm",
      "output_norm"] { translation.transforms[norm] = .plusOne }
    if let scalar = translation.config["query_pre_attn_scalar"] {
      let value = try scalar.double()
      guard value > 0 else { throw scalar.error("expected a positive number, found \(value)") }
      translation.set("attention.scale", 1 / value.squareRoot())
    }
  }

  static func configuration(_ checkpoint: any Checkpoint) throws -> DecoderConfiguration {
    var configuration = try DecoderConfiguration(checkpoint, rotation: .halves)
    let metadata = checkpoint.metadata, architecture = configuration.architecture
    configuration.layer.activation = .geluTanh
    configuration.embeddingScale = Float(configuration.width).squareRoot()
    // The 27B models scale by the width per head, not by the head's own width; GGUF does not say so.
    if metadata["\(architecture).attention.scale"] == nil,
      (architecture == "gemma2" && configuration.layers == 46) || (architecture == "gemma3" && configuration.layers == 62)
    {
      let layer = configuration.layer
      configuration.layer.attentionScale = 1 / (Float(layer.width) / Float(layer.heads)).squareRoot()
    }
    guard architecture != "gemma" else { return configuration }
    let window = try metadata.int("\(architecture).attention.sliding_window", in: 1...1 << 30)
      ?? (architecture == "gemma2" ? 4096 : 1024)
    let local: Rotation? = architecture == "gemma2" ? nil : RotationScaling.none.rotation(
      base: try metadata.positive("gemma3.rope.freq_base_swa") ?? 10_000, width: configuration.layer.headWidth,
      pairing: .halves, contextLength: configuration.contextLength)
    let pattern = try checkpoint.metadata.windowPattern(
      architecture: architecture, layers: configuration.layers, default: architecture == "gemma2" ? 2 : 6) ?? []
    for (layer, seesWindow) in pattern.enumerated() {
      configuration.positions[layer].window = seesWindow ? window : nil
      if seesWindow, let local { configuration.positions[layer].rotation = local }
    }
    return configuration
  }
}
