// Phi-3 (Abdin et al. 2024): Llama with queries, keys and values in one matrix, and the gate with the other map.
import Checkpoints

enum Phi3: DecoderFamily {
  static let architectures = ["phi3"]

  static let forms = [
    HuggingFaceForm(
      ["phi3"], as: "phi3", class: "Phi3ForCausalLM",
      names: layerNames("model.layers.{}.", "blk.{}.", [
        "self_attn.qkv_proj": "attn_qkv", "mlp.gate_up_proj": "ffn_up",
      ]) + llamaNames)
  ]

  static func configuration(_ checkpoint: any Checkpoint) throws -> DecoderConfiguration {
    try DecoderConfiguration(checkpoint, rotation: .halves)
  }
}
