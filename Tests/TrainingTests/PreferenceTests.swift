// Direct preference optimization beside TRL's formula in PyTorch.
import Checkpoints
import Foundation
import JSON
import Layers
import Models
import Tensors
import TestSupport
import Testing
import Training
import TrainingData

@Suite("Preferences") struct PreferenceTests {
  private static let pairs: [(prompt: [Int32], chosen: [Int32], rejected: [Int32])] = [
    ([5, 9, 30], [12, 7, 7, 21, 2], [40, 3, 2]), ([8, 8], [17, 2], [33, 34, 35, 36, 2]),
  ]

  private static func example(_ prompt: [Int32], _ answer: [Int32]) -> TrainingBatch {
    let tokens = prompt + answer
    let targets = (1..<tokens.count).map { $0 < prompt.count ? -1 : tokens[$0] }
    return TrainingBatch(tokens: tokens.dropLast(), targets: targets, lengths: [tokens.count - 1])
  }

  private var preferences: ExampleSet<PreferenceBatch> {
    ExampleSet(Self.pairs.map {
      PreferenceBatch(chosen: Self.example($0.prompt, $0.chosen), rejected: Self.example($0.prompt, $0.rejected))
    })
  }

  @Test(arguments: Recomputation.allCases) func `the loss and its gradients are those of TRL`(recomputation: Recomputation) throws {
    let reference = try Decoder(FamilyFixture("llama").checkpoint)
    var model = reference
    let parameters = try model.train()
    for parameter in parameters {
      for index in 0..<parameter.tensor.shape.count { parameter.tensor.floats[index] *= 1.01 }
    }
    // Where epsilon is 1, AdamW's first step moves a number by g / (|g| + 1), which tells the gradient g.
    var options = OptimizerOptions()
    (options.learningRate, options.epsilon, options.weightDecay) = (1, 1, 0)
    let batches = try ExampleBatches(preferences, examplesPerBatch: 2, seed: 1)
    let work = PreferenceWork(
      TrainingState(model: model, parameters: parameters, optimizer: options.optimizer(of: parameters)),
      reference: reference, data: batches, validation: batches, beta: 0.3, recomputation: recomputation)
    let stored = JSONField(try JSONValue(parsing: Array(fixture("preferences/losses.json"))))
    let expected = try stored.required("loss").double()
    let found = try work.evaluate()
    #expect(found[0].name == "validationLoss" && abs(found[0].value / expected - 1) < 1e-5)
    // Of the two margins one is above 0.
    #expect(found[1].name == "validationAccuracy" && found[1].value == 0.5)
    let before = parameters.map { $0.tensor.values }
    let result = try work.step(batches: 0..<1, clip: 0, rateFactor: 1)
    #expect(abs(result.loss / expected - 1) < 1e-5)
    let gradients = try Numbers(Decoder(ModelRegistry.open(fixtureURL("preferences").path))).byPath
    var squares = 0.0
    for (parameter, before) in zip(parameters, before) {
      let theirs = try #require(gradients[parameter.path]), largest = theirs.map(abs).max() ?? 0
      let worst = zip(zip(before, parameter.tensor.values), theirs).map { pair, g in
        abs(pair.0 - pair.1 - g / (abs(g) + 1))
      }.max() ?? 1
      #expect(worst <= 2e-4 * largest + 1e-6, "\(parameter.path): \(worst) of \(largest)")
      squares += theirs.reduce(0) { $0 + Double($1 * $1) }
    }
    #expect(abs(result.gradientNorm / squares.squareRoot() - 1) < 1e-4)
  }

  @Test func `answers that are preferred become likelier`() throws {
    let checkpoint = try FamilyFixture("qwen3").checkpoint
    let options = FineTuningOptions(.init(.lora(.init(rank: 4))), learningRate: 1e-2)
    let tuning = try FineTuning(checkpoint, preferences: preferences, validation: preferences, options: options)
    let before = try tuning.work.evaluate()
    // At first the model is its own reference.
    #expect(abs(before[0].value - 0.693147) < 1e-5)
    _ = try Trainer(tuning.work, options: TrainerOptions(schedule: Schedule(.constant, steps: 20)), checkpoints: nil).run()
    let after = try tuning.work.evaluate()
    #expect(after[0].value < 0.6 && after[1].value == 1)
  }
}
