// Teaching a model something: from examples to an adapter, or to a model of its own.
import Adapters
import ArgumentParser
import Checkpoints
import Foundation
import Malmoi
import Models
import Tensors
import Training
import TrainingData

struct FineTuneCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "finetune", abstract: "Teach a model something by examples.",
    discussion: """
      What is learnt becomes a folder for --adapter, which PEFT reads too; of full, bitfit and last-layers a whole model, \
      a folder or, where --out ends in .gguf, a file. The record of the run is beside it (malmoi runs --root OUT/runs). \
      docs/FINETUNING.md has examples.
      """)

  @Argument(help: "The model: a GGUF file, a folder, or a name of the catalog.") var model: String
  @Option(help: "What to write.") var out: String?
  @Option(help: "How a whole model keeps the matrices that were trained, such as f32, bf16 or q8_0.")
  var type = DataType.f32
  @Flag(help: "Learn which of two answers is preferred (direct preference optimization).") var dpo = false
  @Option(help: "Of --dpo: the larger, the nearer the model stays to what it was.") var beta: Float = 0.1
  @OptionGroup(title: "Method") var method: FineTuningMethodArguments
  @OptionGroup(title: "Data") var examples: FineTuningDataArguments
  @OptionGroup(title: "Steps") var steps: FineTuningStepArguments
  @OptionGroup(title: "Run") var computing: FineTuningRunArguments
  @OptionGroup var hub: HubOptions

  func validate() throws {
    if out == nil, !examples.showExample { throw ValidationError("--out names what to write") }
    if out?.hasSuffix(".gguf") == true, !method.method.givesModel {
      throw ValidationError("--out is a folder for --method \(method.method.rawValue); malmoi merge makes a file of it")
    }
    guard beta > 0, beta.isFinite else { throw ValidationError("--beta is not above 0") }
    if dpo, let format = examples.format, format != .preference {
      throw ValidationError("--dpo learns from --format preference")
    }
  }

  func run() async throws {
    let source = try ModelSource(path: try await hub.pull(model).path)
    let configuration = try method.configuration(baseModel: model)
    let encoder = try encoder(source, configuration)
    let files = try SourceFile.find(examples.data, kinds: [.lines, .array])
    if examples.showExample { return try show(files, encoder) }
    guard let out else { return }
    try checkWeights(source)
    BufferPool.shared.keepForTraining()
    var options = FineTuningOptions(configuration, learningRate: steps.learningRate ?? method.method.learningRate)
    options.optimizer.weightDecay = steps.weightDecay
    (options.examplesPerBatch, options.tokenBudget, options.seed) = (steps.batch, steps.tokenBudget, steps.seed)
    options.recomputation = computing.recompute ?? (method.method == .qlora ? .feedForward : .nothing)
    options.beta = beta
    let tuning = try tuning(source, files, encoder, options)
    let result = TuningResult(tuning, source, out: out, type: type, givesModel: method.method.givesModel)
    try result.check()
    var trainer = steps.trainerOptions(batchesPerEpoch: tuning.batchesPerEpoch)
    (trainer.saveEvery, trainer.keep) = (computing.saveEvery, computing.keep)
    trainer.evaluateEvery = computing.evaluateEvery ?? max(1, tuning.batchesPerEpoch / steps.accumulate)
    try train(tuning, options, trainer, result)
  }

  private func encoder(_ source: ModelSource, _ configuration: AdapterConfiguration) throws -> ExampleEncoder {
    let limit = try FineTuning.contextLength(of: source.checkpoint, configuration)
    let length = examples.maxLength ?? min(limit ?? 1024, 1024)
    guard limit.map({ length <= $0 }) ?? true, length >= 2 else {
      throw ValidationError("the model takes \(limit ?? 0) tokens, what the method puts before a text not counted")
    }
    return try ExampleEncoder(
      tokenizer: source.tokenizer(), template: source.chatTemplate().map { try ChatTemplate(source: $0) },
      architecture: FineTuning.architecture(of: source.checkpoint), maximumLength: length, systemPrompt: examples.system)
  }

  /// QLoRA is LoRA over few bits; whoever asks for it should have them.
  private func checkWeights(_ source: ModelSource) throws {
    guard method.method == .qlora, !source.checkpoint.sizes.contains(where: \.dataType.isQuantized) else { return }
    throw Failure("\(source.path): is not quantized, which qlora is for: quantize it first, or use --method lora")
  }

  private var recordOptions: RecordOptions {
    var options = RecordOptions()
    options.format = examples.format ?? (dpo ? .preference : nil)
    options.skipsBad = examples.skipBad
    options.threads = computing.threads ?? min(8, ProcessInfo.processInfo.activeProcessorCount)
    return options
  }

  private func tuning(
    _ source: ModelSource, _ files: [SourceFile], _ encoder: ExampleEncoder, _ options: FineTuningOptions
  ) throws -> FineTuning {
    let backend = CPUBackend(threads: computing.threads, precision: computing.precision), checkpoint = source.checkpoint
    let held = try examples.validation.isEmpty
      ? nil : SourceFile.find(examples.validation, kinds: [.lines, .array])
    var records = recordOptions
    if dpo {
      let (training, validation) = try divided(
        ExampleSet<PreferenceBatch>(files, encoder: encoder, options: records),
        held.map { try ExampleSet<PreferenceBatch>($0, encoder: encoder, options: records) })
      return try FineTuning(
        checkpoint, preferences: training, validation: validation, options: options, backend: backend)
    }
    let all = try FineTuning.examples(files, for: checkpoint, encoder: encoder, options: records)
    if !all.labels.isEmpty { records.labels = all.labels }
    let (training, validation) = try divided(
      all, held.map { try ExampleSet<TrainingBatch>($0, encoder: encoder, options: records) })
    return try FineTuning(checkpoint, examples: training, validation: validation, options: options, backend: backend)
  }

  private func divided<Example>(
    _ all: ExampleSet<Example>, _ held: ExampleSet<Example>?
  ) throws -> (ExampleSet<Example>, ExampleSet<Example>?) {
    report(all.report)
    if let held { return (all, held) }
    let share = examples.validationShare ?? (all.examples.count > 1 ? 0.05 : 0)
    guard share > 0 else { return (all, nil) }
    let (training, validation) = try all.split(validationFraction: share, seed: steps.seed)
    return (training, validation)
  }

  private func report<Example>(_ report: ExampleSet<Example>.Report) {
    var words = ["\(Output.number(report.records)) records"]
    if report.truncated > 0 { words.append("\(report.truncated) too long and cut") }
    if report.dropped > 0 { words.append("\(report.dropped) with nothing to learn") }
    if report.skipped.lines > 0 {
      words.append("\(report.skipped.lines) unusable" + (report.skipped.first.map { ", the first: \($0)" } ?? ""))
    }
    Output.note(words.joined(separator: ", "))
  }

  private func train(
    _ tuning: FineTuning, _ options: FineTuningOptions, _ trainerOptions: TrainerOptions, _ result: TuningResult
  ) throws {
    let fingerprint = tuning.fingerprint(options, trainerOptions)
    let checkpoints = try TrainingCheckpoints(folder: result.checkpoints, fingerprint: fingerprint)
    guard computing.resume || checkpoints.newest == nil else {
      throw Failure("\(result.checkpoints): has an earlier run; --resume goes on with it, another --out begins anew")
    }
    let (trained, all) = tuning.parameterCounts
    Output.note("\(tuning.configuration.name): \(Output.number(trained)) of \(Output.number(all)) numbers are trained, "
      + "\(trainerOptions.schedule.steps) steps of \(steps.batch * steps.accumulate) examples")
    let display = TrainingProgressDisplay(
      steps: trainerOptions.schedule.steps, learningRate: Double(options.optimizer.learningRate))
    let trainer = Trainer(tuning.work, options: trainerOptions, checkpoints: checkpoints)
    var outcome = TrainingOutcome.finished
    try Interruption.during {
      try trainer.resume { display.show($0) }
      let facts = TrainingRecorder.Facts(
        config: ["base": .string(model), "options": fingerprint], data: .array(examples.data.map { .string($0) }), backend: tuning.backend)
      let record = try TrainingRecorder(
        root: result.runs, name: URL(fileURLWithPath: out ?? "").lastPathComponent,
        after: computing.resume ? trainer.progress.step : nil, facts, display: display)
      outcome = try record.during {
        try trainer.run(isCancelled: { Interruption.isAsked }) { event in
          display.show(event)
          try record.observe(event)
        }
      }
    }
    display.end()
    guard outcome == .finished else {
      Output.note("interrupted at step \(trainer.progress.step), which is saved; --resume goes on")
      throw CancellationError()
    }
    try result.write()
    Output.note("wrote \(result.out) after \(TrainingProgressDisplay.duration(trainer.progress.seconds))")
  }

  private func show(_ files: [SourceFile], _ encoder: ExampleEncoder) throws {
    let format = examples.format ?? (dpo ? .preference : nil), isColoured = isatty(1) == 1
    for (number, record) in try TrainingRecord.first(3, of: files, format: format).enumerated() {
      if number > 0 { Output.line("\n" + String(repeating: "─", count: 40)) }
      for piece in try encoder.pieces(of: record) {
        guard piece.isLearnt else {
          Output.text(piece.text)
          continue
        }
        Output.text(isColoured ? "\u{1b}[32m\(piece.text)\u{1b}[0m" : "⟦\(piece.text)⟧")
      }
      Output.text("\n")
    }
  }
}
