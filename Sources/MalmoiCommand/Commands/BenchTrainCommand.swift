// How fast a model learns here.
import ArgumentParser
import Foundation
import Malmoi
import Models
import Tensors
import Training
import TrainingData

struct BenchTrainCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "bench-train",
    abstract: "Measure how fast a decoder learns, beside what this machine's arithmetic allows.")

  @Option(help: "A model; without one a new Llama of 13.8 million parameters.") var model: String?
  @Option(help: "Sequences of a batch.") var batch = 8
  @Option(help: "Tokens of a sequence.") var length = 256
  @Option(help: "Factors of products: f32 or bf16.") var precision = ProductPrecision.bf16
  @Option(help: "Steps, of which the median counts.") var steps = 10
  @Option(help: "Threads; all processors without.") var threads: Int?
  @Flag(help: "Compute layers again for gradients, in less memory.") var recompute = false
  @Flag(help: "For programs.") var json = false

  func run() throws {
    let backend = CPUBackend(threads: threads, precision: precision)
    BufferPool.shared.keep(atMost: 4 << 30, largest: 1 << 30)
    var decoder: Decoder
    if let model {
      decoder = try Decoder(ModelRegistry.open(model), backend: backend)
    } else {
      let sizes = ModelSizes(
        family: .llama, vocabulary: 8192, contextLength: 1024, width: 384, layers: 6, heads: 6, hiddenWidth: 1024)
      decoder = try Decoder(sizes.checkpoint(seed: 1), backend: backend)
    }
    let parameters = try decoder.train()
    let state = TrainingState(
      model: decoder, parameters: parameters, optimizer: OptimizerOptions().optimizer(of: parameters))
    let vocabulary = decoder.configuration.vocabulary
    let tokens = (0..<batch * length).map { Int32(($0 * 7919 + $0 * $0 % 911) % vocabulary) }
    let data = TrainingBatch(
      tokens: tokens, targets: Array(tokens.dropFirst()) + [0], lengths: Array(repeating: length, count: batch))
    var times: [Double] = []
    for index in 0..<steps + 1 {
      var result: StepResult?
      let time = ContinuousClock().measure {
        result = state.step([data], clip: 0, rateFactor: 1, recomputes: recompute)
      }
      let seconds = time / .seconds(1)
      if index > 0 { times.append(seconds) }
      FileHandle.standardError.write(Data("step \(index): loss \(result?.loss ?? 0), norm \(result?.gradientNorm ?? 0), \(seconds) s\n".utf8))
    }
    times.sort()
    print("tokens per second: \(Double(batch * length) / times[times.count / 2])")
  }
}

