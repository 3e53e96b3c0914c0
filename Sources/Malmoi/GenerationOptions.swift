// The wishes that come with a prompt.
import Generation

/// How a response is to be written.
public struct GenerationOptions: Sendable {
  public var sampling: SamplingOptions
  /// The most tokens of the response; nil for as many as the context holds.
  public var maximumResponseTokens: Int?
  /// Texts that end the response and are not part of it.
  public var stopStrings: [String]

  /// - Parameter temperature: replaces the temperature of `sampling`.
  public init(
    sampling: SamplingOptions = SamplingOptions(), temperature: Float? = nil, maximumResponseTokens: Int? = nil,
    stopStrings: [String] = []
  ) {
    self.sampling = sampling
    if let temperature { self.sampling.temperature = temperature }
    self.maximumResponseTokens = maximumResponseTokens
    self.stopStrings = stopStrings
  }
}

extension SamplingOptions {
  /// A draw from the `top` best tokens.
  public static func random(top: Int, seed: UInt64? = nil) -> SamplingOptions {
    SamplingOptions(temperature: 1, topK: top, topP: 1, minP: 0, seed: seed)
  }

  /// A draw from the best tokens whose probabilities first reach `probabilityThreshold`.
  public static func random(probabilityThreshold: Float, seed: UInt64? = nil) -> SamplingOptions {
    SamplingOptions(temperature: 1, topK: 0, topP: probabilityThreshold, minP: 0, seed: seed)
  }
}
