// Training runs, looked at later: which there are, one, several side by side, and their curves.
import ArgumentParser
import Checkpoints
import Foundation
import JSON
import Tracking

struct RunsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "runs", abstract: "List, show, compare and plot training runs.",
    discussion: "RUN is a path, a folder's name, an id, the beginning of one, a name that only one run has, or last.",
    subcommands: [ListRunsCommand.self, ShowRunCommand.self, CompareRunsCommand.self, PlotRunsCommand.self])
}

extension CurveAxis: ExpressibleByArgument {}

private struct RunsOptions: ParsableArguments {
  @Option(help: ArgumentHelp("The folder of the runs.", valueName: "folder")) var root = "runs"
  @Flag(help: "For programs.") var json = false

  func load(_ runs: [String]) throws -> [RunRecord] {
    try runs.map { try RunRecord.load(folder: RunRecord.find($0, root: root)) }
  }

  func printJSON(_ value: JSONValue) { Output.line(value.text(indent: 2)) }

  /// The columns of the terminal; what goes elsewhere gets 100.
  var width: Int {
    var size = winsize()
    return ioctl(1, UInt(TIOCGWINSZ), &size) == 0 && size.ws_col > 0 ? Int(size.ws_col) : 100
  }
}

struct ListRunsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(commandName: "list", abstract: "All runs, the oldest first.")

  @OptionGroup private var options: RunsOptions

  func run() throws {
    let runs = try RunRecord.list(root: options.root)
    if options.json { return options.printJSON(.array(runs.map(RunReport.json))) }
    Output.text(RunReport.list(runs))
  }
}

struct ShowRunCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "show", abstract: "One run: status, metrics, options, environment, data, the last sample.")

  @Argument(help: "The run.") var name: String
  @OptionGroup private var options: RunsOptions

  func run() throws {
    for run in try options.load([name]) {
      options.json ? options.printJSON(RunReport.json(run)) : Output.text(RunReport.show(run, width: options.width))
    }
  }
}

struct CompareRunsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "compare", abstract: "Runs side by side: the options in which they differ, and their metrics.")

  @Argument(help: "The runs.") var names: [String]
  @OptionGroup private var options: RunsOptions

  func run() throws {
    let runs = try options.load(names)
    if options.json { return options.printJSON(.array(runs.map(RunReport.json))) }
    Output.text(RunReport.compare(runs, width: options.width))
  }
}

struct PlotRunsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "plot", abstract: "The course of a metric, in the terminal or as a picture.")

  @Argument(help: "The runs.") var names: [String]
  @Option(help: "What is drawn, such as loss, validationLoss, gradientNorm.") var metric = "loss"
  @Option(help: "What it is drawn over: step, tokens or seconds.") var over = CurveAxis.step
  @Option(help: ArgumentHelp("Write a picture instead.", valueName: "file.png")) var png: String?
  @Option(help: ArgumentHelp("Smooth as TensorBoard does, 0 ... 0.999.", valueName: "weight")) var smooth = 0.0
  @Flag(help: "Values by their logarithm.") var log = false
  @OptionGroup private var options: RunsOptions

  func validate() throws {
    guard (0...0.999).contains(smooth) else { throw ValidationError("--smooth is not in 0 ... 0.999") }
    if png != nil, options.json { throw ValidationError("--png and --json exclude each other") }
  }

  func run() throws {
    let runs = try options.load(names)
    for run in runs where run.metrics[metric].isEmpty {
      let known = run.metrics.names.joined(separator: ", ")
      throw Failure("\(run.folder): logged no \(metric); there is \(known.isEmpty ? "nothing" : known)")
    }
    let plot = CurvePlot(
      title: metric, axis: over, curves: runs.compactMap { $0.curve(metric, over: over) }, isLogarithmic: log,
      smoothing: smooth)
    if options.json { return options.printJSON(plot.json) }
    guard let png else { return Output.text(plot.text(width: options.width)) }
    let file = try AtomicFile(path: png)
    try plot.png().withUnsafeBytes { try file.append($0) }
    try file.commit()
    Output.note("\(png): \(metric) of \(runs.count) run\(runs.count == 1 ? "" : "s")")
  }
}
