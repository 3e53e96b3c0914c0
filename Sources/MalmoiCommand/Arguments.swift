// Options that several subcommands share.
import ArgumentParser
import Foundation
import Malmoi
import Tensors

extension CacheType: ExpressibleByArgument {}

/// Where models are kept and fetched from.
struct HubOptions: ParsableArguments {
  @Flag(help: "Never touch the network.")
  var offline = false

  func hub() throws -> Hub {
    var configuration = try HubConfiguration()
    if offline { configuration.isOffline = true }
    return Hub(configuration: configuration)
  }

  /// The model on this machine, fetched first where it is not there yet.
  func pull(_ model: String) async throws -> LocalModel {
    let hub = try hub(), meter = PullDisplay()
    defer { meter.end() }
    return try await hub.pull(hub.reference(model)) { meter.show($0) }
  }
}

/// How a model is brought into memory.
struct LoadOptions: ParsableArguments {
  @OptionGroup var hub: HubOptions
  @OptionGroup var adaptation: AdapterArguments

  @Option(help: "Threads of compute (default: all processors).")
  var threads: Int?

  @Option(name: .customLong("context"), help: "The most tokens of prompt and answer (default: the model's).")
  var contextLength: Int?

  @Option(help: "How keys and values are cached: i16 or q8_0.")
  var cacheType = CacheType.i16

  @Option(help: "Tokens of a prompt that are read at once.")
  var chunk = 512

  func validate() throws {
    if let threads, !(1...1024).contains(threads) { throw ValidationError("--threads is not in 1 ... 1024") }
    if let contextLength, contextLength < 1 { throw ValidationError("--context is not 1 or more") }
    guard (1...65_536).contains(chunk) else { throw ValidationError("--chunk is not in 1 ... 65536") }
  }

  func load(_ model: String, speculation: SpeculationArguments? = nil) async throws -> LanguageModel {
    let path = try await hub.pull(model).path, draft = speculation?.draftModel
    var draftPath: String?
    if let draft { draftPath = try await hub.pull(draft).path }
    return try LanguageModel(
      path: path, name: model,
      options: .init(
        threads: threads, contextLength: contextLength, cacheType: cacheType, batchTokens: chunk,
        speculation: speculation?.speculate == .off ? .off : .lookup, draftModel: draftPath,
        adapters: adaptation.adapters))
  }
}

/// How tokens are guessed ahead.
struct SpeculationArguments: ParsableArguments {
  enum Source: String, ExpressibleByArgument, CaseIterable {
    case lookup, off
  }

  @Option(help: "Guess tokens ahead from earlier text (lookup), or do not (off); the answer is the same.")
  var speculate: Source?

  @Option(help: ArgumentHelp("A smaller model with the same vocabulary that guesses ahead.", valueName: "model"))
  var draftModel: String?

  func validate() throws {
    if draftModel != nil, speculate != nil { throw ValidationError("--draft-model and --speculate exclude each other") }
  }
}

/// How tokens are chosen.
struct SamplingArguments: ParsableArguments {
  @Option(name: [.customShort("n"), .customLong("maximum-tokens")], help: "The most tokens to write.")
  var maximumTokens: Int?

  @Option(help: "Divides the scores; 0 always takes the best token.")
  var temperature: Float = 0.7

  @Option(help: "Keeps the k best tokens; 0 keeps all.")
  var topK = 40

  @Option(help: "Keeps the best tokens up to this sum of probabilities.")
  var topP: Float = 0.95

  @Option(help: "Keeps tokens with at least this share of the best one's probability.")
  var minP: Float = 0.05

  @Option(help: "Keeps the most typical tokens up to this sum of probabilities.")
  var typical: Float = 1

  @Option(help: "Divides the scores of recent tokens.")
  var repetitionPenalty: Float = 1.1

  @Option(help: "Subtracted from the scores of recent tokens.")
  var presencePenalty: Float = 0

  @Option(help: "Subtracted from a recent token's score for every time it occurred.")
  var frequencyPenalty: Float = 0

  @Option(help: ArgumentHelp("Added to a token's score; may be given again.", valueName: "token=bias"))
  var logitBias: [LogitBias] = []

  @Option(help: "Makes the answer repeatable.")
  var seed: UInt64?

  @Option(help: "Text that ends the answer; may be given again.")
  var stop: [String] = []

  func validate() throws {
    do {
      try options.sampling.validate()
    } catch {
      throw ValidationError(error.description)
    }
    if let maximumTokens, maximumTokens < 1 { throw ValidationError("--maximum-tokens is not 1 or more") }
  }

  var options: GenerationOptions {
    GenerationOptions(
      sampling: SamplingOptions(
        temperature: temperature, topK: topK, topP: topP, minP: minP, typicalP: typical,
        repetitionPenalty: repetitionPenalty, presencePenalty: presencePenalty, frequencyPenalty: frequencyPenalty,
        logitBias: Dictionary(logitBias.map { ($0.token, $0.bias) }) { $1 }, seed: seed),
      maximumResponseTokens: maximumTokens, stopStrings: stop)
  }
}

/// `198=-100`
struct LogitBias: ExpressibleByArgument {
  let token: Int32
  let bias: Float

  init?(argument: String) {
    let parts = argument.split(separator: "=")
    guard parts.count == 2, let token = Int32(parts[0]), let bias = Float(parts[1]) else { return nil }
    self.token = token
    self.bias = bias
  }
}
