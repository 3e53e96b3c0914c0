// Makes a model out of raw text.
import ArgumentParser
import Foundation
import Generation
import JSON
import Layers
import Malmoi
import Models
import Synchronization
import Tensors
import Tokenization
import Tracking
import Training
import TrainingData

struct PretrainCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "pretrain",
    abstract: "Make a model out of raw text.",
    discussion: """
      A recipe says what model, what text and how (docs/PRETRAINING.md); flags stand above it. --out gets the tokenizer, \
      the text as tokens, checkpoints, the record of the run (malmoi runs --root OUT/runs) and, in the end, the model as \
      a Hugging Face folder, OUT/model. Ctrl-C saves first; --resume goes on to the same bits.
      """)

  @Option(help: ArgumentHelp("The recipe.", valueName: "recipe.yaml")) var config: String?
  @Option(help: ArgumentHelp("The folder of the run.", valueName: "folder")) var out: String?
  @Option(parsing: .upToNextOption, help: "Files, folders or patterns of text.") var data: [String] = []
  @Option(help: "A tokenizer.json, model folder or GGUF file.") var tokenizer: String?
  @Option(help: "Steps.") var steps: Int?
  @Option(help: "Tokens to learn from.") var tokens: Int?
  @Option(help: "Minutes to learn for.") var minutes: Double?
  @Option(help: "Sequences of a batch.") var batch: Int?
  @Option(help: "Tokens of a sequence.") var sequenceLength: Int?
  @Option(help: "The highest learning rate.") var learningRate: Double?
  @Option(help: "What decides everything that is drawn.") var seed: Int?
  @Option(help: "Factors of products: f32 or bf16.") var precision: ProductPrecision?
  @Option(
    name: .customLong("set"), parsing: .unconditionalSingleValue,
    help: ArgumentHelp("Any field of the recipe; may be given again.", valueName: "field=value"))
  var settings: [String] = []
  @Option(help: "Threads; all processors without. They change no bit.") var threads: Int?
  @Flag(help: "Go on after the newest whole checkpoint.") var resume = false
  @Flag(help: "Say what the run will take, and end.") var plan = false
  @Flag(help: "The plan for programs.") var json = false

  private func recipe() throws -> Recipe {
    var overrides: [(field: String, value: JSONValue)] = []
    func set(_ field: String, _ value: JSONValue?) { if let value { overrides.append((field, value)) } }
    set("data.files", data.isEmpty ? nil : .array(data.map { .string($0) }))
    set("tokenizer", tokenizer.map { .string($0) })
    set("training.steps", steps.map { .int($0) })
    set("training.tokens", tokens.map { .int($0) })
    set("training.minutes", minutes.map { .double($0) })
    set("training.batch", batch.map { .int($0) })
    set("training.sequenceLength", sequenceLength.map { .int($0) })
    set("training.learningRate", learningRate.map { .double($0) })
    set("training.seed", seed.map { .int($0) })
    set("training.precision", precision.map { .string($0.rawValue) })
    for setting in settings {
      guard let equals = setting.firstIndex(of: "=") else { throw Failure("--set \(setting): expected field=value") }
      let text = String(setting[setting.index(after: equals)...])
      let value = (try? JSONValue(parsing: Array(text.utf8))) ?? .string(text)
      overrides.append((String(setting[..<equals]), value))
    }
    let yaml = try config.map { path in
      guard let bytes = FileManager.default.contents(atPath: path), let text = String(bytes: bytes, encoding: .utf8) else {
        throw Failure("\(path): cannot be read as UTF-8 text")
      }
      return text
    }
    return try Recipe(yaml: yaml, path: config, overrides: overrides)
  }

  func validate() throws {
    if out == nil, !plan { throw ValidationError("--out names the folder of the run") }
    if resume, plan { throw ValidationError("--plan and --resume do not go together") }
  }

  func run() throws {
    let recipe = try recipe()
    if plan { return try show(recipe) }
    guard let out else { return }
    if !resume, FileManager.default.fileExists(atPath: out + "/checkpoints") {
      throw Failure("\(out): has checkpoints of a run; --resume goes on with it")
    }
    try Interruption.during {
      let clock = Mutex(ProgressClock("reading text"))
      let pretraining = try Pretraining(recipe, folder: out, threads: threads, tokenizerAt: { try Tokenizer(anyAt: $0) }) {
        progress in
        if Interruption.isAsked { throw CancellationError() }
        clock.withLock { $0.show(progress.bytes, of: progress.totalBytes) }
      }
      Output.status("")
      try train(pretraining, out)
    }
  }

  private func train(_ pretraining: Pretraining, _ out: String) throws {
    let recipe = pretraining.recipe, plan = pretraining.plan
    let limits = MachineLimits.measure(threads: pretraining.backend.threadCount)
    let bytesPerToken = pretraining.writer == nil ? nil : pretraining.bytesPerToken
    let display = TrainingProgressDisplay(
      steps: plan.steps, seconds: recipe.trainer.seconds, logEvery: recipe.logEvery, bytesPerToken: bytesPerToken,
      work: (plan.operationsPerToken, recipe.precision == .bf16 ? limits.pairOperations : limits.floatOperations),
      learningRate: Double(recipe.optimizer.learningRate))
    let checkpoints = try TrainingCheckpoints(folder: out + "/checkpoints", fingerprint: pretraining.fingerprint)
    let trainer = Trainer(pretraining.work, options: recipe.trainer, checkpoints: checkpoints)
    Output.note(
      "\(Output.number(pretraining.parameterCount)) parameters, \(Output.number(pretraining.training.tokenCount)) tokens "
        + "to learn from, \(Output.number(pretraining.validation.tokenCount)) held out")
    if resume { try trainer.resume { display.show($0) } }
    let facts = TrainingRecorder.Facts(
      config: recipe.fields,
      data: [
        "fingerprint": pretraining.fingerprint, "tokens": .int(pretraining.training.tokenCount),
        "validationTokens": .int(pretraining.validation.tokenCount),
        "bytes": .int(pretraining.training.corpus.byteCount), "corpus": .string(pretraining.training.corpus.path),
      ], backend: pretraining.backend)
    let record = try TrainingRecorder(
      root: out + "/runs", name: URL(fileURLWithPath: out).lastPathComponent,
      after: resume ? trainer.progress.step : nil, facts, display: display, bytesPerToken: bytesPerToken)
    let outcome = try record.during {
      let outcome = try trainer.run(isCancelled: { Interruption.isAsked }) { event in
        display.show(event)
        try record.observe(event)
        if case .step(let progress, _, _, _) = event, isSampled(recipe, progress.step) {
          try sample(pretraining, progress.step, record)
        }
      }
      let last = trainer.progress.step
      if outcome != .interrupted, recipe.sampleEvery > 0, !isSampled(recipe, last) {
        try sample(pretraining, last, record)
      }
      return outcome
    }
    Output.status("")
    guard outcome != .interrupted else {
      Output.note("interrupted after step \(trainer.progress.step); --resume goes on")
      throw CancellationError()
    }
    try pretraining.save(to: out + "/model")
    Output.note("\(out)/model: \(TrainingProgressDisplay.duration(trainer.progress.seconds)) of training")
  }

  private func isSampled(_ recipe: Recipe, _ step: Int) -> Bool {
    recipe.sampleEvery > 0 && step % recipe.sampleEvery == 0
  }

  /// Some words of the model as it is now.
  private func sample(_ pretraining: Pretraining, _ step: Int, _ record: TrainingRecorder) throws {
    guard let writer = pretraining.writer else { return }
    let prompt = pretraining.recipe.samplePrompt
    let engine = Engine(try writer()), tokenizer = pretraining.tokenizer
    var start = tokenizer.encode(prompt)
    if start.isEmpty { start = [tokenizer.endOfSequence ?? 0] }
    let written = Mutex<[Int32]>([]), done = DispatchSemaphore(value: 0)
    var sampling = SamplingOptions()
    (sampling.temperature, sampling.seed) = (0.8, UInt64(step))
    _ = try engine.submit(EngineRequest(prompt: start, sampling: sampling, maximumTokens: 60)) { event in
      switch event {
      case .token(let token): written.withLock { $0.append(token) }
      case .finished: done.signal()
      default: break
      }
      return true
    }
    done.wait()
    let text = tokenizer.decode(written.withLock(\.self))
    Output.status("")
    Output.note("  \(prompt)\(text)".replacing("\n", with: " "))
    try record.sample(step: step, prompt: prompt, text: text)
  }

  private func show(_ recipe: Recipe) throws {
    var sizes = recipe.sizes
    switch recipe.tokenizer {
    case .trained(_, let vocabulary): sizes.vocabulary = vocabulary
    case .path(let path): sizes.vocabulary = (try Tokenizer(anyAt: path).vocabularyCount + 15) / 16 * 16
    }
    let plan = TrainingPlan(sizes: sizes, recipe: recipe, tokens: nil)
    if json { return try Output.json(plan) }
    let limits = MachineLimits.measure(threads: threads ?? ThreadPool.availableProcessors)
    let peak = recipe.precision == .bf16 ? limits.pairOperations : limits.floatOperations
    Output.line("parameters     \(Output.number(plan.parameters))")
    Output.line("operations     \(Output.fixed(plan.operationsPerToken / 1e6)) million per token")
    Output.line("memory         \(Output.bytes(plan.stateBytes)) of weights, gradients and optimizer, about "
      + "\(Output.bytes(plan.activationBytes)) of a step")
    Output.line("a step         \(Output.number(plan.tokensPerStep)) tokens")
    if let steps = plan.steps, let tokens = plan.tokens {
      Output.line("the run        \(Output.number(steps)) steps, \(Output.number(tokens)) tokens")
    }
    if let ratio = plan.tokensPerParameter {
      Output.line("the ratio      \(Output.fixed(ratio)) tokens per parameter; about 20 spend the operations best")
    }
    Output.line("this machine   \(Output.fixed(peak / 1e9)) billion operations per second at most")
    for share in [0.6, 0.3] {
      if let seconds = plan.seconds(operationsPerSecond: peak * share) {
        Output.line("at \(Int(share * 100)) % of it   \(TrainingProgressDisplay.duration(seconds))")
      }
    }
  }
}
extension ProductPrecision: ExpressibleByArgument {}
extension Recomputation: ExpressibleByArgument {}
