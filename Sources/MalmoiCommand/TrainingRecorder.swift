// The record of a training while it goes on: what malmoi runs shows later.
import Foundation
import JSON
import Tensors
import Tracking
import Training

/// Writes the events of a run to its record, in a folder of records.
final class TrainingRecorder {
  /// What a record says of the run besides its metrics.
  struct Facts {
    /// Every option of the run.
    var config: JSONValue
    /// What it learns from.
    var data: JSONValue
    var backend: any Backend
  }

  private var run: Run?
  private let display: TrainingProgressDisplay
  private let bytesPerToken: Double?
  private let environment: JSONValue

  /// Begins a record, or goes on with the last one.
  /// - Parameters:
  ///   - step: after which the run goes on; nil where it begins.
  ///   - bytesPerToken: for bits per byte; nil where that says nothing.
  init(
    root: String, name: String, after step: Int?, _ facts: Facts, display: TrainingProgressDisplay,
    bytesPerToken: Double? = nil
  ) throws {
    self.display = display
    self.bytesPerToken = bytesPerToken
    var environment: [(String, JSONValue)] = [
      ("malmoi", .string(MalmoiCommand.configuration.version)), ("threads", .int(facts.backend.threadCount)),
    ]
    if let processor = facts.backend as? CPUBackend {
      environment.append(("instructionSet", .string(processor.instructionSet.rawValue)))
    }
    self.environment = .object(.init(uniqueKeysWithValues: environment))
    // A run that was killed while its record was begun has none that could be continued.
    if let step, let latest = try? RunRecord.list(root: root).last(where: { $0.state != nil }) {
      run = try Run.resume(folder: latest.folder, atStep: step, environment: self.environment)
    } else {
      run = try Run.create(
        in: root, name: name, config: facts.config, data: facts.data, environment: self.environment)
    }
  }

  func observe(_ event: TrainingEvent) throws {
    switch event {
    case .step(let progress, let result, let factor, _) where display.isLogged(progress.step):
      try run?.log(step: progress.step, tokens: progress.tokens, display.metrics(result, factor: factor))
    case .evaluation(let progress, let values):
      var named = values.map { ($0.name, $0.value) }
      if let loss = values.first?.value, let bytesPerToken {
        named.append(("bitsPerByte", loss / log(2) / bytesPerToken))
      }
      try run?.log(step: progress.step, tokens: progress.tokens, named)
    case .wentBack(let progress, _):
      guard let folder = run?.folder else { return }
      try run?.finish(.interrupted)
      run = nil  // lets go of the files
      run = try Run.resume(folder: folder, atStep: progress.step, environment: environment)
    default: break
    }
  }

  func sample(step: Int, prompt: String, text: String) throws {
    try run?.sample(step: step, prompt: prompt, text: text)
  }

  /// Runs a training to its end and notes how it ended.
  func during(_ body: () throws -> TrainingOutcome) throws -> TrainingOutcome {
    do {
      let outcome = try body()
      try run?.finish(outcome == .interrupted ? .interrupted : .finished)
      return outcome
    } catch {
      try? run?.finish(.failed, message: "\(error)")
      throw error
    }
  }
}
