// Looking at text as a model does: tokenize, score, perplexity.
import ArgumentParser
import Checkpoints
import Foundation
import Generation
import Malmoi
import Models
import Tokenization

struct TokenizeCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "tokenize", abstract: "Show the tokens of a text, from the command line or standard input.")

  @Argument(help: "The model.") var model: String
  @Argument(help: "The text; standard input without it.") var text: String?
  @Flag(help: "Read special tokens such as <|im_end|> in the text as what they are.") var special = false
  @Flag(help: "Leave out the tokens that begin and end a sequence.") var plain = false
  @Flag(help: "For programs.") var json = false
  @OptionGroup var hub: HubOptions

  private struct Token: Encodable {
    var id: Int32
    var piece: String
    var bytes: [UInt8]
  }

  func run() async throws {
    let tokenizer = try Tokenizer(anyAt: try await hub.pull(model).path)
    let ids = tokenizer.encode(
      try text ?? readStandardInput(), specialTokens: special ? .all : .none, addsBoundaryTokens: !plain)
    let tokens = ids.map {
      Token(id: $0, piece: String(decoding: tokenizer.bytes(of: $0), as: UTF8.self), bytes: tokenizer.bytes(of: $0))
    }
    if json { return try Output.json(tokens) }
    var lines = ""
    for token in tokens { lines += "\(String(token.id).leftPadded(to: 7))  \(quoted(token.piece))\n" }
    Output.text(lines)
    Output.note("\(Output.number(ids.count)) tokens")
  }
}

/// Text with its control characters made visible.
func quoted(_ text: String) -> String { text.debugDescription }

struct ScoreCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "score",
    abstract: "For each token of a text: its log-probability, and what the model would rather have seen.")

  @Argument(help: "The model.") var model: String
  @Argument(help: "The text; standard input without it.") var text: String?
  @Option(help: ArgumentHelp("Token numbers instead of text.", valueName: "1,2,…")) var tokens: String?
  @Option(help: "How many alternatives to show.") var top = 3
  @Option(help: ArgumentHelp(
    "Also write the scores of all tokens at every position: float32, little-endian, [positions, vocabulary].",
    valueName: "file"))
  var logits: String?
  @Flag(help: "For programs.") var json = false
  @OptionGroup var load: LoadOptions

  private struct Alternative: Encodable {
    var token: Int32
    var piece: String
    var logProbability: Float
  }
  private struct Row: Encodable {
    var position: Int
    var token: Int32
    var piece: String
    var logProbability: Float?
    var top: [Alternative]
  }

  func validate() throws {
    guard (0...1000).contains(top) else { throw ValidationError("--top is not in 0 ... 1000") }
    if text != nil, tokens != nil { throw ValidationError("a text and --tokens exclude each other") }
    if let tokens { _ = try parse(tokens) }
  }

  private func parse(_ tokens: String) throws -> [Int32] {
    try tokens.split(whereSeparator: { $0 == "," || $0.isWhitespace }).map {
      guard let id = Int32($0) else { throw ValidationError("--tokens has “\($0)”, which is no token number") }
      return id
    }
  }

  func run() async throws {
    let language = try await load.load(model), tokenizer = language.tokenizer
    let ids = try tokens.map(parse) ?? tokenizer.encode(text ?? readStandardInput())
    func piece(_ id: Int32) -> String { String(decoding: tokenizer.bytes(of: id), as: UTF8.self) }
    let rows = try language.decoder.score(ids, alternatives: top).enumerated().map { position, score in
      Row(
        position: position, token: score.token, piece: piece(score.token), logProbability: score.logProbability,
        top: score.alternatives.map {
          Alternative(token: $0.token, piece: piece($0.token), logProbability: $0.logProbability)
        })
    }
    if let logits { try write(language.decoder, ids, to: logits) }
    if json { return try Output.json(rows) }
    for row in rows {
      let own = row.logProbability.map { Output.fixed(Double($0), 3) } ?? "-"
      let others = row.top.map { "\(quoted($0.piece)) \(Output.fixed(Double($0.logProbability), 3))" }
      Output.line(
        "\(String(row.position).leftPadded(to: 5)) \(String(row.token).leftPadded(to: 7)) \(own.leftPadded(to: 8))  "
          + "\(quoted(row.piece))   \(others.joined(separator: "  "))")
    }
    let known = rows.compactMap(\.logProbability).map(Double.init)
    if !known.isEmpty {
      let mean = known.reduce(0, +) / Double(known.count)
      Output.note("\(known.count) tokens scored, mean \(Output.fixed(mean, 4)), "
        + "perplexity \(Output.fixed(exp(-mean), 4))")
    }
  }
}

extension ScoreCommand {
  /// Writes the logits of tokens that have been scored.
  private func write(_ decoder: Decoder, _ tokens: [Int32], to path: String) throws {
    let file = try AtomicFile(path: path)
    try decoder.predictions(of: tokens, at: 0..<tokens.count, cacheType: load.cacheType) { _, scores, _ in
      try file.append(UnsafeRawBufferPointer(scores))
    }
    try file.commit()
  }
}

struct PerplexityCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "perplexity",
    abstract: "How surprised a model is by a file's text, measured as llama.cpp does.",
    discussion: "The text is cut into windows of --context tokens (512), of which the second half is scored.")

  @Argument(help: "The model.") var model: String
  @Argument(help: "A UTF-8 file.") var file: String
  @Flag(help: "For programs.") var json = false
  @OptionGroup var load: LoadOptions

  private struct Report: Encodable {
    var perplexity: Double
    var standardError: Double
    var scoredTokens: Int
    var tokens: Int
    var context: Int
    var seconds: Double
  }

  func run() async throws {
    let text = try readFile(file)
    let language = try await load.load(model), tokenizer = language.tokenizer
    let ids = tokenizer.encode(text), start = ContinuousClock.now
    let window = load.contextLength ?? 512
    let result = try language.decoder.perplexity(
      of: ids, context: window,
      first: tokenizer.addsBeginningOfSequence ? tokenizer.beginningOfSequence : nil
    ) { done, all, value in
      let spent = (ContinuousClock.now - start) / .seconds(1)
      Output.status("window \(done) of \(all), perplexity \(Output.fixed(value, 4)), "
        + "\(Int(spent / Double(done) * Double(all - done))) s left")
      return true
    }
    Output.status("")
    let seconds = (ContinuousClock.now - start) / .seconds(1)
    if json {
      return try Output.json(Report(
        perplexity: result.value, standardError: result.standardError, scoredTokens: result.tokens, tokens: ids.count,
        context: window, seconds: seconds))
    }
    Output.line("perplexity \(Output.fixed(result.value, 4)) ± \(Output.fixed(result.standardError, 4)) over "
      + "\(Output.number(result.tokens)) tokens")
    Output.note("\(Output.fixed(Double(ids.count) / seconds, 0)) tokens per second")
  }
}
