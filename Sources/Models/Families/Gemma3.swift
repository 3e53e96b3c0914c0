// Gemma 3 (Gemma Team 2025): five layers that see a window, then one that sees all, each kind with its own rotation.
import Checkpoints
import Layers
import Tensors

enum Gemma3: DecoderFamily {
  static let architectures = ["gemma3"]

  static func configuration(_ file: GGUFFile) throws -> DecoderConfiguration {
    var configuration = try DecoderConfiguration(file, rotation: .halves)
    configuration.activation = .geluTanh
    configuration.embeddingScale = Float(configuration.width).squareRoot()
    configuration.hasHeadNorms = true
    configuration.hasPostNorms = true
    // The 27B model scales by the width per head, not by the head's own width.
    if configuration.layers == 62 {
      configuration.attentionScale = 1 / (Float(configuration.width) / Float(configuration.heads)).squareRoot()
    }
    let window = try file.metadata.int("gemma3.attention.sliding_window", in: 1...1 << 30) ?? 1024
    let local = RotationScaling.none.rotation(
      base: try file.metadata.positive("gemma3.rope.freq_base_swa") ?? 10_000, width: configuration.headWidth,
      pairing: .halves, contextLength: configuration.contextLength)
    let period = try file.metadata.int("gemma3.attention.sliding_window_pattern", in: 1...1 << 12) ?? 6
    for layer in 0..<configuration.layers where (layer + 1) % period != 0 {
      configuration.positions[layer] = .init(rotation: local, window: window)
    }
    return configuration
  }
}
