// Whole models beside PyTorch: the loss, the gradient of every parameter, and ten steps of AdamW.
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

@Suite("Whole models beside PyTorch") struct WholeModelGradientTests {
  static let decoderNames = [
    "gpt2", "gpt_neox-parallel", "llama-3", "mixtral", "qwen3", "gemma2", "gemma3", "phi3", "olmo2",
  ]

  @Test(arguments: decoderNames, Recomputation.allCases) func `decoders`(name: String, recomputation: Recomputation) throws {
    let family = try FamilyFixture(name)
    try check(name, Decoder(family.checkpoint), Decoder(gradients(name)), Self.continuations(family), recomputation)
  }

  @Test(arguments: ["bert", "bert-classes", "modernbert"], Recomputation.allCases)
  func `encoders`(name: String, recomputation: Recomputation) throws {
    let family = try FamilyFixture(name), texts = try ["tokens", "tokens2"].map(family.tokens)
    var batch = TrainingBatch(tokens: texts[0] + texts[1], lengths: texts.map(\.count))
    if name.contains("classes") {
      batch.labels = texts.map { Int32($0.count % 3) }
    } else {
      let vocabulary: Int32 = 48
      batch.targets = texts.flatMap { text in text.enumerated().map { $0 % 3 == 0 ? ($1 + 5) % vocabulary : -1 } }
    }
    try check(name, Encoder(family.checkpoint), Encoder(gradients(name)), batch, recomputation)
  }

  @Test(arguments: ["t5-gated", "bart"], Recomputation.allCases)
  func `encoder-decoders`(name: String, recomputation: Recomputation) throws {
    let family = try FamilyFixture(name)
    let source = try family.tokens("encoder_tokens"), target = try family.tokens("decoder_tokens")
    let batch = TrainingBatch(
      tokens: target, targets: target.dropFirst() + [-1], lengths: [target.count],
      source: .init(tokens: source, lengths: [source.count]))
    try check(name, EncoderDecoder(family.checkpoint), EncoderDecoder(gradients(name)), batch, recomputation)
  }

  private static func continuations(_ family: FamilyFixture) throws -> TrainingBatch {
    let texts = try ["tokens", "tokens2"].map(family.tokens)
    return TrainingBatch(
      tokens: texts[0] + texts[1], targets: texts.flatMap { $0.dropFirst() + [-1] }, lengths: texts.map(\.count))
  }

  private func gradients(_ name: String) throws -> any Checkpoint {
    try ModelRegistry.open(fixtureURL("gradients/" + name).path)
  }

  private func check<Model: TrainableModel>(
    _ name: String, _ model: Model, _ reference: Model, _ batch: TrainingBatch, _ recomputation: Recomputation
  ) throws {
    var model = model
    // What BART adds to its scores is a constant for PyTorch.
    let parameters = try model.train { path, _ in name != "bart" || path.description != "head.bias" }
    let file = try JSONValue(parsing: Array(fixture("gradients/\(name)/losses.json")))
    let losses = try JSONField(file).required("losses").array().map { try $0.double() }
    let loss = model.loss(of: batch, factor: 1 / Float(batch.targetCount), recomputation: recomputation)
    #expect(abs(Double(loss.values[0]) / losses[0] - 1) < 1e-5)
    let found = loss.gradients(), expected = try Numbers(reference).byPath
    #expect(!expected.isEmpty)
    for parameter in parameters {
      let own = found[parameter.tensor]?.values, theirs = expected[parameter.path]
      guard let own, let theirs else {
        // Heads that the loss does not reach have none on either side, or zeros.
        #expect((own ?? theirs ?? []).allSatisfy { $0 == 0 }, "\(parameter.path)")
        continue
      }
      // Gemma's files hold the factors of norms less one, which reading adds.
      let isShifted = name.hasPrefix("gemma") && parameter.role == .vector
      let largest = theirs.map(abs).max() ?? 0
      let worst = zip(own, theirs).map { abs($0 - $1 + (isShifted ? 1 : 0)) }.max() ?? 0
      // The bias of keys changes nothing: its gradient is what rounding leaves.
      #expect(own.count == theirs.count && worst <= 1e-4 * largest + 1e-7, "\(parameter.path): \(worst) of \(largest)")
    }
    var options = OptimizerOptions()
    options.learningRate = 1e-3
    let state = TrainingState(model: model, parameters: parameters, optimizer: options.optimizer(of: parameters))
    for (step, expected) in losses.enumerated() {
      let result = state.step([batch], clip: 0, rateFactor: 1, recomputation: recomputation)
      #expect(abs(result.loss / expected - 1) < 1e-3, "step \(step): \(result.loss), not \(expected)")
    }
  }
}

/// All parameters of a model as numbers.
final class Numbers: ModuleVisitor {
  var byPath: [String: [Float]] = [:]

  init(_ model: some Module) throws {
    var model = model
    try model.visit(self, at: ModulePath())
  }

  func visit(_ parameter: inout Tensor, role: ParameterRole, at path: ModulePath) {
    byPath[path.description] = parameter.backend.floats(parameter).values
  }
}
