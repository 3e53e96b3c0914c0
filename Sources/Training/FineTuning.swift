// Fine-tuning from a checkpoint and examples to an adapter or a whole model: what a program and the command share.
import Adapters
import Checkpoints
import Crypto
import Foundation
import JSON
import Layers
import Models
import Tensors
import TrainingData

/// What is trained, and how batches are made. How long, the trainer's options say.
public struct FineTuningOptions: Sendable {
  public var configuration: AdapterConfiguration
  public var optimizer = OptimizerOptions()
  public var examplesPerBatch = 8
  /// The most tokens of a batch with more than one example; nil for no limit.
  public var tokenBudget: Int?
  /// Decides what an adapter begins as, and the order of examples.
  public var seed: UInt64 = 1
  /// Whether layers are computed again for gradients, in less memory.
  public var recomputation = Recomputation.nothing
  /// Of preferences: the larger, the nearer the model stays to what it was.
  public var beta: Float = 0.1

  /// AdamW without decay, which is what adapters are mostly trained with.
  public init(_ configuration: AdapterConfiguration, learningRate: Float) {
    self.configuration = configuration
    optimizer.learningRate = learningRate
    optimizer.weightDecay = 0
    optimizer.beta2 = 0.999
  }
}

/// A model and what it is to learn; ``work`` is for a ``Trainer``.
///
/// ```swift
/// let examples = try ExampleSet<TrainingBatch>(files, encoder: encoder)
/// let tuning = try FineTuning(checkpoint, examples: examples, options: options)
/// _ = try Trainer(tuning.work, options: trainerOptions, checkpoints: nil).run()
/// try tuning.writeAdapter(to: "my-adapter")
/// ```
public final class FineTuning {
  /// The base, with a new classifier where the labels ask for one.
  public let checkpoint: any Checkpoint
  public let configuration: AdapterConfiguration
  public let work: any TrainingWork
  public let backend: any Backend
  public let batchesPerEpoch: Int
  /// Of texts that are classified, in the order of the scores.
  public let labels: [String]
  private let model: any AdaptableModel
  private let data: JSONValue

  /// - Parameters:
  ///   - checkpoint: of any shape. Labelled examples are for encoders; where the labels are not those of the model's
  ///     own classifier, a new one is trained.
  ///   - validation: held out, nil for none; with the labels of `examples`.
  /// - Throws: ``TrainingError`` for examples that are not for this shape of model, `AdapterError` for a method that
  ///   finds nothing to train, `CheckpointError`, `TrainingDataError`.
  public init(
    _ checkpoint: any Checkpoint, examples: ExampleSet<TrainingBatch>, validation: ExampleSet<TrainingBatch>? = nil,
    options: FineTuningOptions, backend: any Backend = CPUBackend.shared
  ) throws {
    let shape = try ModelRegistry.shape(of: checkpoint)
    guard examples.labels.isEmpty == (shape != .encoder) else {
      throw TrainingError(
        path: checkpoint.path,
        message: shape == .encoder ? "an encoder learns from labelled text" : "labelled text is for encoders")
    }
    var configuration = options.configuration, base = checkpoint
    if shape == .encoder, try examples.labels != checkpoint.classifierLabels() {
      let labelled = try LabelledCheckpoint(checkpoint, labels: examples.labels, seed: options.seed)
      configuration.trainedParts += labelled.newParts.filter { !configuration.trainedParts.contains($0) }
      base = labelled
    }
    let batches = try ExampleBatches(
      examples, examplesPerBatch: options.examplesPerBatch, tokenBudget: options.tokenBudget, seed: options.seed)
    let held = try validation.map {
      try ExampleBatches(
        $0, examplesPerBatch: options.examplesPerBatch, tokenBudget: options.tokenBudget, seed: options.seed)
    }
    func work<Model: TrainableModel & AdaptableModel>(_ model: Model) throws -> (any TrainingWork, any AdaptableModel) {
      let state = try Self.state(model, of: base, configuration, options)
      return (
        ModelWork(
          state, data: batches, validation: held, validationBatches: held?.batchesPerEpoch ?? 0,
          recomputation: options.recomputation),
        state.model
      )
    }
    (self.work, model) = switch shape {
    case .decoder: try work(Decoder(base, backend: backend))
    case .encoder: try work(Encoder(base, backend: backend))
    case .encoderDecoder: try work(EncoderDecoder(base, backend: backend))
    }
    (self.checkpoint, self.configuration, self.backend) = (base, configuration, backend)
    (batchesPerEpoch, labels) = (batches.batchesPerEpoch, examples.labels)
    data = .array(try [examples, validation].compactMap(\.self).map { .string(try Self.sum(of: $0.examples)) })
  }

  /// A decoder that learns which of two answers is preferred.
  /// - Throws: ``TrainingError`` for another shape of model, else as for examples.
  public init(
    _ checkpoint: any Checkpoint, preferences: ExampleSet<PreferenceBatch>,
    validation: ExampleSet<PreferenceBatch>? = nil, options: FineTuningOptions,
    backend: any Backend = CPUBackend.shared
  ) throws {
    guard try ModelRegistry.shape(of: checkpoint) == .decoder else {
      throw TrainingError(path: checkpoint.path, message: "preferences are for decoders")
    }
    let batches = try ExampleBatches(
      preferences, examplesPerBatch: options.examplesPerBatch, tokenBudget: options.tokenBudget, seed: options.seed)
    let held = try validation.map {
      try ExampleBatches(
        $0, examplesPerBatch: options.examplesPerBatch, tokenBudget: options.tokenBudget, seed: options.seed)
    }
    let reference = try Decoder(checkpoint, backend: backend)
    let state = try Self.state(reference, of: checkpoint, options.configuration, options)
    work = PreferenceWork(
      state, reference: reference, data: batches, validation: held, validationBatches: held?.batchesPerEpoch ?? 0,
      beta: options.beta, recomputation: options.recomputation)
    model = state.model
    (self.checkpoint, configuration, self.backend, labels) = (checkpoint, options.configuration, backend, [])
    batchesPerEpoch = batches.batchesPerEpoch
    data = .array(
      try [preferences, validation].compactMap(\.self).map { set in
        .string(try Self.sum(of: set.examples.flatMap { [$0.chosen, $0.rejected] }))
      })
  }

  private static func state<Model: TrainableModel & AdaptableModel>(
    _ model: Model, of checkpoint: any Checkpoint, _ configuration: AdapterConfiguration, _ options: FineTuningOptions
  ) throws -> TrainingState<Model> {
    var model = model
    try configuration.apply(to: &model, seed: options.seed, modules: try? ModelRegistry.modules(of: checkpoint))
    let parameters = try model.train(where: configuration.trainedParameters(of: model))
    return TrainingState(model: model, parameters: parameters, optimizer: options.optimizer.optimizer(of: parameters))
  }

  // MARK: What it is

  /// Numbers that are trained, and all of the model's.
  public var parameterCounts: (trained: Int, all: Int) {
    let trained = work.parameters.reduce(0) { $0 + $1.tensor.shape.count }
    let base = checkpoint.sizes.reduce(0) { $0 + $1.elementCount }
    return (trained, configuration.method.givesWeights ? base : base + trained)
  }

  /// What decides the numbers of a run, so that a checkpoint of another is told apart: the model, the data as the
  /// model reads it, and all options.
  public func fingerprint(_ options: FineTuningOptions, _ trainer: TrainerOptions) -> JSONValue {
    let optimizer = options.optimizer, schedule = trainer.schedule
    func text(_ value: some Any) -> JSONValue { .string("\(value)") }
    return .object(.init(uniqueKeysWithValues: [
      ("model", .object(.init(uniqueKeysWithValues: [
        ("architecture", text((try? checkpoint.metadata.string(required: "general.architecture")) ?? "")),
        ("tensors", .int(checkpoint.tensorNames.count)), ("bytes", .int(checkpoint.byteCount)),
      ]))),
      ("data", data), ("method", text(configuration.method)), ("targets", text(configuration.targets)),
      ("seed", text(options.seed)), ("examplesPerBatch", .int(options.examplesPerBatch)),
      ("tokenBudget", options.tokenBudget.map { .int($0) } ?? .null), ("beta", text(options.beta)),
      ("optimizer", .object(.init(uniqueKeysWithValues: [
        ("kind", text(optimizer.kind)), ("learningRate", text(optimizer.learningRate)),
        ("weightDecay", text(optimizer.weightDecay)), ("beta1", text(optimizer.beta1)),
        ("beta2", text(optimizer.beta2)), ("epsilon", text(optimizer.epsilon)),
      ]))),
      ("schedule", .object(.init(uniqueKeysWithValues: [
        ("kind", text(schedule.kind)), ("steps", .int(schedule.steps)), ("warmupSteps", .int(schedule.warmupSteps)),
        ("finalShare", text(schedule.finalShare)), ("decayShare", text(schedule.decayShare)),
      ]))),
      ("accumulation", .int(trainer.accumulation)), ("clip", text(trainer.clip)),
    ]))
  }

  private static func sum(of batches: [TrainingBatch]) throws -> String {
    var hash = SHA256()
    for batch in batches {
      for numbers in [batch.tokens, batch.targets, batch.labels, batch.tokenTypes, batch.source?.tokens ?? []] {
        withUnsafeBytes(of: numbers.count) { hash.update(bufferPointer: $0) }
        numbers.withUnsafeBytes { hash.update(bufferPointer: $0) }
      }
    }
    return hash.finalize().map { String(format: "%02x", $0) }.joined()
  }

  // MARK: What comes of it

  /// What has been learnt so far.
  public func adapter() throws -> Adapter { try Adapter(configuration, in: model) }

  /// Writes what has been learnt as a folder beside the model: PEFT's where PEFT has the method.
  /// - Throws: `AdapterError` or `CheckpointError`.
  public func writeAdapter(to folder: String) throws {
    try adapter().write(to: folder, for: model, modules: try? ModelRegistry.modules(of: checkpoint))
    if !labels.isEmpty { try AdapterReference(path: folder).write(labels: labels) }
  }

  /// The model with what has been learnt, as a checkpoint that can be written.
  /// - Parameter dataType: of matrices that changed.
  /// - Throws: `AdapterError` for a method that cannot be merged.
  public func merged(dataType: DataType = .f32) throws -> any Checkpoint {
    try adapter().merged(into: checkpoint, dataType: dataType)
  }
}

extension AdapterConfiguration.Method {
  fileprivate var givesWeights: Bool {
    switch self {
    case .full, .lastLayers: true
    default: false
    }
  }
}

extension FineTuning {
  /// The most tokens of an example, what an adapter puts before it not counted; nil where nothing ends.
  /// - Throws: `CheckpointError` for an unknown architecture.
  public static func contextLength(of checkpoint: any Checkpoint, _ configuration: AdapterConfiguration) throws -> Int? {
    let virtual = switch configuration.method {
    case .prefix(let tokens), .prompt(let tokens, _): tokens
    default: 0
    }
    return try ModelRegistry.contextLength(of: checkpoint).map { $0 - virtual }
  }

  /// How examples are read by a model of this shape.
  /// - Throws: `CheckpointError` for an unknown architecture.
  public static func architecture(of checkpoint: any Checkpoint) throws -> ExampleEncoder.Architecture {
    switch try ModelRegistry.shape(of: checkpoint) {
    case .decoder: .decoder
    case .encoder: .encoder
    case .encoderDecoder:
      .encoderDecoder(decoderStart: try ModelRegistry.encoderDecoderConfiguration(checkpoint).startToken)
    }
  }

  /// Examples for a model: labels that a classifier of its own has keep their numbers there.
  /// - Throws: `TrainingDataError` that names the file, the line and the field of a record that cannot be used.
  public static func examples(
    _ files: [SourceFile], for checkpoint: any Checkpoint, encoder: ExampleEncoder, options: RecordOptions
  ) throws -> ExampleSet<TrainingBatch> {
    let examples = try ExampleSet<TrainingBatch>(files, encoder: encoder, options: options)
    guard options.labels == nil, !examples.labels.isEmpty else { return examples }
    let own = try checkpoint.classifierLabels()
    guard examples.labels != own, examples.labels.allSatisfy(own.contains) else { return examples }
    var options = options
    options.labels = own
    return try ExampleSet<TrainingBatch>(files, encoder: encoder, options: options)
  }
}
