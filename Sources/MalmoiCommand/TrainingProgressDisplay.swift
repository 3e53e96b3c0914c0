// What a person sees of a training on standard error: a line now and then, and on a terminal one that lives.
import Foundation
import Training

/// Shows the events of a run.
final class TrainingProgressDisplay {
  private let steps: Int?
  private let seconds: Double?
  private let logEvery: Int
  private let isLive = isatty(2) == 1
  private let bytesPerToken: Double?
  /// Multiplications and additions of a token, and how many the machine could do in a second.
  private let work: (operationsPerToken: Double, peak: Double)?
  private let learningRate: Double
  private var recent: [(seconds: Double, tokens: Int)] = []

  /// - Parameters:
  ///   - steps: of the whole run; nil where only time limits it.
  ///   - seconds: of the whole run, where time limits it.
  ///   - logEvery: steps from one line to the next; nil for about fifty lines in all.
  ///   - bytesPerToken: for bits per byte; nil where that says nothing.
  ///   - work: of a token and what the machine could do; nil for no share of it to be shown.
  init(
    steps: Int?, seconds: Double? = nil, logEvery: Int? = nil, bytesPerToken: Double? = nil,
    work: (operationsPerToken: Double, peak: Double)? = nil, learningRate: Double
  ) {
    self.steps = steps
    self.seconds = seconds
    self.logEvery = logEvery ?? max(1, (steps ?? 500) / 50)
    self.bytesPerToken = bytesPerToken
    self.work = work
    self.learningRate = learningRate
  }

  /// Tokens per second over the latest steps, and the share of the machine's peak.
  private(set) var rate = (tokens: 0.0, peakShare: 0.0)

  /// The numbers of a step that are worth keeping.
  func metrics(_ result: StepResult, factor: Double) -> [(String, Double)] {
    [
      ("loss", result.loss), ("gradientNorm", result.gradientNorm), ("learningRate", learningRate * factor),
      ("tokensPerSecond", rate.tokens),
    ] + (work == nil ? [] : [("peakShare", rate.peakShare)])
  }

  func isLogged(_ step: Int) -> Bool { step == 1 || step % logEvery == 0 || step == steps }

  func show(_ event: TrainingEvent) {
    switch event {
    case .step(let progress, let result, let factor, let seconds):
      recent.append((seconds, result.tokens))
      if recent.count > 20 { recent.removeFirst() }
      let time = recent.reduce(0) { $0 + $1.seconds }
      rate.tokens = Double(recent.reduce(0) { $0 + $1.tokens }) / max(time, 1e-9)
      if let work { rate.peakShare = rate.tokens * work.operationsPerToken / work.peak }
      let line = "step \(progress.step)\(steps.map { "/\($0)" } ?? "")  loss \(Output.fixed(result.loss, 4))  "
        + "rate \(String(format: "%.2e", learningRate * factor))  norm \(Output.fixed(result.gradientNorm, 2))  "
        + "\(Output.number(Int(rate.tokens))) tokens/s"
        + (work == nil ? "  " : " (\(Int((rate.peakShare * 100).rounded())) % of peak)  ")
        + left(progress)
      Output.status(line)
      if isLogged(progress.step) {
        Output.status("")
        Output.note(line)
      }
    case .evaluation(let progress, let values):
      Output.status("")
      var parts = values.map { "\(Self.name($0.name)) \(Output.fixed($0.value, 4))" }
      if let loss = values.first?.value, let bytesPerToken {
        parts.insert("bits per byte \(Output.fixed(loss / log(2) / bytesPerToken, 4))", at: 1)
      }
      let isBest = progress.bestStep == progress.step ? "  (best)" : ""
      Output.note("step \(progress.step)  \(parts.joined(separator: "  "))\(isBest)")
    case .saved(_, let path): isLive ? Output.status("saved \(path)") : Output.note("saved \(path)")
    case .resumed(let progress, let path, let damaged):
      for fault in damaged { Output.note("malmoi: warning: a damaged checkpoint is left out: \(fault)") }
      Output.note("goes on after step \(progress.step), from \(path)")
    case .wentBack(let progress, let reason):
      Output.status("")
      Output.note("malmoi: warning: \(reason); back to step \(progress.step), on from batch \(progress.nextBatch)")
    }
  }

  /// The line that changes is over.
  func end() { Output.status("") }

  private static func name(_ metric: String) -> String {
    switch metric {
    case "validationLoss": "validation loss"
    case "validationAccuracy": "validation accuracy"
    default: metric
    }
  }

  private func left(_ progress: TrainingProgress) -> String {
    let byTime = seconds.map { max(0, $0 - progress.seconds) }
    let bySteps = steps.map { Double($0 - progress.step) * progress.seconds / Double(max(1, progress.step)) }
    guard let rest = [byTime, bySteps].compactMap(\.self).min() else { return "" }
    return Self.duration(rest) + " left"
  }

  static func duration(_ seconds: Double) -> String {
    let whole = Int(seconds.rounded(.up))
    if whole < 60 { return "\(whole) s" }
    if whole < 3600 { return "\(whole / 60) min \(whole % 60) s" }
    return "\(whole / 3600) h \(whole % 3600 / 60) min"
  }
}
