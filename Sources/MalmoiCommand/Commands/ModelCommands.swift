// The store from the command line: pull, list, show, remove.
import ArgumentParser
import Checkpoints
import Foundation
import Malmoi
import Models
import Tensors

struct PullCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(commandName: "pull", abstract: "Fetch a model.")

  @Argument(help: "The model.") var model: String
  @OptionGroup var hub: HubOptions

  func run() async throws {
    let local = try await hub.pull(model)
    Output.line(local.path)
  }
}

struct ListCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "list", abstract: "List the models on this machine and those that can be fetched by name.")

  @Flag(help: "For programs.") var json = false
  @OptionGroup var hub: HubOptions

  struct Row: Encodable {
    var name: String
    var bytes: Int64
    var license: String?
    var summary: String?
    var isHere: Bool
    var path: String?
  }

  func run() throws {
    let hub = try hub.hub()
    var rows = try hub.list().map {
      Row(
        name: $0.name, bytes: $0.manifest?.size ?? 0, license: $0.manifest?.license, summary: $0.manifest?.summary,
        isHere: true, path: $0.path)
    }
    for entry in hub.configuration.catalog.entries where !rows.contains(where: { $0.name == entry.name }) {
      rows.append(Row(
        name: entry.name, bytes: entry.size, license: entry.license, summary: entry.summary, isHere: false, path: nil))
    }
    if json { return try Output.json(rows) }
    let widest = rows.map(\.name.count).max() ?? 0
    for row in rows {
      let columns = [
        row.name.padding(toLength: widest, withPad: " ", startingAt: 0),
        Output.bytes(row.bytes).leftPadded(to: 9), row.isHere ? "here " : "fetch", row.license ?? "-",
        row.summary ?? "",
      ]
      Output.line(columns.joined(separator: "  "))
    }
  }
}

extension String {
  func leftPadded(to width: Int) -> String { String(repeating: " ", count: max(0, width - count)) + self }

  func rightPadded(to width: Int) -> String { self + String(repeating: " ", count: max(0, width - count)) }
}

struct RemoveCommand: ParsableCommand {
  static let configuration = CommandConfiguration(commandName: "remove", abstract: "Remove a model from this machine.")

  @Argument(help: "The model.") var model: String

  func run() throws {
    let hub = try Hub(configuration: HubConfiguration())
    try hub.remove(hub.reference(model))
  }
}

struct ShowCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(commandName: "show", abstract: "Say what a model is and needs.")

  @Argument(help: "The model.") var model: String
  @Option(help: "The length of a chat whose memory is wanted.") var tokens = 4096
  @Flag(help: "For programs.") var json = false
  @Flag(help: "Print the chat template instead.") var template = false
  @OptionGroup var hub: HubOptions

  func validate() throws {
    guard (1...1 << 30).contains(tokens) else { throw ValidationError("--tokens is not in 1 ... 2^30") }
  }

  private struct Description: Encodable {
    var summary: CheckpointSummary
    var chatTemplate: String?
    var chatTokens: Int
    var cacheBytesI16: Int?
    var cacheBytesQ8: Int?
    var memoryBytes: Int
  }

  func run() async throws {
    let local = try await hub.pull(model)
    let source = try ModelSource(path: local.path)
    if template {
      guard let text = try source.chatTemplate() else { throw Failure("\(local.path): has no chat template") }
      return Output.line(text)
    }
    let summary = CheckpointSummary(source.checkpoint)
    var whole: Int?, eight: Int?
    if source.shape == .decoder {
      let configuration = try ModelRegistry.configuration(source.checkpoint)
      whole = configuration.pageLayout(.i16).bytes(forTokens: tokens)
      eight = configuration.layer.headWidth % 32 == 0 ? configuration.pageLayout(.q8_0).bytes(forTokens: tokens) : nil
    }
    let weights = source.checkpoint.sizes.reduce(0) { $0 + $1.byteCount }
    let description = Description(
      summary: summary, chatTemplate: try source.chatTemplate(), chatTokens: tokens, cacheBytesI16: whole,
      cacheBytesQ8: eight, memoryBytes: weights + (whole ?? 0))
    if json { return try Output.json(description) }
    print(description, local: local)
  }

  private func print(_ description: Description, local: LocalModel) {
    let summary = description.summary
    func row(_ name: String, _ value: String?) {
      if let value { Output.line(name.padding(toLength: 16, withPad: " ", startingAt: 0) + value) }
    }
    row("model", summary.name)
    row("file", "\(local.path) (\(Output.bytes(summary.byteCount)))")
    row("architecture", summary.architecture)
    row("author", summary.author)
    row("licence", summary.licence ?? local.manifest?.license)
    row("languages", summary.languages.isEmpty ? nil : summary.languages.joined(separator: ", "))
    row("parameters", Output.number(summary.parameterCount))
    row("quantization", [summary.quantization, "\(Output.fixed(summary.bitsPerWeight, 2)) bits per weight"]
      .compactMap(\.self).joined(separator: ", "))
    for use in summary.formats {
      row("", "\(use.format): \(use.tensorCount) tensors, \(Output.number(use.parameterCount)) weights, "
        + Output.bytes(use.byteCount))
    }
    row("context", summary.contextLength.map { Output.number($0) + " tokens" })
    row("layers", summary.layerCount.map(String.init))
    row("width", summary.width.map { "\($0), feed-forward \(summary.feedForwardWidth ?? 0)" })
    row("heads", summary.headCount.map {
      "\($0) of \(summary.headWidth ?? 0), \(summary.keyValueHeadCount ?? $0) for keys and values"
    })
    row("vocabulary", summary.vocabularySize.map { Output.number($0) })
    row("tokenizer", [summary.tokenizer, summary.preTokenizer].compactMap(\.self).joined(separator: ", "))
    row("chat template", description.chatTemplate == nil ? "none: continues text" : "yes (show it with --template)")
    let eight = description.cacheBytesQ8.map { ", or \(Output.bytes($0)) as q8_0" } ?? ""
    row("memory", Output.bytes(description.memoryBytes) + (description.cacheBytesI16.map {
      " for a chat of \(Output.number(tokens)) tokens, of which \(Output.bytes($0)) cache\(eight)"
    } ?? ""))
  }
}
