// A development tool: damaged input by the million for everything that reads what strangers wrote.
import ArgumentParser
import Foundation

@main
struct FuzzCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "Fuzz",
    abstract: "Look for inputs that crash, hang, or take too much memory.",
    discussion: """
      Inputs are valid files, templates and texts with changes that know their structure. Every run can be repeated \
      from its seed and number. A finding is an input that ends the process, takes more than 5 s, makes it exceed \
      1 GiB, or breaks a promise of the reader; it is kept in a file. Exit status 1 when there is one.
      """)

  /// One target, or all of them in turn.
  enum Choice: String, CaseIterable, ExpressibleByArgument {
    case gguf, safetensors, folder, tokenizer, template, json, all

    var name: TargetName? { TargetName(rawValue: rawValue) }
  }

  @Argument(help: "What to fuzz.") var target = Choice.all
  @Option(help: "How many inputs to try.") var runs = 2_000_000
  @Option(help: "Decides all inputs, together with the number of the run.") var seed: UInt64 = 1
  @Option(help: "The number of the first run.") var first = 0
  @Option(help: "Stop after so many seconds.") var seconds: Double?
  @Option(help: "Processes that work side by side.") var workers = ProcessInfo.processInfo.activeProcessorCount
  @Option(help: "Where inputs that were found are kept.") var findings = "fuzz-findings"
  @Option(help: "Stop after so many findings.") var mostFindings = 20
  @Option(help: "Use the input in this file instead, in this process.") var input: String?
  @Flag(help: "Leave memory and stack unlimited, as builds with sanitizers need.") var unlimited = false
  @Option(help: .hidden) var board: String?

  func validate() throws {
    guard runs >= 1, first >= 0, first <= .max - runs else {
      throw ValidationError("--runs or --first is out of range")
    }
    guard (1...256).contains(workers) else { throw ValidationError("--workers is not in 1 ... 256") }
    if input != nil, target == .all { throw ValidationError("--input needs one target") }
  }

  func run() throws {
    if let input, let name = target.name {
      let target = try name.make(), bytes = try Array(Data(contentsOf: URL(fileURLWithPath: input)))
      do {
        try target.use(bytes)
        print("accepted")
      } catch {
        print("refused: \(error)")
      }
    } else if let board {
      try Worker(
        campaign: Campaign(target.name, seed: seed), board: Board(URL(fileURLWithPath: board), creating: false),
        first: first, step: workers, end: first + runs, isLimited: !unlimited
      ).run()
    } else if try Supervisor(self).run() > 0 {
      throw ExitCode(1)
    }
  }
}
