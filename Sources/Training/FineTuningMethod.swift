// The ways to fine-tune, by the names that people know, with sizes and learning rates that are good to begin with.
import Adapters

/// A way to fine-tune.
public enum FineTuningMethod: String, Sendable, CaseIterable {
  /// All weights.
  case full
  /// Low-rank additions to matrices (Hu et al. 2021).
  case lora
  /// LoRA with lengths of their own for rows (Liu et al. 2024).
  case dora
  /// LoRA over matrices of few bits (Dettmers et al. 2023).
  case qlora
  /// Narrow layers behind attention and feed-forward (Houlsby et al. 2019).
  case adapter
  /// Keys and values before each text (Li and Liang 2021).
  case prefix
  /// Vectors before each text (Lester et al. 2021).
  case prompt
  /// Factors (Liu et al. 2022).
  case ia3
  /// Biases (Ben Zaken et al. 2022).
  case bitfit
  /// The last layers as they are.
  case lastLayers = "last-layers"

  /// How much is trained; each method looks at what concerns it.
  public struct Sizes: Sendable {
    /// Of LoRA, DoRA and QLoRA.
    public var rank = 8
    /// nil for twice the rank.
    public var alpha: Double?
    /// Of a prefix or a prompt.
    public var virtualTokens = 20
    /// Of the narrow layers.
    public var width = 64
    /// Of the last layers.
    public var layers = 2

    public init() {}
  }

  public func method(_ sizes: Sizes = Sizes()) -> AdapterConfiguration.Method {
    switch self {
    case .full: .full
    case .lora, .qlora: .lora(.init(rank: sizes.rank, alpha: sizes.alpha ?? Double(2 * sizes.rank)))
    case .dora:
      .lora(.init(rank: sizes.rank, alpha: sizes.alpha ?? Double(2 * sizes.rank), isWeightDecomposed: true))
    case .adapter: .bottleneck(.init(width: sizes.width))
    case .prefix: .prefix(tokens: sizes.virtualTokens)
    case .prompt: .prompt(tokens: sizes.virtualTokens)
    case .ia3: .ia3
    case .bitfit: .bias
    case .lastLayers: .lastLayers(sizes.layers)
    }
  }

  /// A rate to begin with: the fewer numbers are trained, the larger it may be.
  public var learningRate: Float {
    switch self {
    case .full: 2e-5
    case .lastLayers: 1e-4
    case .lora, .dora, .qlora: 2e-4
    case .adapter: 3e-4
    case .bitfit: 1e-3
    case .ia3: 3e-3
    case .prefix, .prompt: 1e-2
    }
  }

  /// Whether the result is a model of its own, and not a folder beside one.
  public var givesModel: Bool {
    switch self {
    case .full, .bitfit, .lastLayers: true
    default: false
    }
  }
}
