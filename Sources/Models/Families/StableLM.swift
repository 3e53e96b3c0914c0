// StableLM 2 (Bellagente et al. 2024): Llama with norms by mean and deviation, and a rotation of a part of each head.
import Checkpoints

enum StableLM: DecoderFamily {
  static let architectures = ["stablelm"]

  static let forms = [
    HuggingFaceForm(
      ["stablelm", "stablelm_epoch"], as: "stablelm", class: "StableLmForCausalLM",
      names: layerNames("model.layers.{}.self_attn.", "blk.{}.", [
        "q_layernorm.norms.{}": "attn_q_norm", "k_layernorm.norms.{}": "attn_k_norm",
      ]) + llamaNames
    ) { translation in
      translation.set("use_parallel_residual", try translation.flag("use_parallel_residual", default: false))
      if try translation.int("rope.dimension_count") == nil {
        translation.set("rope.dimension_count", try translation.headWidth() / 4)
      }
    }
  ]

  static func configuration(_ checkpoint: any Checkpoint) throws -> DecoderConfiguration {
    try DecoderConfiguration(checkpoint, rotation: .halves)
  }
}
