// Every method on every shape of model: it learns, and what is written does what was learnt.
import Adapters
import Checkpoints
import Foundation
import Models
import Tensors
import TestSupport
import Testing
import Training
import TrainingData

@Suite("Fine-tuning") struct FineTuningTests {
  private static let prompt: [Int32] = [5, 9, 30, 12]

  /// Texts of which the second half is to be learnt, or labels, or targets for texts.
  private func examples(_ shape: ModelShape) -> ExampleSet<TrainingBatch> {
    switch shape {
    case .decoder:
      let texts: [[Int32]] = [Self.prompt + [7, 8, 7, 8], Self.prompt.reversed() + [20, 21, 2], [11, 3, 4, 5, 6, 7]]
      return ExampleSet(texts.map { text in
        TrainingBatch(
          tokens: text.dropLast(), targets: (1..<text.count).map { $0 < text.count / 2 ? -1 : text[$0] },
          lengths: [text.count - 1])
      })
    case .encoder:
      let texts: [([Int32], Int32)] = [([2, 9, 30, 3], 0), ([2, 14, 14, 14, 3], 1), ([2, 9, 9, 3], 0), ([2, 14, 20, 3], 1)]
      return ExampleSet(
        texts.map { text, label in
          TrainingBatch(
            tokens: text, targets: text.map { _ in -1 }, lengths: [text.count], labels: [label])
        }, labels: ["nine", "fourteen"])
    case .encoderDecoder:
      let pairs: [([Int32], [Int32])] = [([5, 6, 7, 1], [9, 9, 1]), ([8, 6, 1], [10, 11, 12, 1])]
      return ExampleSet(pairs.map { source, target in
        TrainingBatch(
          tokens: [0] + target.dropLast(), targets: target, lengths: [target.count],
          source: .init(tokens: source, lengths: [source.count]))
      })
    }
  }

  private func tuning(
    _ checkpoint: any Checkpoint, _ method: FineTuningMethod, rate: Float? = nil, threads: Int = 2
  ) throws -> FineTuning {
    var sizes = FineTuningMethod.Sizes()
    (sizes.rank, sizes.virtualTokens, sizes.width, sizes.layers) = (4, 3, 8, 1)
    let examples = examples(try ModelRegistry.shape(of: checkpoint))
    var options = FineTuningOptions(
      .init(method.method(sizes)), learningRate: rate ?? max(3e-3, method.learningRate))
    options.examplesPerBatch = 2
    return try FineTuning(
      checkpoint, examples: examples, validation: examples, options: options, backend: CPUBackend(threads: threads))
  }

  private func train(_ tuning: FineTuning, steps: Int) throws {
    let options = TrainerOptions(schedule: Schedule(.constant, steps: steps))
    _ = try Trainer(tuning.work, options: options, checkpoints: nil).run()
  }

  /// The loss of all examples by a model as a program loads it.
  private func loss(_ checkpoint: any Checkpoint, adapter: String?) throws -> Double {
    func loss<Model: TrainableModel & AdaptableModel>(_ model: Model, _ shape: ModelShape) throws -> Double {
      var model = model
      try model.apply(adapter.map { [AdapterReference(path: $0)] } ?? [], of: checkpoint)
      let examples = examples(shape).examples
      let count = examples.reduce(0) { $0 + $1.targetCount }
      return examples.reduce(0.0) { $0 + Double(model.loss(of: $1, factor: 1, recomputation: .nothing).values[0]) } / Double(count)
    }
    let shape = try ModelRegistry.shape(of: checkpoint)
    return switch shape {
    case .decoder: try loss(Decoder(checkpoint), shape)
    case .encoder: try loss(Encoder(checkpoint), shape)
    case .encoderDecoder: try loss(EncoderDecoder(checkpoint), shape)
    }
  }

  @Test("every method learns, and what it writes does what was learnt", arguments: FineTuningMethod.allCases, [
    "llama", "gpt2", "bert-classes", "bert-bare", "roberta", "t5-gated",
  ])
  func methods(method: FineTuningMethod, family: String) throws {
    let base = try FamilyFixture(family).checkpoint, tuning = try tuning(base, method)
    // Neither has PEFT a word for a prefix of several layers in an encoder–decoder, nor T5 one for biases.
    let isUnsaid = family == "t5-gated" && (method == .prefix || method == .bitfit)
    let before = try tuning.work.evaluate()[0].value
    try train(tuning, steps: 30)
    let after = try tuning.work.evaluate()[0].value
    #expect(after < before - 0.01, "\(before) → \(after)")
    guard !isUnsaid else { return }
    let folder = try TemporaryFolder()
    if method.givesModel {
      try GGUFWriter(path: folder.path("merged.gguf"), of: tuning.merged()).write()
      let found = try loss(GGUFFile(path: folder.path("merged.gguf")), adapter: nil)
      #expect(abs(found - after) < 1e-4, "\(found), not \(after)")
    } else {
      try tuning.writeAdapter(to: folder.path("adapter"))
      let reference = AdapterReference(path: folder.path("adapter"))
      #expect(try reference.labels() == (tuning.labels.isEmpty ? nil : tuning.labels))
      // A program that meets the base and the folder makes the classifier anew.
      let checkpoint = try reference.labels().map { try LabelledCheckpoint(base, labels: $0, seed: 77) } ?? base
      let found = try loss(checkpoint, adapter: folder.path("adapter"))
      #expect(abs(found - after) < 1e-3, "\(found), not \(after)")
    }
  }

  @Test("LoRA is learnt by every family of decoders", arguments: FamilyFixture.decoders)
  func families(name: String) throws {
    let tuning = try tuning(FamilyFixture(name).checkpoint, .lora)
    let before = try tuning.work.evaluate()[0].value
    try train(tuning, steps: 12)
    #expect(try tuning.work.evaluate()[0].value < before - 0.01)
  }

  @Test("a run that was interrupted ends in the same bits", arguments: [FineTuningMethod.lora, .full, .prefix])
  func resuming(method: FineTuningMethod) throws {
    let base = try FamilyFixture("llama").checkpoint, folder = try TemporaryFolder()
    func run(_ name: String, threads: Int, stop: Int?) throws -> (TrainingOutcome, [[Float]]) {
      let tuning = try tuning(base, method, threads: threads)
      let options = TrainerOptions(schedule: Schedule(.cosine, steps: 9, warmupSteps: 2))
      let checkpoints = try TrainingCheckpoints(
        folder: folder.path(name),
        fingerprint: tuning.fingerprint(FineTuningOptions(tuning.configuration, learningRate: 1e-3), options))
      let trainer = Trainer(tuning.work, options: options, checkpoints: checkpoints)
      try trainer.resume()
      let outcome = try trainer.run(isCancelled: { trainer.progress.step == stop })
      return (outcome, tuning.work.parameters.map { $0.tensor.values })
    }
    let whole = try run("whole", threads: 2, stop: nil)
    let first = try run("parts", threads: 1, stop: 4)
    #expect(whole.0 == .finished && first.0 == .interrupted && first.1 != whole.1)
    let second = try run("parts", threads: 2, stop: nil)
    #expect(second.0 == .finished && second.1 == whole.1)
  }

  @Test func `labels that the model knows keep their classifier, others get a new one`() throws {
    let base = try FamilyFixture("bert-classes").checkpoint, own = try base.classifierLabels()
    #expect(own.count == 3)
    let texts = examples(.encoder).examples
    let options = FineTuningOptions(.init(.lora(.init())), learningRate: 1e-3)
    let kept = try FineTuning(base, examples: ExampleSet(texts, labels: own), options: options)
    #expect(!(kept.checkpoint is LabelledCheckpoint) && kept.configuration.trainedParts == ["classifier.output"])
    let bare = try FineTuning(
      FamilyFixture("bert-bare").checkpoint, examples: ExampleSet(texts, labels: ["a", "b"]), options: options)
    #expect(try bare.checkpoint.classifierLabels() == ["a", "b"])
  }

  @Test func `data of another kind are refused in one line`() throws {
    let options = FineTuningOptions(.init(.lora(.init())), learningRate: 1e-3)
    let decoder = try FamilyFixture("llama").checkpoint, encoder = try FamilyFixture("bert").checkpoint
    let refused = #expect(throws: TrainingError.self) {
      try FineTuning(decoder, examples: examples(.encoder), options: options)
    }
    #expect(refused?.message == "labelled text is for encoders")
    #expect(throws: TrainingError.self) { try FineTuning(encoder, examples: examples(.decoder), options: options) }
    let none = ExampleSet<PreferenceBatch>([PreferenceBatch()])
    #expect(throws: TrainingError.self) { try FineTuning(encoder, preferences: none, options: options) }
  }
}
