// Makes a model smaller, and says what that cost.
import ArgumentParser
import Checkpoints
import Foundation
import Generation
import Malmoi
import Models
import Quantization
import Tensors
import Tokenization

extension QuantizationType: ExpressibleByArgument {
  public init?(argument: String) { self.init(named: argument) }
}

extension DataType: ExpressibleByArgument {
  public init?(argument: String) { self.init(named: argument) }
  public static var allValueStrings: [String] { allCases.map { $0.name.lowercased() } }
}

struct QuantizeCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "quantize",
    abstract: "Make a model smaller, and say what that cost.",
    discussion: """
      Reads a GGUF file and writes one whose matrices take fewer bits. With --calibrate the model reads a text first, \
      and columns that matter more there are kept more exactly. Then both models read a text (--evaluate, the end of \
      the calibration text, or a built-in one), and the report tells how their predictions differ.
      """)

  @Argument(help: ArgumentHelp("The GGUF file to read.", valueName: "in")) var input: String
  @Argument(help: ArgumentHelp("The GGUF file to write.", valueName: "out")) var output: String
  @Option(help: "What to quantize to; q4_k_m is the usual choice.") var type: QuantizationType
  @Option(help: ArgumentHelp("A UTF-8 text for the model to read beforehand.", valueName: "file"))
  var calibrate: String?
  @Option(help: ArgumentHelp("What --calibrate or llama.cpp measured before, instead of a text.", valueName: "file"))
  var importance: String?
  @Option(help: ArgumentHelp("Keep what --calibrate measured, in llama.cpp's form.", valueName: "file"))
  var saveImportance: String?
  @Option(help: "The most windows of 512 tokens that --calibrate reads, spread over the text.")
  var calibrationWindows = 128
  @Option(name: .customLong("tensor"), help: ArgumentHelp(
    "A format for matrices in whose name a regular expression occurs; the first that does counts.",
    valueName: "pattern=type"))
  var tensors: [String] = []
  @Option(help: "The format of the output head.") var outputType: DataType?
  @Option(help: "The format of the token embedding.") var embeddingType: DataType?
  @Option(help: ArgumentHelp("A UTF-8 text to compare the models on.", valueName: "file")) var evaluate: String?
  @Option(help: "The most windows of 512 tokens to compare on, spread over the text.") var evaluationWindows = 16
  @Option(help: "Threads of compute (default: all processors).") var threads: Int?
  @Flag(help: "Do not compare the models.") var noReport = false
  @Flag(help: "For programs.") var json = false

  func validate() throws {
    if let threads, !(1...1024).contains(threads) { throw ValidationError("--threads is not in 1 ... 1024") }
    for (name, count) in [("--calibration-windows", calibrationWindows), ("--evaluation-windows", evaluationWindows)]
    where !(1...1 << 20).contains(count) {
      throw ValidationError("\(name) is not in 1 ... 2^20")
    }
    if calibrate != nil, importance != nil { throw ValidationError("--calibrate and --importance exclude each other") }
    if saveImportance != nil, calibrate == nil { throw ValidationError("--save-importance needs --calibrate") }
    if evaluate != nil, noReport { throw ValidationError("--evaluate and --no-report exclude each other") }
    _ = try overrides()
  }

  private func overrides() throws -> [TensorOverride] {
    try tensors.map { argument in
      guard let place = argument.lastIndex(of: "="), let type = DataType(named: String(argument[place...].dropFirst()))
      else { throw ValidationError("--tensor has “\(argument)”, expected PATTERN=TYPE with TYPE of "
        + DataType.allValueStrings.joined(separator: ", ")) }
      do { return try TensorOverride(pattern: String(argument[..<place]), dataType: type) } catch {
        throw ValidationError("--tensor: \(error)")
      }
    }
  }

  func run() throws {
    let file = try openInput()
    try checkPlaces()
    let tokens = try texts(file)
    let pool = ThreadPool(threadCount: threads ?? ThreadPool.availableProcessors)
    let backend = threads.map { CPUBackend(threads: $0) } ?? CPUBackend.shared
    var original = try loadOriginal(file, backend)
    var options = QuantizationOptions(type: type)
    options.overrides = try overrides()
    (options.outputType, options.embeddingType) = (outputType, embeddingType)
    if let importance { options.importance = try ImportanceMatrix(GGUFFile(path: importance)) }
    if let calibrate, let decoder = original, let text = tokens.calibration {
      var clock = ProgressClock("reading")
      let measured = try ImportanceMatrix.measured(
        on: decoder, reading: text, dataset: (calibrate as NSString).lastPathComponent
      ) { clock.show($0, of: $1) }
      if let saveImportance { try measured.write(to: saveImportance) }
      options.importance = measured
    }
    if noReport { original = nil }
    let quantizer = try Quantizer(GGUFSource(file), options: options)
    warn(quantizer)
    let start = ContinuousClock.now
    try write(quantizer, pool)
    let seconds = (ContinuousClock.now - start) / .seconds(1)
    var divergence: Divergence?
    if let original, let text = tokens.evaluation {
      var clock = ProgressClock("comparing")
      divergence = try Divergence.measured(
        of: Decoder(GGUFFile(path: output), backend: backend), from: original, reading: text, pool: pool
      ) { clock.show($0, of: $1) }
    }
    Output.status("")
    let report = QuantizationReport(quantizer, seconds: seconds, divergence: divergence)
    if json { return try Output.json(report) }
    Output.text(report.table)
  }

  /// A folder is written as a GGUF file first, which nobody else sees and which is gone with this process.
  private func openInput() throws -> GGUFFile {
    var status = stat()
    guard stat(input, &status) == 0, status.st_mode & S_IFMT == S_IFDIR else { return try GGUFFile(path: input) }
    let aside = FileManager.default.temporaryDirectory.appendingPathComponent("malmoi-\(UUID().uuidString).gguf").path
    defer { unlink(aside) }
    try ModelSource(path: input).writeGGUF(to: aside)
    return try GGUFFile(path: aside)
  }

  /// A file that is read while it is replaced would be lost with the power; and nobody means it.
  private func checkPlaces() throws {
    var target = stat(), source = stat()
    guard stat(output, &target) == 0 else { return }
    if target.st_mode & S_IFMT == S_IFDIR { throw Failure("\(output): is a folder") }
    for read in [input, calibrate, importance, evaluate].compactMap({ $0 })
    where stat(read, &source) == 0 && source.st_dev == target.st_dev && source.st_ino == target.st_ino {
      throw Failure("\(output): is read as \(read), and will not be written over")
    }
  }

  /// What the model reads to be calibrated and to be judged; nothing of it is read for both.
  private func texts(_ file: GGUFFile) throws -> (calibration: TextWindows?, evaluation: TextWindows?) {
    guard calibrate != nil || !noReport else { return (nil, nil) }
    let tokenizer: Tokenizer
    do { tokenizer = try Tokenizer(file.tokenizerVocabulary()) } catch {
      if calibrate != nil || evaluate != nil { throw error }
      return (nil, nil)  // no vocabulary: `loadOriginal` will say what cannot be compared
    }
    func windows(_ tokens: [Int32], _ name: String, most: Int) throws -> TextWindows {
      do {
        return try TextWindows(
          tokens, first: tokenizer.addsBeginningOfSequence ? tokenizer.beginningOfSequence : nil, most: most)
      } catch { throw Failure("\(name): \(error)") }
    }
    var calibration: TextWindows?, tail: [Int32]?
    if let calibrate {
      let tokens = tokenizer.encode(try readFile(calibrate))
      // The last tenth is for judging, unless there is another text for that or too little.
      let held = noReport || evaluate != nil || tokens.count < 1536 ? 0 : max(512, tokens.count / 10 / 512 * 512)
      calibration = try windows(Array(tokens.dropLast(held)), calibrate, most: calibrationWindows)
      if held > 0 { tail = Array(tokens.suffix(held)) }
    }
    guard !noReport else { return (calibration, nil) }
    let judged = try evaluate.map { tokenizer.encode(try readFile($0)) } ?? tail ?? tokenizer.encode(sampleText)
    return (calibration, try windows(judged, evaluate ?? calibrate ?? "the built-in text", most: evaluationWindows))
  }

  /// The model to calibrate or to compare with. Any model can be quantized, also one that cannot be run.
  private func loadOriginal(_ file: GGUFFile, _ backend: CPUBackend) throws -> Decoder? {
    guard calibrate != nil || !noReport else { return nil }
    do { return try Decoder(file, backend: backend) } catch {
      if calibrate != nil || evaluate != nil { throw error }
      Output.note("malmoi: nothing will be compared: \(error)")
      return nil
    }
  }

  private func warn(_ quantizer: Quantizer) {
    let quantized = Set(quantizer.plans.map(\.tensor.dataType).filter(\.isQuantized))
    if !quantized.isEmpty {
      let names = DataType.allCases.filter(quantized.contains).map(\.name).joined(separator: ", ")
      Output.note("malmoi: warning: \(input) is quantized already (\(names)): what that lost stays lost")
    }
    if let importance = quantizer.options.importance,
      !quantizer.plans.contains(where: { importance.entries[$0.tensor.name] != nil }) {
      Output.note("malmoi: warning: the importance has none of this model's tensors")
    }
  }

  private func write(_ quantizer: Quantizer, _ pool: ThreadPool) throws {
    var clock = ProgressClock("quantizing")
    try Interruption.during {
      try quantizer.write(to: output, pool: pool) { progress in
        if Interruption.isAsked { throw CancellationError() }
        clock.show(progress.doneElements, of: progress.allElements, progress.tensor)
      }
    }
  }
}

/// Tells how far a long piece of work is, and how long it will still take.
private struct ProgressClock {
  private let verb: String
  private let start = ContinuousClock.now
  private var shown = ContinuousClock.now

  init(_ verb: String) {
    self.verb = verb
  }

  mutating func show(_ done: Int, of all: Int, _ what: String = "") {
    let now = ContinuousClock.now
    guard done == all || now - shown > .milliseconds(100) else { return }
    shown = now
    let left = (now - start) / .seconds(1) / Double(max(1, done)) * Double(all - done)
    let share = done * 100 / max(1, all)
    Output.status("\(verb) \(what)\(what.isEmpty ? "" : ", ")\(share) %, \(Int(left.rounded(.up))) s left")
  }
}

extension QuantizationReport {
  /// For people.
  fileprivate var table: String {
    var lines = ["format   tensors        bytes"]
    for use in target {
      lines.append(use.format.padding(toLength: 8, withPad: " ", startingAt: 0)
        + String(use.tensors).leftPadded(to: 8) + Output.bytes(use.bytes).leftPadded(to: 13))
    }
    lines.append("from \(Output.bytes(sourceBytes)) (\(source.map(\.format).joined(separator: ", "))) to "
      + "\(Output.bytes(targetBytes)), \(Output.fixed(bitsPerWeight, 2)) bits per weight, in \(Output.fixed(seconds)) s"
      + (isCalibrated ? ", calibrated" : ""))
    for fallback in fallbacks {
      lines.append("\(fallback.tensors) tensors are \(fallback.given), not \(fallback.wanted): rows of "
        + "\(fallback.columns) (\(fallback.example)) do not fill its blocks")
    }
    if let divergence {
      lines.append("perplexity   \(Output.fixed(divergence.originalPerplexity, 4)) → "
        + Output.fixed(divergence.quantizedPerplexity, 4))
      let mean = Output.fixed(divergence.mean, 5), error = Output.fixed(divergence.standardError, 5)
      lines.append("divergence   mean \(mean) ± \(error), "
        + "99 % below \(Output.fixed(divergence.percentile99, 4)) (nats per token)")
      lines.append("agreement    \(Output.fixed(divergence.agreement * 100, 2)) % of first choices, over "
        + "\(Output.number(divergence.tokens)) tokens")
    }
    return lines.joined(separator: "\n") + "\n"
  }
}
