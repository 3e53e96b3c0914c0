// How rotary positions are stretched past the length that a model was first trained for.
import Checkpoints
import Foundation
import Tensors
import Tokenization

/// A model's rule for stretching positions.
enum RotationScaling {
  case none
  /// All positions divided by a factor (Chen et al. 2023).
  case linear(factor: Double)
  /// Low frequencies divided, high ones kept (YaRN, Peng et al. 2023), from an original context length: those that turn
  /// `fast` times or more within it are kept, those that turn `slow` times or less are divided.
  case yarn(factor: Double, originalContext: Int?, fast: Double, slow: Double, attentionFactor: Double)
  /// A divisor for each frequency (Llama 3; LongRoPE, Ding et al. 2024).
  case divisors([Float], attentionFactor: Double)

  /// - Parameter pairs: pairs of columns that turn.
  /// - Throws: `CheckpointError` for an unknown type or an impossible factor.
  init(_ checkpoint: any Checkpoint, architecture: String, pairs: Int) throws {
    let metadata = checkpoint.metadata, key = "\(architecture).rope.scaling."
    // A model that reads long texts has divisors for short ones too, which would make an answer depend on its length.
    for name in ["rope_freqs.weight", "rope_factors_long.weight"] {
      guard let tensor = try checkpoint.tensor(name) else { continue }
      guard tensor.elementCount == pairs else {
        throw CheckpointError(
          path: checkpoint.path, field: "tensor \(name)",
          message: "has \(tensor.elementCount) divisors, where \(pairs) pairs of columns turn")
      }
      let divisors = Tensor(tensor, backend: CPUBackend.shared)
      let values = CPUBackend.shared.floats(divisors).values
      guard values.allSatisfy({ $0.isFinite && $0 > 0 }) else {
        throw CheckpointError(
          path: checkpoint.path, field: "tensor \(name)", message: "holds a divisor that is not positive")
      }
      self = .divisors(values, attentionFactor: try metadata.positive(key + "attn_factor") ?? 1)
      return
    }
    let factor = try metadata.positive(key + "factor") ?? metadata.positive("\(architecture).rope.scale_linear") ?? 1
    switch try metadata.string(key + "type") {
    case nil: self = factor == 1 ? .none : .linear(factor: factor)
    case "none"?: self = .none
    case "linear"?: self = .linear(factor: factor)
    case "yarn"?:
      let fast = try metadata.float(key + "yarn_beta_fast") ?? 32
      let slow = try metadata.float(key + "yarn_beta_slow") ?? 1
      guard fast.isFinite, slow > 0, slow <= fast else {
        throw metadata.error(key + "yarn_beta_fast", "\(fast) and \(slow) turns are no range of frequencies")
      }
      self = .yarn(
        factor: factor, originalContext: try metadata.int(key + "original_context_length", in: 1...1 << 30),
        fast: fast, slow: slow,
        attentionFactor: try metadata.positive(key + "attn_factor") ?? 1)
    case let other?:
      throw metadata.error(key + "type", "\"\(other.printable)\" is not one of none, linear, yarn")
    }
  }

  /// - Parameters:
  ///   - base: the ratio of the highest to (about) the lowest frequency.
  ///   - width: columns of a head that turn; even.
  func rotation(base: Double, width: Int, pairing: Rotation.Pairing, contextLength: Int) -> Rotation {
    let pairs = width / 2
    var frequencies = (0..<pairs).map { pow(base, -2 * Double($0) / Double(width)) }
    var magnitude = 1.0
    switch self {
    case .none: break
    case .linear(let factor):
      for i in 0..<pairs { frequencies[i] /= factor }
    case .divisors(let divisors, let attentionFactor):
      magnitude = attentionFactor
      for i in 0..<min(pairs, divisors.count) { frequencies[i] /= Double(divisors[i]) }
    case .yarn(let factor, let original, let fast, let slow, let attentionFactor):
      // The pair whose wave turns `turns` times within the original context.
      let pair = { (turns: Double) in
        Double(width) * log(Double(original ?? contextLength) / (turns * 2 * .pi)) / (2 * log(base))
      }
      let first = max(0, pair(fast).rounded(.down)), last = min(Double(width - 1), pair(slow).rounded(.up))
      for i in 0..<pairs {
        let kept = 1 - min(1, max(0, (Double(i) - first) / max(0.001, last - first)))
        frequencies[i] *= kept + (1 - kept) / factor
      }
      magnitude = attentionFactor * (1 + 0.1 * log(max(1, factor)))
    }
    return Rotation(frequencies: frequencies, pairing: pairing, magnitude: magnitude)
  }
}

extension GGUFMetadata {
  /// A number that must be positive and finite.
  func positive(_ key: String) throws(CheckpointError) -> Double? {
    guard let number = try float(key) else { return nil }
    guard number.isFinite, number > 0 else { throw error(key, "expected a positive number, found \(number)") }
    return number
  }
}
