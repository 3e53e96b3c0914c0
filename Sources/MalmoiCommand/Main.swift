// The command's root: which subcommands there are, and what exit statuses mean.
import ArgumentParser
import Foundation
import Malmoi
import Tokenization

struct MalmoiCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "malmoi",
    abstract: "A complete large-language-model system.",
    discussion: """
      MODEL is a name of the catalog (smollm2, gemma3:270m), hf:owner/repository[:file], or the path of a GGUF file or \
      of a Hugging Face folder. \
      Answers go to standard output; progress, statistics and errors to standard error. \
      Exit status: 0, 1 (failed), 2 (used wrongly), 130 (interrupted).
      """,
    version: "0.1.0",
    subcommands: [
      RunCommand.self, PullCommand.self, ListCommand.self, ShowCommand.self, RemoveCommand.self,
      ConvertCommand.self, QuantizeCommand.self, PretrainCommand.self, FineTuneCommand.self, MergeCommand.self,
      RunsCommand.self, TokenizeCommand.self, TokenizerCommand.self, EmbedCommand.self, FillCommand.self,
      ClassifyCommand.self, ScoreCommand.self, PerplexityCommand.self, BenchCommand.self, BenchTrainCommand.self,
    ])
}

@main
enum Main {
  static func main() async {
    // What was begun stays as it is: downloads resume, and nothing else writes.
    signal(SIGINT) { _ in _exit(130) }
    // A file that may not grow further is an error of the write that says so, not the end of the process.
    signal(SIGXFSZ, SIG_IGN)
    do {
      try checkArguments()
      var command = try MalmoiCommand.parseAsRoot()
      if var asynchronous = command as? any AsyncParsableCommand {
        try await asynchronous.run()
      } else {
        try command.run()
      }
    } catch {
      exit(status(of: error))
    }
  }

  /// Says what went wrong, and what that means for whoever called.
  private static func status(of error: any Error) -> Int32 {
    if error is CancellationError { return 130 }
    let code = MalmoiCommand.exitCode(for: error)
    if code == .success || code == .validationFailure {
      let message = MalmoiCommand.fullMessage(for: error)
      if !message.isEmpty { code == .success ? Output.line(message) : Output.note(message) }
      return code == .success ? 0 : 2
    }
    if let code = error as? ExitCode { return code.rawValue }
    // Messages quote files and templates, which say what they like: one line, and nothing that moves the cursor. Only a
    // hub's own list of places has several.
    let lines = error is HubError ? "\(error)".split(separator: "\n").map(String.init) : ["\(error)"]
    Output.note("malmoi: " + lines.map { $0.printable(atMost: 2000) }.joined(separator: "\n"))
    return 1
  }

  /// Swift repairs arguments that are not UTF-8; a model would answer a prompt that nobody wrote.
  private static func checkArguments() throws {
    for index in 1..<max(1, Int(CommandLine.argc)) {
      guard let argument = CommandLine.unsafeArgv[index] else { break }
      _ = try decoded(Data(bytes: argument, count: strlen(argument)), from: "argument \(index)")
    }
  }
}
