// How the learning rate changes in the course of a run.
import Foundation

/// A factor of the learning rate for each step: it rises, stays or falls, and ends at a part of what it was.
public struct Schedule: Sendable {
  public enum Kind: String, Sendable, CaseIterable {
    case constant
    /// Falls in a straight line.
    case linear
    /// Falls along half a cosine (Loshchilov and Hutter 2017).
    case cosine
    /// Warm-up, stable, decay: stays, then falls in a straight line over the last part (Hu et al. 2024).
    case wsd
  }

  public var kind: Kind
  public var steps: Int
  /// Steps in which the rate rises in a straight line.
  public var warmupSteps: Int
  /// What remains of the rate in the end.
  public var finalShare: Double
  /// The part of all steps in which WSD falls.
  public var decayShare: Double

  public init(
    _ kind: Kind = .cosine, steps: Int, warmupSteps: Int = 0, finalShare: Double = 0.1, decayShare: Double = 0.2
  ) {
    self.kind = kind
    self.steps = steps
    self.warmupSteps = warmupSteps
    self.finalShare = finalShare
    self.decayShare = decayShare
  }

  /// - Parameter step: from 0.
  public func factor(at step: Int) -> Double {
    if step < warmupSteps { return Double(step + 1) / Double(warmupSteps + 1) }
    let rest = max(1, steps - warmupSteps), part = min(1, Double(step - warmupSteps) / Double(rest))
    let fall: Double
    switch kind {
    case .constant: return 1
    case .linear: fall = 1 - part
    case .cosine: fall = 0.5 * (1 + cos(.pi * part))
    case .wsd: fall = decayShare > 0 ? min(1, (1 - part) / decayShare) : 1
    }
    return finalShare + (1 - finalShare) * fall
  }
}
