// The loop: step after step, with what must not be lost written down in between.
import Foundation
import Tensors

/// What a run trains. The trainer knows neither models nor data, only that every step is decided by its batches.
public protocol TrainingWork: Trained {
  /// One step over these batches of the data, as ``TrainingState/step(_:clip:rateFactor:recomputation:)`` does it.
  func step(batches: Range<Int>, clip: Double, rateFactor: Float) throws -> StepResult
  /// What is measured on data that are held out, the loss first, by name.
  func evaluate() throws -> [(name: String, value: Double)]
}

/// How long to train, and what to do on the way.
public struct TrainerOptions: Sendable {
  public var schedule: Schedule
  /// Batches of a step.
  public var accumulation = 1
  /// Longer gradients are shortened to this; 0 for never.
  public var clip = 1.0
  /// Seconds after which the run ends, those before it was resumed included; nil for none.
  public var seconds: Double?
  /// Steps between evaluations; 0 for none but the last.
  public var evaluateEvery = 0
  /// Steps between checkpoints; 0 for none but the last.
  public var saveEvery = 0
  /// Checkpoints that are kept, beside the best.
  public var keep = 2
  /// A loss beyond this many times its running mean stops the run; 0 for never.
  public var spike = 3.0
  /// How often a run may go back to its last checkpoint and leave out what made the loss leap or be no number.
  public var skipsBack = 0

  public init(schedule: Schedule) {
    self.schedule = schedule
  }
}

/// What a run has come to. With the numbers of parameters and optimizer it is all that the next step depends on.
public struct TrainingProgress: Sendable, Equatable {
  /// Steps done.
  public var step = 0
  /// The batch with which the next step begins.
  public var nextBatch = 0
  public var tokens = 0
  public var seconds = 0.0
  /// The running mean of the loss.
  public var meanLoss: Double?
  /// The least loss of an evaluation, and its step.
  public var bestLoss: Double?
  public var bestStep: Int?
  /// How often the run went back.
  public var skips = 0

  public init() {}
}

/// What happens in a run.
public enum TrainingEvent: Sendable {
  /// - seconds: of this step.
  case step(TrainingProgress, StepResult, learningRateFactor: Double, seconds: Double)
  case evaluation(TrainingProgress, [(name: String, value: Double)])
  case saved(TrainingProgress, path: String)
  /// The checkpoint from which the run goes on; `damaged` are newer ones that were found torn.
  case resumed(TrainingProgress, path: String, damaged: [String])
  /// Back at the last checkpoint; the batches that did harm are left out.
  case wentBack(TrainingProgress, reason: TrainingError)
}

/// Why a run ended.
public enum TrainingOutcome: Sendable, Equatable {
  case finished, interrupted
  /// The time that was given is over.
  case outOfTime
}

/// Runs training work to its end, through interruptions.
public final class Trainer {
  public private(set) var progress = TrainingProgress()
  private let work: any TrainingWork
  private let options: TrainerOptions
  private let checkpoints: TrainingCheckpoints?

  /// - Parameter checkpoints: where they are; nil for a run that leaves none.
  public init(_ work: any TrainingWork, options: TrainerOptions, checkpoints: TrainingCheckpoints?) {
    self.work = work
    self.options = options
    self.checkpoints = checkpoints
  }

  /// Goes on where the newest whole checkpoint was made; from the beginning where there is none.
  /// - Throws: ``TrainingError`` for a checkpoint of another run.
  public func resume(_ observe: (TrainingEvent) throws -> Void = { _ in }) throws {
    guard let checkpoints, let (found, path, damaged) = try checkpoints.restore(work) else { return }
    progress = found
    try observe(.resumed(progress, path: path, damaged: damaged))
  }

  /// - Parameters:
  ///   - isCancelled: asked after every step; then the run is saved and ends.
  /// - Throws: ``TrainingError`` that names step and batches where the loss or the gradients are no numbers or leap;
  ///   what work and `observe` throw.
  public func run(
    isCancelled: () -> Bool = { false }, _ observe: (TrainingEvent) throws -> Void = { _ in }
  ) throws -> TrainingOutcome {
    let start = ContinuousClock.now - .seconds(progress.seconds)
    // So that there is something to go back to, and a torn disk is found out at once.
    if options.skipsBack > 0, checkpoints?.newest == nil { try save(observe) }
    while progress.step < options.schedule.steps {
      do {
        try step(observe, start)
      } catch let error as TrainingError where progress.skips < options.skipsBack && checkpoints?.newest != nil {
        try goBack(error, observe)
        continue
      }
      let isLast = progress.step == options.schedule.steps
      let isOver = options.seconds.map { progress.seconds >= $0 } ?? false, isCancelled = isCancelled()
      if isLast || isOver || isDue(options.evaluateEvery) { try evaluate(observe) }
      if isLast || isOver || isCancelled || isDue(options.saveEvery) { try save(observe) }
      if isCancelled && !isLast { return .interrupted }
      if isOver && !isLast { return .outOfTime }
    }
    return .finished
  }

  private func isDue(_ interval: Int) -> Bool { interval > 0 && progress.step % interval == 0 }

  private func step(_ observe: (TrainingEvent) throws -> Void, _ start: ContinuousClock.Instant) throws {
    let batches = progress.nextBatch..<progress.nextBatch + options.accumulation, began = ContinuousClock.now
    let factor = options.schedule.factor(at: progress.step)
    let result = try work.step(batches: batches, clip: options.clip, rateFactor: Float(factor))
    func fault(_ message: String) -> TrainingError {
      TrainingError(
        field: "step \(progress.step + 1), batches \(batches.lowerBound) ..< \(batches.upperBound)", message: message)
    }
    guard result.loss.isFinite else { throw fault("the loss is \(result.loss)") }
    guard result.gradientNorm.isFinite else { throw fault("the gradients' norm is \(result.gradientNorm)") }
    if let mean = progress.meanLoss, options.spike > 0, progress.step >= 20, result.loss > options.spike * mean {
      throw fault("the loss leaps to \(result.loss) from about \(mean)")
    }
    progress.meanLoss = progress.meanLoss.map { $0 * 0.95 + result.loss * 0.05 } ?? result.loss
    progress.step += 1
    progress.nextBatch = batches.upperBound
    progress.tokens += result.tokens
    let now = ContinuousClock.now
    progress.seconds = (now - start) / .seconds(1)
    try observe(.step(progress, result, learningRateFactor: factor, seconds: (now - began) / .seconds(1)))
  }

  private func evaluate(_ observe: (TrainingEvent) throws -> Void) throws {
    let found = try work.evaluate()
    guard let loss = found.first?.value else { return }
    if loss < progress.bestLoss ?? .infinity { (progress.bestLoss, progress.bestStep) = (loss, progress.step) }
    try observe(.evaluation(progress, found))
  }

  private func save(_ observe: (TrainingEvent) throws -> Void) throws {
    guard let checkpoints else { return }
    let path = try checkpoints.save(work, progress, keep: options.keep)
    try observe(.saved(progress, path: path))
  }

  private func goBack(_ reason: TrainingError, _ observe: (TrainingEvent) throws -> Void) throws {
    let (skips, after, seconds) = (progress.skips + 1, progress.nextBatch + options.accumulation, progress.seconds)
    guard let (found, _, _) = try checkpoints?.restore(work) else { throw reason }
    progress = found
    (progress.skips, progress.nextBatch, progress.seconds) = (skips, after, seconds)
    try observe(.wentBack(progress, reason: reason))
  }
}
