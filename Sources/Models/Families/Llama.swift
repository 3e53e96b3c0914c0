// Llama and those that share its shape: SmolLM2, TinyLlama, Mistral, Llama 2 and 3 (Touvron et al. 2023).
import Checkpoints

enum Llama: DecoderFamily {
  static let architectures = ["llama"]

  static func configuration(_ file: GGUFFile) throws -> DecoderConfiguration {
    // GGUF's Llama files hold query and key rows in the order of interleaved pairs.
    var configuration = try DecoderConfiguration(file, rotation: .interleaved)
    if let window = try file.metadata.int("llama.attention.sliding_window", in: 0...1 << 30), window > 0 {
      for layer in 0..<configuration.layers { configuration.positions[layer].window = window }
    }
    return configuration
  }
}
