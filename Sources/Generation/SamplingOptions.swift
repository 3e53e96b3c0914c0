// How the next token is chosen from the model's scores.

/// Choices for sampling. The steps run in this order, each on what the one before has left: bias and penalties, top-k,
/// typical, top-p, min-p, temperature, a draw.
public struct SamplingOptions: Sendable, Equatable {
  /// Divides the scores; 0 always takes the best token.
  public var temperature: Float
  /// Keeps the k best tokens; 0 keeps all.
  public var topK: Int
  /// Keeps the best tokens whose probabilities first reach this sum (Holtzman et al. 2019); 1 keeps all.
  public var topP: Float
  /// Keeps tokens with at least this share of the best one's probability (Nguyen et al. 2024); 0 keeps all.
  public var minP: Float
  /// Keeps the tokens whose surprise is nearest to the expected one, up to this sum of probabilities (Meister et al.
  /// 2022); 1 keeps all.
  public var typicalP: Float
  /// Divides positive scores and multiplies negative ones of recent tokens (Keskar et al. 2019); 1 changes nothing.
  public var repetitionPenalty: Float
  /// Subtracted from the score of each recent token.
  public var presencePenalty: Float
  /// Subtracted from the score of each recent token, once for every time it occurred.
  public var frequencyPenalty: Float
  /// How many of the latest tokens are recent, prompt included.
  public var penaltyWindow: Int
  /// Added to the scores of single tokens; −∞ forbids one.
  public var logitBias: [Int32: Float]
  /// Makes the draw repeatable; nil takes a random one.
  public var seed: UInt64?

  public init(
    temperature: Float = 0.7, topK: Int = 40, topP: Float = 0.95, minP: Float = 0.05, typicalP: Float = 1,
    repetitionPenalty: Float = 1, presencePenalty: Float = 0, frequencyPenalty: Float = 0, penaltyWindow: Int = 64,
    logitBias: [Int32: Float] = [:], seed: UInt64? = nil
  ) {
    self.temperature = temperature
    self.topK = topK
    self.topP = topP
    self.minP = minP
    self.typicalP = typicalP
    self.repetitionPenalty = repetitionPenalty
    self.presencePenalty = presencePenalty
    self.frequencyPenalty = frequencyPenalty
    self.penaltyWindow = penaltyWindow
    self.logitBias = logitBias
    self.seed = seed
  }

  /// Always the best token.
  public static let greedy = SamplingOptions(temperature: 0)

  /// - Throws: ``GenerationError/invalidOption(_:)`` that names the option and the values it may have.
  public func validate() throws(GenerationError) {
    func require(_ holds: Bool, _ message: String) throws(GenerationError) {
      if !holds { throw .invalidOption(message) }
    }
    try require(temperature.isFinite && temperature >= 0, "temperature is \(temperature), not 0 or more")
    try require(topK >= 0, "top-k is \(topK), not 0 or more")
    for (name, value) in [("top-p", topP), ("min-p", minP), ("typical", typicalP)] {
      try require((0...1).contains(value), "\(name) is \(value), not in 0 ... 1")
    }
    try require(repetitionPenalty.isFinite && repetitionPenalty > 0, "repetition penalty is not positive")
    try require(presencePenalty.isFinite && frequencyPenalty.isFinite, "a penalty is not a finite number")
    try require(penaltyWindow >= 0, "penalty window is \(penaltyWindow), not 0 or more")
    try require(!logitBias.values.contains { $0.isNaN || $0 == .infinity }, "a logit bias is not a number")
  }
}
