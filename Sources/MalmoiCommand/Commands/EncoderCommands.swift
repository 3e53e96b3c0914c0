// What models that read are for: vectors for texts, words behind a mask, labels.
import ArgumentParser
import Foundation
import Generation
import Malmoi
import Models

extension Pooling: ExpressibleByArgument {}

/// The texts of the command line, or the lines of standard input.
private func lines(_ given: [String]) throws -> [String] {
  given.isEmpty ? try readStandardInput().split(whereSeparator: \.isNewline).map(String.init) : given
}

struct EmbedCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "embed", abstract: "Turn texts into vectors that are near where meanings are.",
    discussion: "A text per argument, or per line of standard input.")

  @Argument(help: "An encoder, such as minilm.") var model: String
  @Argument(help: "The texts.") var texts: [String] = []
  @Option(help: "How a text's vector is made of its tokens': mean, cls or last (default: as the model was trained).")
  var pooling: Pooling?
  @Flag(help: "Keep the vectors' lengths, instead of making them 1.") var noNormalize = false
  @Flag(help: "For programs: a text and its vector each.") var json = false
  @Option(help: "Threads of compute (default: all processors).") var threads: Int?
  @OptionGroup var adaptation: AdapterArguments
  @OptionGroup var hub: HubOptions

  private struct Row: Encodable {
    var text: String
    var embedding: [Float]
  }

  func run() async throws {
    let texts = try lines(texts)
    let encoder = try TextEncoder(path: try await hub.pull(model).path, threads: threads, adapters: adaptation.adapters)
    let vectors = try encoder.embeddings(of: texts, pooling: pooling, normalized: !noNormalize)
    if json { return try Output.json(zip(texts, vectors).map { Row(text: $0, embedding: $1) }) }
    for vector in vectors { Output.line(vector.map { String(format: "%.6f", $0) }.joined(separator: " ")) }
  }
}

struct FillCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "fill", abstract: "Find the words behind the masks of a text.")

  @Argument(help: "An encoder that was trained on masks, such as a BERT.") var model: String
  @Argument(help: "The text, with [MASK] or <mask> where words are missing.") var text: String
  @Option(help: "How many words to show for each mask.") var top = 5
  @Flag(help: "For programs.") var json = false
  @OptionGroup var adaptation: AdapterArguments
  @OptionGroup var hub: HubOptions

  func validate() throws {
    guard (1...1000).contains(top) else { throw ValidationError("--top is not in 1 ... 1000") }
  }

  func run() async throws {
    let path = try await hub.pull(model).path
    let fillings = try TextEncoder(path: path, adapters: adaptation.adapters).fill(text, top: top)
    if json { return try Output.json(fillings) }
    for (mask, words) in fillings.enumerated() {
      if mask > 0 { Output.line("") }
      for filling in words {
        Output.line("\(Output.fixed(filling.probability * 100, 2).leftPadded(to: 6)) %  \(filling.word)")
      }
    }
  }
}

struct ClassifyCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "classify", abstract: "Say which label fits a text.",
    discussion: """
      An encoder with a classification head gives its own labels. A decoder takes any: it says how likely it finds each \
      after the text, beside how likely it finds it after none.
      """)

  @Argument(help: "The model.") var model: String
  @Argument(help: "The texts; the lines of standard input without them.") var texts: [String] = []
  @Option(help: ArgumentHelp("The labels to choose from.", valueName: "a,b,…")) var labels: String?
  @Option(help: "What a decoder continues with a label; {} stands for the text.")
  var template = "Text: {}\nLabel:"
  @Flag(help: "For programs.") var json = false
  @OptionGroup var load: LoadOptions

  private struct Row: Encodable {
    var text: String
    var label: String
    var probabilities: [String: Double]
  }

  func validate() throws {
    guard template.contains("{}") else { throw ValidationError("--template has no {} for the text") }
  }

  func run() async throws {
    let texts = try lines(texts), path = try await load.hub.pull(model).path
    let given = labels.map { $0.split(separator: ",").map { $0.trimmingCharacters(in: .whitespaces) } }
    let names: [String], scores: [[Double]]
    if try ModelSource(path: path).shape == .encoder {
      let encoder = try TextEncoder(path: path, threads: load.threads, adapters: load.adaptation.adapters)
      let all = try encoder.labelScores(of: texts.map { ($0, nil) })
      if let unknown = given?.first(where: { !encoder.labels.contains($0) }) {
        throw Failure("“\(unknown)” is no label of this model: \(encoder.labels.joined(separator: ", "))")
      }
      names = given ?? encoder.labels
      let places = names.compactMap { encoder.labels.firstIndex(of: $0) }
      scores = all.map { row in places.map { Double(row[$0]) } }
    } else {
      guard let given, given.count > 1 else { throw ValidationError("--labels a,b,… is needed for this model") }
      names = given
      let language = try await load.load(model)
      scores = try texts.map { try language.likelihoods(of: names.map { " " + $0 }, after: prompt($0), besides: prompt("")) }
    }
    let rows = zip(texts, scores).map { text, scores in
      let probabilities = softmax(scores)
      let best = probabilities.indices.max { probabilities[$0] < probabilities[$1] } ?? 0
      return Row(
        text: text, label: names.isEmpty ? "" : names[best],
        probabilities: Dictionary(zip(names, probabilities)) { first, _ in first })
    }
    if json { return try Output.json(rows) }
    for row in rows {
      let sorted = row.probabilities.sorted { ($0.value, $1.key) > ($1.value, $0.key) }
      Output.line(
        row.label + "\t" + sorted.map { "\($0.key) \(Output.fixed($0.value * 100, 1)) %" }.joined(separator: ", ")
          + "\t" + row.text)
    }
  }

  private func prompt(_ text: String) -> String { template.replacingOccurrences(of: "{}", with: text) }

  private func softmax(_ scores: [Double]) -> [Double] {
    let highest = scores.max() ?? 0, powers = scores.map { exp($0 - highest) }, sum = powers.reduce(0, +)
    return powers.map { $0 / sum }
  }
}
