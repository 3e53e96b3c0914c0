// Tokenizers on their own: learning one from text, and comparing several.
import ArgumentParser
import Checkpoints
import Foundation
import Malmoi
import Synchronization
import Tokenization
import TokenizerTraining

struct TokenizerCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "tokenizer", abstract: "Train a tokenizer, or compare tokenizers.",
    subcommands: [TrainTokenizerCommand.self, TokenizerReportCommand.self])
}

struct TrainTokenizerCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "train", abstract: "Learn a tokenizer from UTF-8 files and write it as a tokenizer.json.",
    discussion: "Lines are learnt from one by one. Memory grows with the distinct words, not with the files.")

  enum Kind: String, ExpressibleByArgument, CaseIterable {
    case bpe, unigram, wordpiece
  }
  enum Normalizer: String, ExpressibleByArgument, CaseIterable {
    case none, nfkc
  }

  @Argument(help: "UTF-8 files.") var files: [String]
  @Option(help: "bpe (of bytes), unigram or wordpiece.") var type = Kind.bpe
  @Option(help: "The most tokens, special ones included.") var vocabSize: Int
  @Option(help: ArgumentHelp("Where to write.", valueName: "tokenizer.json")) var out: String
  @Option(help: "How often a pair has to occur to become a token (bpe, wordpiece; default: 2).")
  var minFrequency: Int?
  @Option(
    name: .customLong("special"), parsing: .unconditionalSingleValue,
    help: ArgumentHelp("A special token; may be given again. They get the first ids.", valueName: "token"))
  var specialTokens: [String] = []
  @Option(help: ArgumentHelp("How text is cut (bpe): \(Self.preTokenizers) (default: gpt-2).", valueName: "name"))
  var preTokenizer: String?
  @Option(help: "What happens to characters first (unigram): none or nfkc (default: none).")
  var normalizer: Normalizer?
  @Flag(help: "Keep capitals and accents (wordpiece).") var cased = false
  @Option(help: "Only so many characters become tokens of their own, the most frequent ones (bpe, wordpiece).")
  var limitAlphabet: Int?
  @Option(help: "Threads (default: all processors).") var threads: Int?

  private static let preTokenizers = BytePreTokenizer.allCases.map(\.rawValue).joined(separator: ", ")

  func validate() throws {
    func check(_ isGiven: Bool, _ option: String, _ kinds: Kind...) throws {
      guard isGiven, !kinds.contains(type) else { return }
      throw ValidationError("\(option) does not go with --type \(type.rawValue)")
    }
    try check(minFrequency != nil, "--min-frequency", .bpe, .wordpiece)
    try check(limitAlphabet != nil, "--limit-alphabet", .bpe, .wordpiece)
    try check(preTokenizer != nil, "--pre-tokenizer", .bpe)
    try check(normalizer != nil, "--normalizer", .unigram)
    try check(cased, "--cased", .wordpiece)
    do { _ = try trainer() } catch { throw ValidationError("\(error)") }
  }

  private func trainer() throws -> TokenizerTrainer {
    let algorithm: TokenizerTrainer.Algorithm =
      switch type {
      case .bpe: .byteLevelBPE(try BytePreTokenizer(named: preTokenizer ?? BytePreTokenizer.gpt2.rawValue))
      case .unigram: .unigram(normalizes: normalizer == .nfkc)
      case .wordpiece: .wordPiece(lowercases: !cased)
      }
    return try TokenizerTrainer(
      algorithm,
      options: TrainingOptions(
        vocabularySize: vocabSize, minimumFrequency: minFrequency ?? 2, specialTokens: specialTokens,
        alphabetLimit: limitAlphabet, threads: threads ?? ProcessInfo.processInfo.activeProcessorCount))
  }

  func run() throws {
    // Made before the work, so that a place which cannot be written to is known before it.
    var isFolder: ObjCBool = false
    let folder = (out as NSString).deletingLastPathComponent
    if FileManager.default.fileExists(atPath: out, isDirectory: &isFolder), isFolder.boolValue {
      throw Failure("\(out): is a folder; --out names a file")
    }
    guard access(folder.isEmpty ? "." : folder, W_OK) == 0 else {
      throw Failure("\(out): cannot be written: \(String(cString: strerror(errno)))")
    }
    let display = TrainingDisplay(), start = ContinuousClock.now
    let tokenizer = try trainer().train(files: files) { display.show($0) }
    Output.status("")
    // Until here Ctrl-C leaves nothing behind; these moments it waits.
    signal(SIGINT, SIG_IGN)
    let file = try AtomicFile(path: out)
    try tokenizer.json().withUnsafeBytes { try file.append($0) }
    try file.commit()
    let seconds = (ContinuousClock.now - start) / .seconds(1)
    Output.note("\(out): \(Output.number(tokenizer.tokens.count)) tokens in \(Output.fixed(seconds)) s")
    if tokenizer.tokens.count < vocabSize {
      Output.note("the text has no more than these; --vocab-size asked for \(Output.number(vocabSize))")
    }
  }
}

/// One line of progress, a few times per second.
private final class TrainingDisplay: Sendable {
  private struct State {
    var stage = ""
    var stageStart = ContinuousClock.now
    var last = ContinuousClock.now
    var first = 0
  }

  private let state = Mutex(State())

  func show(_ progress: TrainingProgress) {
    let now = ContinuousClock.now
    let (stage, done, all) =
      switch progress {
      case .reading(let bytes, let all): ("reading", bytes, all)
      case .merging(let tokens, let all): ("merging", tokens, all)
      case .estimating(let pass, let all, let pieces): ("estimating \(Output.number(pieces)) pieces, pass", pass, all)
      }
    let line: String? = state.withLock { state in
      let name = String(stage.prefix { $0 != " " })
      if state.stage != name { state = State(stage: name, stageStart: now, last: now - .seconds(1), first: done) }
      guard now - state.last > .milliseconds(200) || done == all else { return nil }
      state.last = now
      let rate = Double(done - state.first) / max(1e-9, (now - state.stageStart) / .seconds(1))
      let isBytes = name == "reading"
      let counts = isBytes
        ? "\(Output.bytes(done)) of \(Output.bytes(all))" : "\(Output.number(done)) of \(Output.number(all))"
      guard rate > 0 else { return "\(stage) \(counts)" }
      let speed = isBytes ? Output.bytes(Int(min(rate, 1e15))) : Output.fixed(rate, rate < 10 ? 1 : 0)
      return "\(stage) \(counts), \(speed)/s, \(Int(min(Double(max(0, all - done)) / rate, 1e9))) s left"
    }
    if let line { Output.status(line) }
  }
}

struct TokenizerReportCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "report", abstract: "Compare how many tokens tokenizers need for a text.",
    discussion: """
      A tokenizer is a model (a GGUF file or a name of the catalog), a tokenizer.json, or a folder with one. \
      Each kind of words is also encoded by itself: latin, hangul, han, digits, code (words with marks such as _ or =).
      """)

  @Argument(help: "Tokenizers.") var tokenizers: [String]
  @Option(parsing: .upToNextOption, help: ArgumentHelp("UTF-8 files.", valueName: "file")) var text: [String]
  @Flag(help: "For programs.") var json = false
  @OptionGroup var hub: HubOptions

  func validate() throws {
    if tokenizers.isEmpty { throw ValidationError("no tokenizer is named") }
    if text.isEmpty { throw ValidationError("--text names no file") }
  }

  func run() async throws {
    var sample = TextSample()
    for path in text { sample.add(try readFile(path)) }
    guard !sample.text.isEmpty else { throw Failure("\(text.joined(separator: ", ")): no text") }
    var reports: [TokenizerReport] = []
    for name in tokenizers {
      reports.append(TokenizerReport(name: name, tokenizer: try await tokenizer(name), sample: sample))
    }
    if json { return try Output.json(reports) }
    let columns = ["bytes", "words", "tokens", "tokens/char", "tokens/word", "bytes/token"]
    for report in reports {
      let name = (report.name as NSString).lastPathComponent.printable(atMost: 60)
      Output.line("\(name), vocabulary of \(Output.number(report.vocabularySize))")
      Output.line("        " + columns.map { $0.leftPadded(to: 13) }.joined())
      for row in report.rows {
        let numbers = [row.bytes, row.words, row.tokens].map(Output.number)
          + [row.tokensPerCharacter, row.tokensPerWord, row.bytesPerToken].map { Output.fixed($0, 3) }
        Output.line(
          "  " + (row.kind?.rawValue ?? "all").rightPadded(to: 6) + numbers.map { $0.leftPadded(to: 13) }.joined())
      }
    }
  }

  /// The tokenizer of a model.
  private func tokenizer(_ name: String) async throws -> Tokenizer {
    if name.hasSuffix(".json") { return try Tokenizer(anyAt: name) }
    return try Tokenizer(anyAt: try await hub.pull(name).path)
  }
}
