// What a step computes: the loss of some batches, its gradients, and what the optimizer makes of them.
import Layers
import Tensors
import TrainingData

/// What one step found.
public struct StepResult: Sendable, Equatable {
  /// The mean over targets, in nats.
  public var loss: Double
  /// The length of all gradients as one vector, before clipping.
  public var gradientNorm: Double
  public var tokens: Int
}

/// Parameters and what changes them.
public protocol Trained {
  var parameters: [TrainedParameter] { get }
  var optimizer: any Optimizer { get }
}

extension Trained {
  /// One step by the sum of several losses, whose gradients are found one after the other.
  ///
  /// Parameters are left as they were where the loss or the gradients are no numbers.
  func step(
    _ losses: [() -> Tensor], tokens: Int, clip: Double, rateFactor: Float
  ) -> StepResult {
    var result = StepResult(loss: 0, gradientNorm: 0, tokens: tokens), gradients = Gradients()
    for loss in losses {
      // Before the next is computed, so that the activations of one alone are kept.
      let part = loss()
      part.addGradients(to: &gradients, releasing: true)
      result.loss += Double(part.values[0])
    }
    guard gradients.count > 0 else { return result }
    result.gradientNorm = parameters.reduce(0.0) { sum, parameter in
      sum + (gradients[parameter.tensor].map { $0.backend.sumOfSquares($0) } ?? 0)
    }.squareRoot()
    guard result.loss.isFinite, result.gradientNorm.isFinite else { return result }
    let isLong = clip > 0 && result.gradientNorm > clip
    optimizer.step(
      gradients, factor: isLong ? Float(clip / (result.gradientNorm + 1e-6)) : 1, rateFactor: rateFactor)
    return result
  }
}

/// A model, the parameters of it that are trained, and what changes them.
public struct TrainingState<Model: TrainableModel>: Trained {
  public var model: Model
  public let parameters: [TrainedParameter]
  public let optimizer: any Optimizer

  public init(model: Model, parameters: [TrainedParameter], optimizer: any Optimizer) {
    self.model = model
    self.parameters = parameters
    self.optimizer = optimizer
  }

  /// One step by the mean loss over all targets of several batches.
  /// - Parameters:
  ///   - clip: longer gradients are shortened to this; 0 for never.
  ///   - rateFactor: what the learning rate is multiplied with.
  public func step(
    _ batches: [TrainingBatch], clip: Double, rateFactor: Float, recomputation: Recomputation = .nothing
  ) -> StepResult {
    let factor = 1 / Float(max(1, batches.reduce(0) { $0 + $1.targetCount }))
    return step(
      batches.filter { $0.targetCount > 0 }.map { batch in
        { model.loss(of: batch, factor: factor, recomputation: recomputation) }
      }, tokens: batches.reduce(0) { $0 + $1.tokenCount }, clip: clip, rateFactor: rateFactor)
  }

  /// The mean loss over all targets of some batches; nothing changes.
  public func loss(of batches: [TrainingBatch]) -> (loss: Double, targets: Int) {
    let targets = batches.reduce(0) { $0 + $1.targetCount }, model = model.withoutGradients()
    let sum = batches.reduce(0.0) { sum, batch in
      batch.targetCount > 0
        ? sum + Double(model.loss(of: batch, factor: 1, recomputation: .nothing).values[0]) : sum
    }
    return (sum / Double(max(1, targets)), targets)
  }
}
