// OLMo 2 (OLMo Team 2025): norms after attention and feed-forward, and on queries and keys as wholes.
import Checkpoints

enum OLMo2: DecoderFamily {
  static let architectures = ["olmo2"]

  static let forms = [
    HuggingFaceForm(
      ["olmo2"], as: "olmo2", class: "Olmo2ForCausalLM",
      names: llamaNames(norms: [
        "post_attention_layernorm": "post_attention_norm", "post_feedforward_layernorm": "post_ffw_norm",
      ]))
  ]

  static func configuration(_ checkpoint: any Checkpoint) throws -> DecoderConfiguration {
    try DecoderConfiguration(checkpoint, rotation: .halves)
  }
}
