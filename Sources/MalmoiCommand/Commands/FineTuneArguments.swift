// The options of `malmoi finetune`, by subject.
import Adapters
import ArgumentParser
import Foundation
import Layers
import Tensors
import Training
import TrainingData

extension FineTuningMethod: ExpressibleByArgument {}
extension RecordFormat: ExpressibleByArgument {}
extension Schedule.Kind: ExpressibleByArgument {}

/// What is trained.
struct FineTuningMethodArguments: ParsableArguments {
  @Option(help: "What is trained: full, lora, dora, qlora, adapter, prefix, prompt, ia3, bitfit or last-layers.")
  var method = FineTuningMethod.lora

  @Option(help: "The rank of lora, dora and qlora.") var rank = 8
  @Option(help: "Their alpha (default: twice the rank).") var alpha: Double?
  @Option(help: ArgumentHelp(
    "The matrices of lora, dora, qlora and ia3, by names such as query, attn_q or q_proj (default: all, of ia3 some).",
    valueName: "a,b,…"))
  var targets: String?
  @Option(help: "How many tokens prefix and prompt put before each text.") var virtualTokens = 20
  @Option(help: "The width of adapter's layers.") var width = 64
  @Option(help: "How many layers last-layers trains.") var layers = 2

  func configuration(baseModel: String) throws -> AdapterConfiguration {
    var sizes = FineTuningMethod.Sizes()
    (sizes.rank, sizes.alpha, sizes.virtualTokens) = (rank, alpha, virtualTokens)
    (sizes.width, sizes.layers) = (width, layers)
    let names = targets.map { $0.split(separator: ",").map { $0.trimmingCharacters(in: .whitespaces) } }
    let chosen: AdapterConfiguration.Targets? = names.map { $0 == ["all"] ? .all : .named($0) }
    let configuration = AdapterConfiguration(method.method(sizes), targets: chosen, baseModel: baseModel)
    try configuration.validate()
    return configuration
  }
}

/// What it is trained on.
struct FineTuningDataArguments: ParsableArguments {
  @Option(parsing: .upToNextOption, help: ArgumentHelp(
    "Examples: JSON Lines or a JSON array, also .gz; files, folders or patterns.", valueName: "file"))
  var data: [String]

  @Option(parsing: .upToNextOption, help: ArgumentHelp("Examples that are held out.", valueName: "file"))
  var validation: [String] = []

  @Option(help: "The share of the data that is held out where there is no --validation; 0 for none.")
  var validationShare: Double?

  @Option(help: "Of records: instruction, chat, completion, text, labelled, preference (default: as the first shows).")
  var format: RecordFormat?

  @Flag(help: "Leave out records that cannot be used, instead of refusing them.") var skipBad = false
  @Option(help: "The most tokens of an example; what is longer loses its end.") var maxLength: Int?
  @Option(help: "What conversations begin with that have no instructions of their own.") var system: String?
  @Flag(help: "Show some examples as the model reads them, what it learns marked, and end.") var showExample = false

  func validate() throws {
    if let validationShare, !(0..<1 ~= validationShare) {
      throw ValidationError("--validation-share is not in 0 ..< 1")
    }
    if validationShare != nil, !validation.isEmpty {
      throw ValidationError("--validation and --validation-share exclude each other")
    }
    if let maxLength, maxLength < 2 { throw ValidationError("--max-length is not 2 or more") }
  }
}

/// How long and how fast.
struct FineTuningStepArguments: ParsableArguments {
  @Option(help: "How often all examples are read (default: 3).") var epochs: Double?
  @Option(help: "Steps, instead of epochs.") var steps: Int?
  @Option(help: "Examples of a batch.") var batch = 8
  @Option(help: "The most tokens of a batch of several examples.") var tokenBudget: Int?
  @Option(help: "Batches of a step.") var accumulate = 1
  @Option(help: "The learning rate (default: one that suits the method).") var learningRate: Float?
  @Option(help: "How the rate changes: constant, linear, cosine or wsd.") var schedule = Schedule.Kind.cosine
  @Option(help: "Steps in which the rate rises, or below 1 their share.") var warmup = 0.03
  @Option(help: "Pulls matrices towards zero.") var weightDecay: Float = 0
  @Option(help: "Gradients longer than this are shortened; 0 for never.") var clip = 1.0
  @Option(help: "Decides the order of examples, the split, and what adapters begin as.") var seed: UInt64 = 1

  func validate() throws {
    if let steps, steps < 1 { throw ValidationError("--steps is not 1 or more") }
    if let epochs, !(epochs > 0 && epochs <= 1e6) { throw ValidationError("--epochs is not above 0") }
    if steps != nil, epochs != nil { throw ValidationError("--steps and --epochs exclude each other") }
    if let tokenBudget, tokenBudget < 1 { throw ValidationError("--token-budget is not 1 or more") }
    for (name, value) in [("--batch", batch), ("--accumulate", accumulate)] where !(1...1 << 20 ~= value) {
      throw ValidationError("\(name) is not in 1 ... \(1 << 20)")
    }
    let factors = [("--learning-rate", learningRate ?? 1), ("--weight-decay", weightDecay), ("--clip", Float(clip))]
    for (name, value) in factors
    where !(value >= 0 && value.isFinite) {
      throw ValidationError("\(name) is no number of 0 or more")
    }
    guard warmup >= 0, warmup < 1e9 else { throw ValidationError("--warmup is not 0 or more") }
  }

  func trainerOptions(batchesPerEpoch: Int) -> TrainerOptions {
    let wanted = (epochs ?? 3) * Double(batchesPerEpoch) / Double(accumulate)
    let steps = steps ?? max(1, Int(min(wanted.rounded(.up), 1e12)))
    let rising = warmup < 1 ? Int((warmup * Double(steps)).rounded()) : Int(warmup)
    var options = TrainerOptions(schedule: Schedule(schedule, steps: steps, warmupSteps: rising))
    (options.accumulation, options.clip) = (accumulate, clip)
    // Batches of few examples differ too much for a leap of the loss to mean harm.
    options.spike = 0
    return options
  }
}

/// How it is computed, and what is kept.
struct FineTuningRunArguments: ParsableArguments {
  @Option(help: "Threads of compute (default: all processors).") var threads: Int?
  @Option(help: "Factors of products: f32 or bf16 (default: bf16 where the processor has it).")
  var precision = ProductPrecision.preferred
  @Option(
    help: """
      What is computed again for gradients, in less memory: nothing, feed-forward or layers (default: feed-forward for \
      qlora, nothing for other methods).
      """)
  var recompute: Recomputation?
  @Option(help: "Steps between evaluations; 0 for the last alone (default: an epoch).") var evaluateEvery: Int?
  @Option(help: "Steps between checkpoints; 0 for the last alone.") var saveEvery = 0
  @Option(help: "Checkpoints that are kept, beside the best.") var keep = 1
  @Flag(help: "Go on where the last run was interrupted.") var resume = false

  func validate() throws {
    if let threads, !(1...1024 ~= threads) { throw ValidationError("--threads is not in 1 ... 1024") }
    if let evaluateEvery, evaluateEvery < 0 { throw ValidationError("--evaluate-every is not 0 or more") }
    if saveEvery < 0 { throw ValidationError("--save-every is not 0 or more") }
    if keep < 1 { throw ValidationError("--keep is not 1 or more") }
  }
}
