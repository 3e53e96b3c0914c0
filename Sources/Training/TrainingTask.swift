// What a step computes: the loss of some batches and its gradients.
import Tensors
import TrainingData

/// A model, the parameters of it that are trained, and what remembers how.
public struct TrainingState<Model: TrainableModel> {
  public var model: Model
  public let parameters: [TrainedParameter]
  public let optimizer: any Optimizer

  public init(model: Model, parameters: [TrainedParameter], optimizer: any Optimizer) {
    self.model = model
    self.parameters = parameters
    self.optimizer = optimizer
  }
}

/// What one step found.
public struct StepResult: Sendable, Equatable {
  /// The mean over targets, in nats.
  public var loss: Double
  /// The length of all gradients as one vector, before clipping.
  public var gradientNorm: Double
  public var tokens: Int
}

extension TrainingState {
  /// One step over several batches, whose gradients are added up.
  /// - Parameters:
  ///   - clip: longer gradients are shortened to this; 0 for never.
  ///   - rateFactor: what the learning rate is multiplied with.
  /// - Returns: what was found; parameters are left as they were where the loss or the gradients are no numbers.
  public func step(
    _ batches: [TrainingBatch], clip: Double, rateFactor: Float, recomputes: Bool = false
  ) -> StepResult {
    let targets = max(1, batches.reduce(0) { $0 + $1.targetCount }), factor = 1 / Float(targets)
    var loss = 0.0, total: Gradients?
    for batch in batches where batch.targetCount > 0 {
      // Gradients are found before the next batch is computed, so that the activations of one alone are kept.
      let part = model.loss(of: batch, factor: factor, recomputes: recomputes)
      loss += Double(part.values[0])
      let gradients = part.gradients()
      total = total.map { $0 + gradients } ?? gradients
    }
    var result = StepResult(loss: loss, gradientNorm: 0, tokens: batches.reduce(0) { $0 + $1.tokens.count })
    guard let gradients = total else { return result }
    let squares = parameters.reduce(0.0) { sum, parameter in
      sum + (gradients[parameter.tensor].map { $0.backend.sumOfSquares($0) } ?? 0)
    }
    result.gradientNorm = squares.squareRoot()
    guard loss.isFinite, result.gradientNorm.isFinite else { return result }
    let shortened = clip > 0 && result.gradientNorm > clip ? Float(clip / (result.gradientNorm + 1e-6)) : 1
    optimizer.step(gradients, factor: shortened, rateFactor: rateFactor)
    return result
  }
}
