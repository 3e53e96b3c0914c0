// What trainers are given to do: a model and data; or a model, data of preferences, and the model as it was.
import Foundation
import Layers
import Models
import Tensors
import TrainingData

/// A model that learns from batches.
public final class ModelWork<Model: TrainableModel>: TrainingWork {
  public let state: TrainingState<Model>
  private let data: any BatchSource<TrainingBatch>
  private let validation: (any BatchSource<TrainingBatch>)?
  private let validationBatches: Int
  private let recomputation: Recomputation

  public var parameters: [TrainedParameter] { state.parameters }
  public var optimizer: any Optimizer { state.optimizer }

  /// - Parameters:
  ///   - validation: held out, nil for none; its first `validationBatches` are what evaluations read.
  ///   - recomputation: what is computed again for gradients, not kept.
  public init(
    _ state: TrainingState<Model>, data: any BatchSource<TrainingBatch>,
    validation: (any BatchSource<TrainingBatch>)? = nil, validationBatches: Int = 20, recomputation: Recomputation = .nothing
  ) {
    self.state = state
    self.data = data
    self.validation = validation
    self.validationBatches = validationBatches
    self.recomputation = recomputation
  }

  public func step(batches: Range<Int>, clip: Double, rateFactor: Float) throws -> StepResult {
    state.step(
      try batches.map { try data.batch(at: $0) }, clip: clip, rateFactor: rateFactor, recomputation: recomputation)
  }

  /// The loss, and how often the likeliest label was right where there are labels.
  public func evaluate() throws -> [(name: String, value: Double)] {
    guard let validation else { return [] }
    let batches = try (0..<min(validationBatches, validation.batchesPerEpoch)).map { try validation.batch(at: $0) }
    var found = [(name: "validationLoss", value: state.loss(of: batches).loss)]
    if let encoder = state.model as? Encoder, batches.contains(where: { !$0.labels.isEmpty }) {
      let right = batches.map { encoder.rightLabels($0) }.reduce(0, +), all = batches.reduce(0) { $0 + $1.labels.count }
      found.append(("validationAccuracy", Double(right) / Double(max(1, all))))
    }
    return found
  }
}

extension Encoder {
  /// Texts of a batch whose likeliest label is theirs.
  func rightLabels(_ batch: TrainingBatch) -> Int {
    let model = withoutGradients(), batch = batch.following(virtualTokens)
    let types = batch.tokenTypes.isEmpty ? nil : batch.tokenTypes
    let hidden = model(batch.tokens, types: types, lengths: batch.lengths)
    guard let scores = model.labelScores(hidden, lengths: batch.lengths) else { return 0 }
    let values = scores.values, count = scores.shape.columns
    return batch.labels.enumerated().count { index, label in
      let row = values[index * count..<(index + 1) * count]
      return row.indices.max { row[$0] < row[$1] }.map { $0 - row.startIndex } == Int(label)
    }
  }
}

/// A decoder that learns which of two answers is preferred (direct preference optimization; Rafailov et al. 2023).
public final class PreferenceWork: TrainingWork {
  public let state: TrainingState<Decoder>
  private let reference: Decoder
  private let data, validation: (any BatchSource<PreferenceBatch>)?
  private let validationBatches: Int
  private let beta: Float
  private let recomputation: Recomputation

  public var parameters: [TrainedParameter] { state.parameters }
  public var optimizer: any Optimizer { state.optimizer }

  /// - Parameters:
  ///   - reference: the model as it was, from which the trained one is not to go far.
  ///   - beta: how far: the larger, the nearer it stays.
  public init(
    _ state: TrainingState<Decoder>, reference: Decoder, data: any BatchSource<PreferenceBatch>,
    validation: (any BatchSource<PreferenceBatch>)? = nil, validationBatches: Int = 20, beta: Float = 0.1,
    recomputation: Recomputation = .nothing
  ) {
    self.state = state
    self.reference = reference
    self.data = data
    self.validation = validation
    self.validationBatches = validationBatches
    self.beta = beta
    self.recomputation = recomputation
  }

  public func step(batches: Range<Int>, clip: Double, rateFactor: Float) throws -> StepResult {
    guard let data else { return StepResult(loss: 0, gradientNorm: 0, tokens: 0) }
    let batches = try batches.map { try data.batch(at: $0) }
    let factor = 1 / Float(max(1, batches.reduce(0) { $0 + $1.chosen.lengths.count }))
    return step(
      batches.map { batch in { self.margins(batch, self.state.model).loss.total(times: factor) } },
      tokens: batches.reduce(0) { $0 + $1.tokenCount }, clip: clip, rateFactor: rateFactor)
  }

  public func evaluate() throws -> [(name: String, value: Double)] {
    guard let validation else { return [] }
    var loss = 0.0, right = 0, pairs = 0
    for index in 0..<min(validationBatches, validation.batchesPerEpoch) {
      let found = margins(try validation.batch(at: index), state.model.withoutGradients())
      loss += found.loss.values.reduce(0) { $0 + Double($1) }
      right += found.margin.values.count { $0 > 0 }
      pairs += found.margin.shape.count
    }
    let count = Double(max(1, pairs))
    return [("validationLoss", loss / count), ("validationAccuracy", Double(right) / count)]
  }

  /// Of each pair −ln σ(margin), where margin = β (ln p(chosen) / p₀(chosen) − ln p(rejected) / p₀(rejected)).
  func margins(_ batch: PreferenceBatch, _ model: Decoder) -> (loss: Tensor, margin: Tensor) {
    let gained = [batch.chosen, batch.rejected].map { answers in
      model.logProbabilities(of: answers, recomputation: recomputation)
        + reference.logProbabilities(of: answers, recomputation: .nothing) * -1
    }
    let margin = (gained[0] + gained[1] * -1) * beta, count = margin.shape.count
    // Of two classes with the scores margin and 0, the first is right.
    let scores = Tensor.concatenated([
      margin.reshaped([1, count]), Tensor(zeros: [1, count], backend: model.backend),
    ]).transposed()
    return (scores.crossEntropy(Array(repeating: 0, count: count)), margin)
  }
}
