// What a person sees of a training: a line that changes on a terminal, elsewhere a line now and then.
import Foundation
import Training

/// Shows the events of a run on standard error.
struct TrainingProgressDisplay {
  private let steps: Int
  private let seconds: Double?
  /// Steps from one line to the next where there is no terminal.
  private let interval: Int
  private let isLive = isatty(2) == 1
  private let learningRate: Double?
  /// Tokens of a second, lately.
  private var rate: Double?
  private var secondsPerStep: Double?
  private var shown: ContinuousClock.Instant?
  private var validation: Double?

  /// - Parameters:
  ///   - seconds: after which the run ends even if not all steps are done.
  ///   - learningRate: what the factors of the schedule multiply; nil to show none.
  ///   - interval: steps between lines where there is no terminal; nil for about fifty lines in all.
  init(steps: Int, seconds: Double? = nil, learningRate: Double? = nil, interval: Int? = nil) {
    self.steps = steps
    self.seconds = seconds
    self.learningRate = learningRate
    self.interval = interval ?? max(1, steps / 50)
  }

  mutating func show(_ event: TrainingEvent) {
    switch event {
    case .step(let progress, let result, let factor, let seconds):
      let tokens = Double(result.tokens) / max(1e-9, seconds)
      rate = rate.map { $0 * 0.9 + tokens * 0.1 } ?? tokens
      secondsPerStep = secondsPerStep.map { $0 * 0.9 + seconds * 0.1 } ?? seconds
      let isLast = progress.step == steps
      if isLive {
        let now = ContinuousClock.now
        guard isLast || shown.map({ now - $0 > .milliseconds(100) }) ?? true else { return }
        shown = now
        Output.status(line(progress, result, factor))
      } else if isLast || progress.step == 1 || progress.step % interval == 0 {
        Output.note(line(progress, result, factor))
      }
    case .evaluation(let progress, let values):
      validation = values.first?.value
      let known = ["validationLoss": "validation loss", "validationAccuracy": "validation accuracy"]
      let words = values.map { name, value in
        name == "validationAccuracy"
          ? "\(known[name] ?? name) \(Output.fixed(value * 100, 1)) %" : "\(known[name] ?? name) \(Output.fixed(value, 4))"
      }
      permanent("step \(progress.step): " + words.joined(separator: ", "))
    case .saved(_, let path): if !isLive { Output.note("saved \(path)") }
    case .resumed(let progress, let path, let damaged):
      for path in damaged { permanent("malmoi: warning: left out, for it is damaged: \(path)") }
      permanent("goes on from \(path), step \(progress.step)")
    case .wentBack(let progress, let reason):
      permanent("malmoi: warning: back at step \(progress.step): \(reason)")
    }
  }

  /// A line that stays.
  private func permanent(_ text: String) {
    Output.status("")
    Output.note(text)
  }

  /// The line that changes is over.
  func end() { Output.status("") }

  private func line(_ progress: TrainingProgress, _ result: StepResult, _ factor: Double) -> String {
    var words = ["step \(progress.step) of \(steps)", "loss \(Output.fixed(result.loss, 4))"]
    if let validation { words.append("validation \(Output.fixed(validation, 4))") }
    if let learningRate { words.append("rate \(String(format: "%.2g", learningRate * factor))") }
    words.append("\(Output.number(Int(rate ?? 0))) tokens/s")
    let left = Double(steps - progress.step) * (secondsPerStep ?? 0)
    words.append(Self.duration(seconds.map { min(left, max(0, $0 - progress.seconds)) } ?? left) + " left")
    return words.joined(separator: ", ")
  }

  /// 4000 → `1 h 6 min`
  static func duration(_ seconds: Double) -> String {
    let whole = Int(min(seconds, 1e9).rounded(.up))
    if whole < 100 { return "\(whole) s" }
    let minutes = (whole + 30) / 60
    return minutes < 100 ? "\(minutes) min" : "\(minutes / 60) h \(minutes % 60) min"
  }
}
