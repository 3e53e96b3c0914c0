// How fast a model learns here, and how near that is to what the machine could do at all.
import Adapters
import ArgumentParser
import Foundation
import Layers
import Malmoi
import Models
import Tensors
import Training
import TrainingData

struct BenchTrainCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "bench-train",
    abstract: "Measure how fast a decoder learns, beside what this machine's arithmetic allows.")

  enum Method: String, ExpressibleByArgument, CaseIterable {
    case full
    /// Rank 8 on all projections of the layers; over quantized weights QLoRA.
    case lora
  }

  @Argument(help: "The model; without one a new Llama of 13.8 million parameters.") var model: String?
  @Option(help: "What is trained: full or lora (rank 8 on all projections).") var method = Method.full
  @Option(help: "Sequences of a batch.") var batch = 8
  @Option(help: "Tokens of a sequence.") var length = 256
  @Option(help: "Factors of products: f32 or bf16.") var precision = ProductPrecision.preferred
  @Option(help: "Steps, of which the median counts.") var steps = 10
  @Option(help: "Threads; all processors without.") var threads: Int?
  @Option(
    help: """
      What is computed again for gradients, in less memory: nothing, feed-forward or layers (default: feed-forward over \
      quantized weights, nothing elsewhere, as in finetune).
      """)
  var recompute: Recomputation?
  @Flag(help: "For programs.") var json = false

  struct Report: Encodable {
    var method, precision, recomputed: String
    var batch, length, threads: Int
    var parameters, trainedParameters: Int
    /// Medians.
    var secondsPerStep, tokensPerSecond: Double
    var stepSeconds: [Double]
    var losses: [Double]
    /// Of the machine's arithmetic with these factors.
    var peakShare: Double
    var peakMemoryBytes: Int
  }

  func validate() throws {
    for (name, value) in [("--batch", batch), ("--length", length), ("--steps", steps)] where !(1...1 << 16).contains(value) {
      throw ValidationError("\(name) is not in 1 ... 65536")
    }
  }

  func run() throws {
    let backend = CPUBackend(threads: threads, precision: precision)
    BufferPool.shared.keepForTraining()
    var decoder: Decoder
    if let model {
      decoder = try Decoder(ModelRegistry.open(model), backend: backend)
    } else {
      let sizes = ModelSizes(
        family: .llama, vocabulary: 8192, contextLength: 1024, width: 384, layers: 6, heads: 6, hiddenWidth: 1024)
      decoder = try Decoder(sizes.checkpoint(seed: 1), backend: backend)
    }
    guard length <= decoder.configuration.contextLength else {
      throw Failure("--length exceeds the context of \(decoder.configuration.contextLength)")
    }
    let count = try MatrixCount(decoder)
    let recomputation = recompute ?? (method == .lora && count.isQuantized ? .feedForward : .nothing)
    let configuration = AdapterConfiguration(
      method == .full ? .full : .lora(.init(rank: 8, alpha: 16)), targets: .all)
    try configuration.apply(to: &decoder, seed: 1)
    let parameters = try decoder.train(where: configuration.trainedParameters(of: decoder))
    let state = TrainingState(
      model: decoder, parameters: parameters, optimizer: OptimizerOptions().optimizer(of: parameters))
    let vocabulary = decoder.configuration.vocabulary
    let tokens = (0..<batch * length).map { Int32(($0 * 7919 + $0 * $0 % 911) % vocabulary) }
    let data = TrainingBatch(
      tokens: tokens, targets: Array(tokens.dropFirst()) + [0], lengths: Array(repeating: length, count: batch))
    // Before and after: on a shared machine one moment may be a bad one.
    var limit = MachineLimits.operations(precision, threads: backend.threadCount)
    var seconds: [Double] = [], losses: [Double] = []
    for index in 0...steps {
      let start = ContinuousClock.now
      let result = state.step([data], clip: 0, rateFactor: 1, recomputation: recomputation)
      losses.append(result.loss)
      if index > 0 { seconds.append((ContinuousClock.now - start) / .seconds(1)) }  // the first warms up
      Output.status("step \(index) of \(steps), loss \(Output.fixed(result.loss, 4))")
    }
    Output.status("")
    limit = max(limit, MachineLimits.operations(precision, threads: backend.threadCount))
    let median = seconds.sorted()[seconds.count / 2], rate = Double(batch * length) / median
    // Forwards, backwards to the inputs and, in full training, to the weights; attention over half of each row.
    let passes = method == .full ? 3.0 : 2.0
    let attention = 2 * Double(decoder.configuration.layers * length * decoder.configuration.width)
    let operations = 2 * passes * Double(count.elements) + 3 * attention
    let report = Report(
      method: method.rawValue, precision: precision.rawValue, recomputed: recomputation.rawValue, batch: batch, length: length,
      threads: backend.threadCount, parameters: count.all,
      trainedParameters: parameters.reduce(0) { $0 + $1.tensor.shape.count }, secondsPerStep: median,
      tokensPerSecond: rate, stepSeconds: seconds, losses: losses,
      peakShare: rate * operations / limit, peakMemoryBytes: peakMemory())
    if json { return try Output.json(report) }
    Output.line("\(Output.number(report.trainedParameters)) of \(Output.number(report.parameters)) parameters are trained")
    Output.line("\(Output.fixed(rate)) tokens per second, \(Output.fixed(median * 1000)) ms a step (median of \(steps))")
    Output.line("\(Output.fixed(report.peakShare * 100)) % of what this machine could multiply, \(precision.rawValue)")
    Output.line("\(Output.bytes(report.peakMemoryBytes)) of memory at most")
  }
}

/// Numbers of a model: all, and those of matrices that activations are multiplied with.
private final class MatrixCount: ModuleVisitor {
  var all = 0, elements = 0, isQuantized = false

  init(_ model: some Module) throws {
    var model = model
    try model.visit(self, at: ModulePath())
  }

  func visit(_ parameter: inout Tensor, role: ParameterRole, at path: ModulePath) {
    all += parameter.shape.count
    if role == .matrix { elements += parameter.shape.count }
    isQuantized = isQuantized || parameter.dataType.isQuantized
  }
}
