// What is trained of a model, and in which form: the choice of a method and of the parts that it is applied to.
import Layers
import Tensors

/// A method of parameter-efficient fine-tuning with its sizes.
public struct AdapterConfiguration: Sendable, Equatable {
  public enum Method: Sendable, Equatable {
    /// Low-rank additions to matrices (Hu et al. 2021); over quantized ones this is QLoRA (Dettmers et al. 2023).
    case lora(LowRank)
    /// Factors for keys, values and what feed-forward layers hold inside (Liu et al. 2022).
    case ia3
    /// A narrow layer after attention and feed-forward (Houlsby et al. 2019; Pfeiffer et al. 2021).
    case bottleneck(Bottleneck)
    /// Keys and values before each text, learnt for every layer (Li and Liang 2021).
    case prefix(tokens: Int)
    /// Vectors before each text (Lester et al. 2021).
    /// - Parameter initial: tokens whose vectors they begin as, in turn; of random tokens where there are none.
    case prompt(tokens: Int, initial: [Int32] = [])
    /// All biases (Ben Zaken et al. 2022).
    case bias
    /// The last layers and the norm after them.
    case lastLayers(Int, head: Bool = false)
    /// Everything.
    case full
  }

  public struct LowRank: Sendable, Equatable {
    /// Rows of the first matrix.
    public var rank: Int
    /// The sum is scaled by alpha / rank.
    public var alpha: Double
    /// Scaled by alpha / √rank instead (Kalajdzievski 2023).
    public var isRankStabilized: Bool
    /// Direction and length of a matrix's rows are trained apart (DoRA, Liu et al. 2024).
    public var isWeightDecomposed: Bool

    public init(rank: Int = 8, alpha: Double = 16, isRankStabilized: Bool = false, isWeightDecomposed: Bool = false) {
      self.rank = rank
      self.alpha = alpha
      self.isRankStabilized = isRankStabilized
      self.isWeightDecomposed = isWeightDecomposed
    }

    /// What the product of the two matrices is multiplied with.
    func scale(alpha: Double, rank: Int) -> Float {
      Float(alpha / (isRankStabilized ? Double(rank).squareRoot() : Double(rank)))
    }

    /// The alpha of which a matrix of this rank has this scale.
    func alpha(scale: Float, rank: Int) -> Double {
      Double(scale) * (isRankStabilized ? Double(rank).squareRoot() : Double(rank))
    }
  }

  public struct Bottleneck: Sendable, Equatable {
    /// Numbers between the two maps.
    public var width: Int
    public var activation: Activation
    /// Whether there is one after attention too, as Houlsby et al. have it, or after feed-forward alone.
    public var followsAttention: Bool

    public init(width: Int = 64, activation: Activation = .gelu, followsAttention: Bool = true) {
      self.width = width
      self.activation = activation
      self.followsAttention = followsAttention
    }
  }

  /// Which projections LoRA and IA3 are applied to.
  public enum Targets: Sendable, Equatable {
    /// All within layers.
    case all
    /// Those whose name is one of these or ends in `.` and one of these. Names are Malmoi's, such as
    /// `attention.query`, GGUF's, such as `attn_q`, and those of transformers where they are known.
    case named([String])
    /// Those whose name in transformers, or Malmoi's, matches this regular expression as a whole.
    case pattern(String)
  }

  public var method: Method
  public var targets: Targets
  /// Beginnings of the paths of parts that are trained as they are, beside an adapter: a new classifier.
  public var trainedParts: [String]
  /// The name of the model that the adapter is for, as PEFT's files note it.
  public var baseModel: String?

  public init(
    _ method: Method, targets: Targets? = nil, trainedParts: [String] = ["classifier.output"], baseModel: String? = nil
  ) {
    self.method = method
    self.targets = targets ?? (method == .ia3 ? .named(["key", "value", "down"]) : .all)
    self.trainedParts = trainedParts
    self.baseModel = baseModel
  }

  /// The name of the method, for messages and files.
  public var name: String {
    switch method {
    case .lora(let form): form.isWeightDecomposed ? "DoRA" : "LoRA"
    case .ia3: "IA3"
    case .bottleneck: "Adapter"
    case .prefix: "prefix tuning"
    case .prompt: "prompt tuning"
    case .bias: "BitFit"
    case .lastLayers: "last layers"
    case .full: "full fine-tuning"
    }
  }

  /// The largest sizes that are believed: of a rank, a width, and of virtual tokens.
  static let mostRank = 1 << 13, mostTokens = 1 << 16

  /// - Throws: ``AdapterError`` for sizes that no adapter can have.
  public func validate() throws(AdapterError) {
    func check(_ value: Int, _ most: Int, _ what: String) throws(AdapterError) {
      guard (1...most).contains(value) else {
        throw AdapterError(message: "\(what) is \(value), where 1 to \(most) is possible")
      }
    }
    switch method {
    case .lora(let form):
      try check(form.rank, Self.mostRank, "the rank")
      guard form.alpha.isFinite else { throw AdapterError(message: "alpha is \(form.alpha), which is no number") }
    case .bottleneck(let form): try check(form.width, Self.mostRank, "the width")
    case .prefix(let tokens), .prompt(let tokens, _): try check(tokens, Self.mostTokens, "the number of virtual tokens")
    case .lastLayers(let count, _): try check(count, Self.mostRank, "the number of layers")
    case .ia3, .bias, .full: break
    }
  }
}

/// Why an adapter does not fit, or cannot be read or written.
public struct AdapterError: Error, Equatable, CustomStringConvertible {
  /// The file or folder; nil where there is none.
  public var path: String?
  /// What in it is at fault, such as `tensor base_model.model.…` or `r`.
  public var field: String?
  public var message: String

  public init(path: String? = nil, field: String? = nil, message: String) {
    self.path = path
    self.field = field
    self.message = message
  }

  public var description: String { [path, field, message].compactMap { $0 }.joined(separator: ": ") }
}
