// What a step does besides: accumulation, clipping, threads, precision, recomputation, what is left alone.
import Foundation
import Layers
import Models
import Tensors
import TestSupport
import Testing
import Training
import TrainingData

@Suite("Steps of training") struct StepTests {
  private static let sizes = ModelSizes(
    family: .llama, vocabulary: 80, contextLength: 64, width: 32, layers: 2, heads: 2, keyValueHeads: 1)

  private func state(
    threads: Int = 2, precision: ProductPrecision = .f32, _ change: (inout OptimizerOptions) -> Void = { _ in }
  ) throws -> TrainingState<Decoder> {
    var model = try Decoder(
      Self.sizes.checkpoint(seed: 3), backend: CPUBackend(threads: threads, precision: precision))
    let parameters = try model.train()
    var options = OptimizerOptions()
    options.learningRate = 3e-3
    change(&options)
    return TrainingState(model: model, parameters: parameters, optimizer: options.optimizer(of: parameters))
  }

  private func batch(_ seed: Int, sequences: Int = 3, length: Int = 37) -> TrainingBatch {
    let tokens = (0..<sequences * length).map { Int32(($0 * $0 * 7 + $0 * (seed + 3)) % 80) }
    return TrainingBatch(
      tokens: tokens, targets: tokens.dropFirst() + [-1], lengths: Array(repeating: length, count: sequences))
  }

  private func numbers(_ state: TrainingState<Decoder>) -> [[Float]] { state.parameters.map { $0.tensor.values } }

  @Test(arguments: ProductPrecision.allCases, OptimizerOptions.Kind.allCases)
  func `the number of threads changes no bit`(precision: ProductPrecision, kind: OptimizerOptions.Kind) throws {
    let results = try [1, 2, 5].map { threads in
      let state = try state(threads: threads, precision: precision) { $0.kind = kind }
      let losses = (0..<4).map { state.step([batch($0)], clip: 1, rateFactor: 1).loss }
      return (losses, numbers(state))
    }
    #expect(results[1] == results[0] && results[2] == results[0])
  }

  @Test(arguments: ProductPrecision.allCases, OptimizerOptions.Kind.allCases)
  func `a text that is read often is learnt`(precision: ProductPrecision, kind: OptimizerOptions.Kind) throws {
    let state = try state(precision: precision) { $0.kind = kind }
    let losses = (0..<60).map { _ in state.step([batch(1)], clip: 1, rateFactor: 1).loss }
    #expect(losses[0] > 4 && losses[59] < 0.5 * losses[0])
  }

  @Test func `factors of 16 bits change a loss by little`() throws {
    let losses = try ProductPrecision.allCases.map { try state(precision: $0).step([batch(1)], clip: 0, rateFactor: 1) }
    #expect(losses[0].loss != losses[1].loss && abs(losses[1].loss / losses[0].loss - 1) < 1e-3)
    #expect(abs(losses[1].gradientNorm / losses[0].gradientNorm - 1) < 2e-2)
  }

  @Test func `what is computed again has the same bits`() throws {
    let states = try Recomputation.allCases.map { recomputation in
      let state = try state(precision: .bf16)
      for index in 0..<3 { _ = state.step([batch(index)], clip: 1, rateFactor: 1, recomputation: recomputation) }
      return numbers(state)
    }
    #expect(states.allSatisfy { $0 == states[0] })
  }

  @Test func `batches one after another are as good as one`() throws {
    let one = try state(), several = try state()
    let whole = batch(5, sequences: 4), length = 37
    let parts = (0..<2).map { part in
      let range = part * 2 * length..<(part + 1) * 2 * length
      return TrainingBatch(
        tokens: Array(whole.tokens[range]), targets: Array(whole.targets[range]), lengths: [length, length])
    }
    let a = one.step([whole], clip: 0, rateFactor: 1), b = several.step(parts, clip: 0, rateFactor: 1)
    #expect(abs(a.loss - b.loss) < 1e-6 && abs(a.gradientNorm / b.gradientNorm - 1) < 1e-5 && a.tokens == b.tokens)
  }

  @Test func `long gradients are shortened`() throws {
    let plain = try state { $0.epsilon = 1 }, clipped = try state { $0.epsilon = 1 }
    let before = numbers(plain)
    let norm = plain.step([batch(1)], clip: 0, rateFactor: 1).gradientNorm
    _ = clipped.step([batch(1)], clip: norm / 10, rateFactor: 1)
    // With an epsilon this large Adam's step is nearly proportional to the gradient.
    let moved = [plain, clipped].map { state in
      zip(numbers(state), before).reduce(0.0) { $0 + zip($1.0, $1.1).reduce(0.0) { $0 + Double(abs($1.0 - $1.1)) } }
    }
    #expect(moved[0] > 0 && moved[1] < moved[0])
  }

  @Test func `a model that shares its weights is left as it was`() throws {
    let original = try Decoder(Self.sizes.checkpoint(seed: 3))
    var copy = original
    let parameters = try copy.train { path, _ in path.description.contains("layers.1.feedForward.") }
    #expect(parameters.count == 3)
    let state = TrainingState(
      model: copy, parameters: parameters, optimizer: OptimizerOptions().optimizer(of: parameters))
    let before = original.loss(of: batch(2), factor: 1, recomputation: .nothing).values
    let first = state.step([batch(2)], clip: 0, rateFactor: 1).loss
    #expect(state.step([batch(2)], clip: 0, rateFactor: 1).loss < first)
    #expect(original.loss(of: batch(2), factor: 1, recomputation: .nothing).values == before)
  }

  @Test func `what is no number changes nothing`() throws {
    let state = try state()
    state.parameters[0].tensor.floats[5] = .nan
    let before = numbers(state).map { $0.map(\.bitPattern) }
    #expect(state.step([batch(1)], clip: 1, rateFactor: 1).loss.isNaN)
    #expect(numbers(state).map { $0.map(\.bitPattern) } == before)
  }

  @Test(arguments: ModelSizes.Family.allCases) func `new models of every family learn`(family: ModelSizes.Family) throws {
    let sizes = ModelSizes(family: family, vocabulary: 80, contextLength: 64, width: 32, layers: 2, heads: 2)
    func losses<Model: TrainableModel>(_ model: Model, _ batch: TrainingBatch) throws -> [Double] {
      var model = model
      let parameters = try model.train()
      var options = OptimizerOptions()
      options.learningRate = 3e-3
      let state = TrainingState(model: model, parameters: parameters, optimizer: options.optimizer(of: parameters))
      return (0..<40).map { _ in state.step([batch], clip: 1, rateFactor: 1).loss }
    }
    let checkpoint = try sizes.checkpoint(seed: 1), found: [Double]
    var batch = batch(1)
    switch family {
    case .llama, .gpt2: found = try losses(Decoder(checkpoint), batch)
    case .bert: found = try losses(Encoder(checkpoint), batch)
    case .t5:
      batch.source = .init(tokens: batch.tokens, lengths: batch.lengths)
      found = try losses(EncoderDecoder(checkpoint), batch)
    }
    #expect(found[0] > 3 && found[39] < 0.8 * found[0])
  }

  @Test func `sizes that cannot be are named`() {
    var sizes = Self.sizes
    sizes.heads = 3
    #expect(throws: TrainingError(
      field: "model.heads", message: "3 heads of a width of 32: a head's share must be a multiple of 16")
    ) { try sizes.checkpoint(seed: 1) }
    sizes.heads = 0
    #expect(throws: TrainingError(field: "model.heads", message: "0 is not in 1 ... 1024")) { try sizes.check() }
  }

  @Test func `schedules rise, stay and fall`() {
    let cosine = Schedule(.cosine, steps: 110, warmupSteps: 10, finalShare: 0.1)
    #expect(abs(cosine.factor(at: 0) - 1 / 11) < 1e-12 && cosine.factor(at: 10) == 1)
    #expect(abs(cosine.factor(at: 60) - 0.55) < 1e-12 && abs(cosine.factor(at: 110) - 0.1) < 1e-12)
    let linear = Schedule(.linear, steps: 100, finalShare: 0)
    #expect(linear.factor(at: 25) == 0.75 && linear.factor(at: 100) == 0 && linear.factor(at: 500) == 0)
    let wsd = Schedule(.wsd, steps: 100, finalShare: 0, decayShare: 0.2)
    #expect(wsd.factor(at: 79) == 1 && abs(wsd.factor(at: 90) - 0.5) < 1e-12)
    #expect(Schedule(.constant, steps: 10).factor(at: 9) == 1)
  }
}
