// How fast a model runs here, and how near that is to what the machine could do at all.
import ArgumentParser
import Foundation
import Generation
import Malmoi
import Tensors

struct BenchCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "bench",
    abstract: "Measure how fast a model reads and writes, beside what this machine's memory and arithmetic allow.")

  @Argument(help: "The model.") var model: String
  @Option(help: "Tokens of the prompt.") var promptTokens = 512
  @Option(help: "Tokens to write.") var generateTokens = 128
  @Option(help: "Tokens in the cache beforehand.") var contextFill = 0
  @Option(help: "Sequences at once.") var batch = 1
  @Option(help: "Runs, of which the median counts.") var repetitions = 5
  @Flag(help: "Leave out the start of a new process.") var skipStart = false
  @Flag(help: "For programs.") var json = false
  @OptionGroup var load: LoadOptions

  func validate() throws {
    for (name, value) in [
      ("--prompt-tokens", promptTokens), ("--generate-tokens", generateTokens), ("--batch", batch),
      ("--repetitions", repetitions),
    ] where !(1...1 << 20).contains(value) {
      throw ValidationError("\(name) is not in 1 ... 2^20")
    }
    guard (0...1 << 20).contains(contextFill) else { throw ValidationError("--context-fill is not in 0 ... 2^20") }
  }

  struct Report: Encodable {
    var model: String
    var instructionSet: String
    var threads: Int
    var promptTokens, generateTokens, contextFill, batch, repetitions: Int
    /// Tokens per second, medians.
    var prefill, decode: Double
    var prefillRuns, decodeRuns: [Double]
    /// Seconds from a new process to its first token.
    var start: Double?
    var peakMemoryBytes: Int
    var weightBytes: Int
    var limits: MachineLimits
    /// Decode against bandwidth ÷ bytes per token, prefill against arithmetic ÷ operations per token.
    var decodeShareOfBandwidth, prefillShareOfPeak: Double
    var peakKind: String
    /// Of the time.
    var attentionShareOfPrefill, attentionShareOfDecode: Double
  }

  func run() async throws {
    let language = try await load.load(model), decoder = language.decoder
    guard contextFill + max(promptTokens, generateTokens) <= decoder.configuration.contextLength else {
      throw Failure("--context-fill and the tokens after it exceed the context of \(decoder.configuration.contextLength)")
    }
    let size = try ModelSize(decoder)
    let workload = BenchWorkload(
      promptTokens: promptTokens, generateTokens: generateTokens, contextFill: contextFill, batch: batch,
      chunk: load.chunk, cacheType: load.cacheType)
    var runs: [BenchWorkload.Figures] = [], limitRuns: [MachineLimits] = [], memory = 0
    for run in 0...repetitions {
      Output.status("run \(run) of \(repetitions)")
      let figures = workload.run(decoder)
      if run == 0 {  // which warms up; measuring the machine takes memory of its own
        memory = peakMemory()
      } else {
        runs.append(figures)
        // In turns: what a shared machine allows changes from second to second.
        limitRuns.append(MachineLimits.measure(threads: decoder.backend.threadCount))
      }
    }
    let limits = MachineLimits(
      readBandwidth: median(limitRuns.map(\.readBandwidth)), int8Operations: median(limitRuns.map(\.int8Operations)),
      floatOperations: median(limitRuns.map(\.floatOperations)),
      pairOperations: median(limitRuns.map(\.pairOperations)))
    Output.status("")
    let cacheBytes = decoder.configuration.pageLayout(load.cacheType).bytes(forTokens: 64) / 64
    let held = (contextFill + generateTokens / 2) * cacheBytes
    let bytesPerStep = Double(size.readBytes + held * batch)
    let peak = size.isQuantized ? limits.int8Operations : limits.floatOperations
    let prefill = median(runs.map(\.prefill)), decode = median(runs.map(\.decode))
    let report = Report(
      model: language.name, instructionSet: InstructionSet.preferred.rawValue, threads: decoder.backend.threadCount,
      promptTokens: promptTokens, generateTokens: generateTokens, contextFill: contextFill, batch: batch,
      repetitions: repetitions, prefill: prefill, decode: decode, prefillRuns: runs.map(\.prefill), decodeRuns: runs.map(\.decode),
      start: skipStart ? nil : try measureStart(), peakMemoryBytes: memory, weightBytes: size.readBytes,
      limits: limits, decodeShareOfBandwidth: decode / Double(batch) * bytesPerStep / limits.readBandwidth,
      prefillShareOfPeak: prefill * size.operationsPerToken / peak, peakKind: size.isQuantized ? "int8" : "f32",
      attentionShareOfPrefill: median(runs.map(\.prefillAttention)),
      attentionShareOfDecode: median(runs.map(\.decodeAttention)))
    if json { return try Output.json(report) }
    print(report)
  }

  private func print(_ report: Report) {
    let percent = { (share: Double) in "\(Output.fixed(share * 100, 0)) %" }
    Output.line("prefill  \(Output.fixed(report.prefill)) tokens/s   \(percent(report.prefillShareOfPeak)) of the "
      + "\(report.peakKind) peak, attention \(percent(report.attentionShareOfPrefill)) of the time")
    Output.line("decode   \(Output.fixed(report.decode)) tokens/s   \(percent(report.decodeShareOfBandwidth)) of the "
      + "memory bandwidth, attention \(percent(report.attentionShareOfDecode)) of the time")
    if let start = report.start { Output.line("start    \(Output.fixed(start * 1000, 0)) ms to the first token") }
    Output.line("memory   \(Output.bytes(report.peakMemoryBytes)) at most, weights \(Output.bytes(report.weightBytes))")
    Output.line("machine  \(report.threads) threads, \(report.instructionSet): "
      + "\(Output.fixed(report.limits.readBandwidth / 1e9)) GB/s, "
      + "\(Output.fixed(report.limits.int8Operations / 1e9, 0)) int8 Gop/s, "
      + "\(Output.fixed(report.limits.floatOperations / 1e9, 0)) f32 GFLOP/s")
  }

  /// The median time of a new process from its start to the first byte of its answer.
  private func measureStart() throws -> Double {
    guard let executable = Bundle.main.executablePath else { throw Failure("cannot find this program's own file") }
    let prompt = "The quick brown fox jumps over the lazy dog, and then it goes home to sleep until morning."
    let times = try (0..<3).map { _ in
      let process = Process(), pipe = Pipe()
      process.executableURL = URL(fileURLWithPath: executable)
      process.arguments = ["run", model, prompt, "--raw", "--maximum-tokens", "1", "--temperature", "0"]
      if let threads = load.threads { process.arguments? += ["--threads", String(threads)] }
      process.standardOutput = pipe
      process.standardError = FileHandle.nullDevice
      let start = ContinuousClock.now
      try process.run()
      _ = pipe.fileHandleForReading.availableData
      let time = (ContinuousClock.now - start) / .seconds(1)
      process.waitUntilExit()
      guard process.terminationStatus == 0 else { throw Failure("a new process of this program failed") }
      return time
    }
    return median(times)
  }
}

func median(_ values: [Double]) -> Double {
  let sorted = values.sorted(), middle = sorted.count / 2
  return sorted.isEmpty ? 0 : (sorted.count % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2)
}

/// The most memory that this process has had resident, in bytes.
func peakMemory() -> Int {
  var usage = rusage()
  #if os(Linux)
  getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
  return usage.ru_maxrss * 1024
  #else
  getrusage(RUSAGE_SELF, &usage)
  return usage.ru_maxrss
  #endif
}
