// Runs that are stopped, torn, led astray: what comes of them is what would have come anyway, or a clear word.
import Foundation
import JSON
import Models
import Synchronization
import Tensors
import TestSupport
import Testing
import Training
import TrainingData

@Suite("The trainer") struct TrainerTests {
  private static let sizes = ModelSizes(
    family: .llama, vocabulary: 80, contextLength: 64, width: 32, layers: 1, heads: 2)

  /// Batches that a rule makes; one of them may be poisoned.
  private struct Rows: BatchSource {
    var poisoned: Int?
    let batchesPerEpoch = 1000

    func batch(at index: Int) throws -> TrainingBatch {
      let tokens = (0..<48).map { Int32(($0 * $0 * 3 + $0 * (index % 7 + 2)) % 80) }
      if index == poisoned { throw Poison() }
      return TrainingBatch(tokens: tokens, targets: tokens.dropFirst() + [-1], lengths: [24, 24])
    }
  }

  private struct Poison: Error {}

  /// Work whose loss is no number, or leaps, at one batch.
  private final class Astray: TrainingWork {
    let inner: ModelWork<Decoder>
    let batch: Int
    let loss: Double

    init(_ inner: ModelWork<Decoder>, batch: Int, loss: Double) {
      (self.inner, self.batch, self.loss) = (inner, batch, loss)
    }

    var parameters: [TrainedParameter] { inner.parameters }
    var optimizer: any Optimizer { inner.optimizer }

    func step(batches: Range<Int>, clip: Double, rateFactor: Float) throws -> StepResult {
      var result = try inner.step(batches: batches, clip: clip, rateFactor: rateFactor)
      if batches.contains(batch) { result.loss = loss }
      return result
    }

    func evaluate() throws -> [(name: String, value: Double)] { try inner.evaluate() }
  }

  private func work(kind: OptimizerOptions.Kind = .adamw) throws -> ModelWork<Decoder> {
    var model = try Decoder(Self.sizes.checkpoint(seed: 5))
    let parameters = try model.train()
    var options = OptimizerOptions()
    (options.kind, options.learningRate) = (kind, 3e-3)
    return ModelWork(
      TrainingState(model: model, parameters: parameters, optimizer: options.optimizer(of: parameters)), data: Rows(),
      validation: Rows(), validationBatches: 2)
  }

  private func options(_ steps: Int = 24, _ change: (inout TrainerOptions) -> Void = { _ in }) -> TrainerOptions {
    var options = TrainerOptions(schedule: Schedule(.cosine, steps: steps, warmupSteps: 4))
    options.accumulation = 2
    options.saveEvery = 5
    options.evaluateEvery = 6
    change(&options)
    return options
  }

  private func inFolder(_ body: (TrainingCheckpoints) throws -> Void) throws {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("malmoi-trainer-\(UUID().uuidString)").path
    defer { try? FileManager.default.removeItem(atPath: folder) }
    try body(try TrainingCheckpoints(folder: folder, fingerprint: ["model": "tiny", "seed": 5]))
  }

  private func numbers(_ work: any TrainingWork) -> [[UInt32]] {
    (work.parameters.map(\.tensor) + work.optimizer.state.map(\.tensor)).map { $0.values.map(\.bitPattern) }
  }

  @Test(arguments: OptimizerOptions.Kind.allCases)
  func `a run that is stopped anywhere goes on to the same bits`(kind: OptimizerOptions.Kind) throws {
    let whole = try work(kind: kind)
    #expect(try Trainer(whole, options: options(), checkpoints: nil).run() == .finished)
    for stop in [1, 5, 7, 23] {
      try inFolder { checkpoints in
        let first = Trainer(try work(kind: kind), options: options(), checkpoints: checkpoints)
        var steps = 0
        #expect(try first.run(isCancelled: { steps += 1; return steps == stop }) == .interrupted)
        let again = try work(kind: kind), second = Trainer(again, options: options(), checkpoints: checkpoints)
        try second.resume()
        #expect(second.progress.step == stop)
        #expect(try second.run() == .finished)
        #expect(numbers(again) == numbers(whole) && second.progress.nextBatch == 48)
      }
    }
  }

  @Test(arguments: ["weights.safetensors", "optimizer.safetensors", "state.json"], [false, true])
  func `of torn checkpoints the one before is used`(file: String, isCut: Bool) throws {
    let whole = try work()
    _ = try Trainer(whole, options: options(), checkpoints: nil).run()
    try inFolder { checkpoints in
      var steps = 0
      _ = try Trainer(try work(), options: options(), checkpoints: checkpoints)
        .run(isCancelled: { steps += 1; return steps == 12 })
      let path = try #require(checkpoints.newest) + "/" + file
      var bytes = [UInt8](try Data(contentsOf: URL(fileURLWithPath: path)))
      if isCut { bytes.removeLast(7) } else { bytes[bytes.count - 9] ^= 4 }
      try Data(bytes).write(to: URL(fileURLWithPath: path))
      let again = try work(), trainer = Trainer(again, options: options(), checkpoints: checkpoints)
      var damaged: [String] = []
      try trainer.resume { if case .resumed(_, _, let found) = $0 { damaged = found } }
      #expect(trainer.progress.step == 10 && damaged.count == 1)
      #expect(damaged.first?.contains(file == "state.json" && !isCut ? "step-00000012" : file) == true || !damaged.isEmpty)
      _ = try trainer.run()
      #expect(numbers(again) == numbers(whole))
    }
  }

  @Test func `the newest and the best are kept`() throws {
    try inFolder { checkpoints in
      let trainer = Trainer(
        try work(), options: options(30) { ($0.saveEvery, $0.evaluateEvery, $0.keep) = (3, 3, 2) },
        checkpoints: checkpoints)
      _ = try trainer.run()
      let kept = checkpoints.all.compactMap { Int($0.suffix(8)) }
      #expect(Set(kept).isSubset(of: [30, 27, trainer.progress.bestStep ?? 0]) && kept.first == 30 && kept.count <= 3)
    }
  }

  @Test func `a checkpoint of another run is refused`() throws {
    try inFolder { checkpoints in
      _ = try Trainer(try work(), options: options(5), checkpoints: checkpoints).run()
      let other = try TrainingCheckpoints(folder: checkpoints.folder, fingerprint: ["model": "tiny", "seed": 6])
      let trainer = Trainer(try work(), options: options(5), checkpoints: other)
      #expect { try trainer.resume() } throws: { "\($0)".contains("seed 5, not 6") }
    }
  }

  @Test func `a full disk leaves the last good checkpoint`() throws {
    try inFolder { checkpoints in
      let first = try work()
      _ = try Trainer(first, options: options(5), checkpoints: checkpoints).run()
      let before = checkpoints.all
      // A file that may not grow is what a disk without room looks like.
      var limit = rlimit()
      getrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &limit)
      let usual = limit
      let handler = signal(SIGXFSZ, SIG_IGN)
      limit.rlim_cur = 20_000
      setrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &limit)
      let again = try work(), trainer = Trainer(again, options: options(12), checkpoints: checkpoints)
      let result = Result { try trainer.resume(); _ = try trainer.run() }
      limit = usual
      setrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &limit)
      signal(SIGXFSZ, handler)
      #expect(throws: (any Error).self) { try result.get() }
      #expect(checkpoints.all == before)
      let third = try work(), resumed = Trainer(third, options: options(5), checkpoints: checkpoints)
      try resumed.resume()
      #expect(resumed.progress.step == 5 && numbers(third) == numbers(first))
      let left = try FileManager.default.contentsOfDirectory(atPath: checkpoints.folder)
      #expect(left.allSatisfy { !$0.contains("partial") })
    }
  }

  @Test(arguments: [(Double.nan, "is nan"), (1000, "leaps to 1000.0")])
  func `what leads a run astray is named`(loss: Double, word: String) throws {
    let trainer = Trainer(Astray(try work(), batch: 45, loss: loss), options: options(40), checkpoints: nil)
    #expect { try trainer.run() } throws: {
      "\($0)".contains("step 23, batches 44 ..< 46") && "\($0)".contains(word)
    }
    #expect(trainer.progress.step == 22)
  }

  @Test func `a run goes back and leaves out what led it astray`() throws {
    try inFolder { checkpoints in
      let trainer = Trainer(
        Astray(try work(), batch: 45, loss: .nan), options: options(40) { $0.skipsBack = 1 }, checkpoints: checkpoints)
      var returned: [Int] = []
      let outcome = try trainer.run(isCancelled: { false }) {
        if case .wentBack(let progress, _) = $0 { returned.append(progress.step) }
      }
      #expect(outcome == .finished && returned == [20] && trainer.progress.skips == 1)
      // Back at step 20, which had read 40 batches; 46 are behind it now.
      #expect(trainer.progress.nextBatch == 46 + 2 * 20)
    }
  }

  @Test func `time that is given ends a run`() throws {
    let trainer = Trainer(try work(), options: options(1_000_000) { ($0.seconds, $0.spike) = (0.3, 0) }, checkpoints: nil)
    #expect(try trainer.run() == .outOfTime)
    #expect(trainer.progress.seconds < 10)
  }
}
