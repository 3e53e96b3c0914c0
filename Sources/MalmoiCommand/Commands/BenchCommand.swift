// How fast a model runs here, and how near that is to what the machine could do at all.
import ArgumentParser
import Foundation
import Generation
import Layers
import Malmoi
import Models
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
  }

  func run() async throws {
    let language = try await load.load(model), decoder = language.decoder
    guard contextFill + max(promptTokens, generateTokens) <= decoder.configuration.contextLength else {
      throw Failure("--context-fill and the tokens after it exceed the context of \(decoder.configuration.contextLength)")
    }
    let size = try ModelSize(decoder)
    var prefillRuns: [Double] = [], decodeRuns: [Double] = [], limitRuns: [MachineLimits] = [], memory = 0
    for run in 0...repetitions {
      Output.status("run \(run) of \(repetitions)")
      let (prefill, decode) = measure(decoder)
      if run == 0 {  // which warms up; measuring the machine takes memory of its own
        memory = peakMemory()
      } else {
        prefillRuns.append(prefill)
        decodeRuns.append(decode)
        // In turns: what a shared machine allows changes from second to second.
        limitRuns.append(MachineLimits.measure(threads: decoder.backend.threadCount))
      }
    }
    let limits = MachineLimits(
      readBandwidth: median(limitRuns.map(\.readBandwidth)), int8Operations: median(limitRuns.map(\.int8Operations)),
      floatOperations: median(limitRuns.map(\.floatOperations)))
    Output.status("")
    let cacheBytes = decoder.configuration.pageLayout(load.cacheType).bytes(forTokens: 64) / 64
    let held = (contextFill + generateTokens / 2) * cacheBytes
    let bytesPerStep = Double(size.readBytes + held * batch)
    let peak = size.isQuantized ? limits.int8Operations : limits.floatOperations
    let prefill = median(prefillRuns), decode = median(decodeRuns)
    let report = Report(
      model: language.name, instructionSet: InstructionSet.preferred.rawValue, threads: decoder.backend.threadCount,
      promptTokens: promptTokens, generateTokens: generateTokens, contextFill: contextFill, batch: batch,
      repetitions: repetitions, prefill: prefill, decode: decode, prefillRuns: prefillRuns, decodeRuns: decodeRuns,
      start: skipStart ? nil : try measureStart(), peakMemoryBytes: memory, weightBytes: size.readBytes,
      limits: limits, decodeShareOfBandwidth: decode / Double(batch) * bytesPerStep / limits.readBandwidth,
      prefillShareOfPeak: prefill * size.operationsPerToken / peak, peakKind: size.isQuantized ? "int8" : "f32")
    if json { return try Output.json(report) }
    print(report)
  }

  private func print(_ report: Report) {
    let percent = { (share: Double) in "\(Output.fixed(share * 100, 0)) %" }
    Output.line("prefill  \(Output.fixed(report.prefill)) tokens/s   \(percent(report.prefillShareOfPeak)) of the "
      + "\(report.peakKind) peak")
    Output.line("decode   \(Output.fixed(report.decode)) tokens/s   \(percent(report.decodeShareOfBandwidth)) of the "
      + "memory bandwidth")
    if let start = report.start { Output.line("start    \(Output.fixed(start * 1000, 0)) ms to the first token") }
    Output.line("memory   \(Output.bytes(report.peakMemoryBytes)) at most, weights \(Output.bytes(report.weightBytes))")
    Output.line("machine  \(report.threads) threads, \(report.instructionSet): "
      + "\(Output.fixed(report.limits.readBandwidth / 1e9)) GB/s, "
      + "\(Output.fixed(report.limits.int8Operations / 1e9, 0)) int8 Gop/s, "
      + "\(Output.fixed(report.limits.floatOperations / 1e9, 0)) f32 GFLOP/s")
  }

  /// Tokens per second of one prefill and one decode of all sequences.
  private func measure(_ decoder: Decoder) -> (prefill: Double, decode: Double) {
    let layout = decoder.configuration.pageLayout(load.cacheType), vocabulary = decoder.configuration.vocabulary
    func tokens(_ count: Int) -> [Int32] { (0..<count).map { Int32(($0 * 7919 + 13) % vocabulary) } }
    func read(_ count: Int, into cache: KeyValueCache) {
      for first in stride(from: 0, to: count, by: load.chunk) {
        let part = min(load.chunk, count - first)
        let states = decoder(tokens(part), PagedContext([(cache, part)]))
        if first + part == count { _ = decoder.logits(states.rows(at: [Int32(part - 1)])) }
      }
    }
    let caches = (0..<batch).map { _ in KeyValueCache(layout) }
    for cache in caches where contextFill > 0 { read(contextFill, into: cache) }
    var start = ContinuousClock.now
    for cache in caches { read(promptTokens, into: cache) }
    let prefill = Double(promptTokens * batch) / ((ContinuousClock.now - start) / .seconds(1))
    for cache in caches { cache.truncate(to: contextFill) }
    start = .now
    for step in 0..<generateTokens {
      let next = caches.indices.map { Int32(($0 * 31 + step * 17 + 1) % vocabulary) }
      _ = decoder.logits(decoder(next, PagedContext(caches.map { ($0, 1) })))
    }
    return (prefill, Double(generateTokens * batch) / ((ContinuousClock.now - start) / .seconds(1)))
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
private func peakMemory() -> Int {
  var usage = rusage()
  #if os(Linux)
  getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
  return usage.ru_maxrss * 1024
  #else
  getrusage(RUSAGE_SELF, &usage)
  return usage.ru_maxrss
  #endif
}

/// What a model reads and computes for a token.
private final class ModelSize: ModuleVisitor {
  /// Bytes of all weights that a decode step reads.
  private(set) var readBytes = 0
  /// Multiplications and additions with weights for a prompt's token.
  private(set) var operationsPerToken = 0.0
  private(set) var isQuantized = false

  init(_ decoder: Decoder) throws {
    var decoder = decoder
    try decoder.visit(self, at: ModulePath())
  }

  func visit(_ parameter: inout Tensor, role: ParameterRole, at path: ModulePath) {
    guard role != .lookup else { return }
    readBytes += parameter.dataType.bytes(forElements: parameter.shape.count) ?? 0
    // Only the last token of a prompt reaches the head.
    guard role == .matrix, path.parts.first == "layers" else { return }
    operationsPerToken += 2 * Double(parameter.shape.count)
    isQuantized = isQuantized || parameter.dataType.isQuantized
  }
}
