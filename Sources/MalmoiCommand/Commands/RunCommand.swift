// Asking a model: one answer, or a chat.
import ArgumentParser
import Foundation
import Malmoi

struct RunCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "run", abstract: "Ask a model: one answer to a prompt, or a chat without one.")

  @Argument(help: "The model.") var model = "smollm2"
  @Argument(help: "The prompt; standard input where it is no terminal, otherwise a chat.") var prompt: String?
  @Option(help: "What the model is told before the first turn.") var system: String?
  @Flag(help: "Continue the prompt as text, without a chat template.") var raw = false
  @Flag(help: "Say how long it took.") var stats = false
  @Flag(help: "Drop the oldest turns of a chat when it outgrows the context.") var contextShift = false
  @OptionGroup var sampling: SamplingArguments
  @OptionGroup var speculation: SpeculationArguments
  @OptionGroup var load: LoadOptions

  func run() async throws {
    let asked = try prompt ?? (isatty(0) == 1 ? nil : readStandardInput())
    let path = try await load.hub.pull(model).path
    if try ModelSource(path: path).shape == .encoderDecoder { return try rewrite(asked, path) }
    let language = try await load.load(model, speculation: speculation)
    guard let asked else {
      return try await Chat(
        model: language, instructions: system, options: sampling.options, shiftsContext: contextShift,
        continuesText: raw
      ).run()
    }
    let stream: ResponseStream
    if raw || language.chatTemplate == nil {
      stream = try language.streamCompletion(of: asked, options: sampling.options, reading: showReading)
    } else {
      stream = try LanguageModelSession(model: language, instructions: system)
        .begin(asked, sampling.options, reading: showReading)
    }
    var last = ""
    for try await piece in stream {
      Output.text(piece)
      last = piece
    }
    if !last.hasSuffix("\n") { Output.text("\n") }
    if stats, let outcome = stream.outcome { Output.note(describe(outcome.statistics)) }
  }
}

extension RunCommand {
  /// An encoder–decoder answers each text by itself.
  private func rewrite(_ text: String?, _ path: String) throws {
    guard let text else { throw ValidationError("this model writes one text from another: give it one") }
    let rewriter = try TextRewriter(path: path, threads: load.threads, adapters: load.adaptation.adapters)
    var last = ""
    try rewriter.rewrite(text, options: sampling.options) { piece in
      Output.text(piece)
      last = piece
      return true
    }
    if !last.hasSuffix("\n") { Output.text("\n") }
  }
}

/// Long prompts take a while to read.
func showReading(_ tokens: Int) {
  if tokens >= 1024 { Output.status("read \(Output.number(tokens)) tokens") }
}

func describe(_ statistics: GenerationStatistics) -> String {
  let read = statistics.promptTokens - statistics.cachedTokens
  return "prompt: \(read) tokens at \(Output.fixed(statistics.promptRate, 0))/s"
    + (statistics.cachedTokens > 0 ? " (\(statistics.cachedTokens) remembered)" : "")
    + ", first token after \(Output.fixed(statistics.timeToFirstToken * 1000, 0)) ms"
    + "; answer: \(statistics.generatedTokens) tokens at \(Output.fixed(statistics.generationRate, 1))/s"
    + (statistics.draftedTokens > 0
      ? ", \(statistics.acceptedTokens) of \(statistics.draftedTokens) guessed tokens were right" : "")
}
