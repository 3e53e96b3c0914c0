// What a training run leaves behind while it runs: enough to understand it, to compare it and to continue it.
import Foundation
import JSON
import OrderedCollections
import Synchronization

/// The record of a training run, while it is being written.
///
/// A run is a folder with `config.json`, `data.json`, `environment.json`, `metrics.jsonl`, `samples.jsonl`,
/// `status.json` and TensorBoard's event files; docs/TRACKING.md describes them. A line is whole or not there: what a
/// dying process left of one is ignored by readers and dropped when the run is resumed. The folder counts as running
/// for as long as this object lives and has not been told to ``finish(_:message:)``; if it goes away before, with its
/// process or without, the run counts as interrupted.
public final class Run: Sendable {
  private struct State {
    var metrics: GrowingFile
    var samples: GrowingFile
    var events: EventFile
    var state: RunState
    var lastWrite: ContinuousClock.Instant
  }

  /// The run's folder.
  public let folder: String
  private let secondsBefore: Double
  private let start = ContinuousClock.now
  private let state: Mutex<State>

  private init(
    folder: String, metrics: sending GrowingFile, samples: sending GrowingFile, events: sending EventFile,
    state: RunState
  ) throws(TrackingError) {
    self.folder = folder
    secondsBefore = state.seconds
    self.state = Mutex(
      State(metrics: metrics, samples: samples, events: events, state: state, lastWrite: ContinuousClock.now))
    try RunFiles.write(state.json, to: folder + "/status.json")
  }

  /// Begins a run in a folder of its own, `<root>/<date>-<time>-<name>-<id>`.
  /// - Parameters:
  ///   - root: the folder of all runs; made if it is not there.
  ///   - name: what a person calls the run; the folder's name keeps its letters and digits.
  ///   - config: every option of the run.
  ///   - data: what it learns from: paths, sizes, SHA-256, counts.
  ///   - environment: an object with what the caller knows besides what is found out here (operating system, processor,
  ///     memory, git commit, command line), such as versions, threads, the instruction set.
  /// - Throws: ``TrackingError`` if something cannot be written.
  public static func create(
    in root: String, name: String, config: JSONValue, data: JSONValue, environment: JSONValue
  ) throws(TrackingError) -> Run {
    let time = Date()
    let folder = try makeFolder(in: root, name: name, time: time)
    try RunFiles.write(config, to: folder + "/config.json")
    try RunFiles.write(data, to: folder + "/data.json")
    try writeEnvironment(environment, to: folder + "/environment.json", time: time)
    let metrics = try OpenFile(path: folder + "/metrics.jsonl", O_RDWR | O_APPEND | O_CREAT)
    _ = metrics.lock(exclusively: true)
    var events = try EventFile(folder: folder, time: time, session: 1)
    try events.options(config, name: name, time: time)
    try events.text("config", config.text(indent: 2).asCode, step: 0, time: time)
    return try Run(
      folder: folder, metrics: GrowingFile(metrics),
      samples: GrowingFile(OpenFile(path: folder + "/samples.jsonl", O_RDWR | O_APPEND | O_CREAT)), events: events,
      state: RunState(name: name, started: time, process: Int(getpid())))
  }

  /// Continues a run from a checkpoint of a step: what was logged of later steps is dropped.
  ///
  /// Where it is computed now goes to `environment-2.json`, and so on.
  /// - Throws: ``TrackingError`` if the folder is no run, if another process is writing it, or if it cannot be written.
  public static func resume(
    folder: String, atStep step: Int, environment: JSONValue = .object([:])
  ) throws(TrackingError) -> Run {
    guard step >= 0 else { throw TrackingError(path: folder, message: "step \(step) is negative") }
    var state = try RunRecord.state(folder: folder)
    let metrics = try OpenFile(path: folder + "/metrics.jsonl", O_RDWR | O_APPEND | O_CREAT)
    // Whoever looks whether the run is running holds the lock for an instant.
    var attempts = 20
    while !metrics.lock(exclusively: true), errno == EWOULDBLOCK {
      attempts -= 1
      guard attempts > 0 else {
        throw TrackingError(path: folder, message: "is being written by process \(state.process)")
      }
      usleep(10_000)
    }
    let time = Date()
    let kept = try GrowingFile.continuing(metrics, step: step)
    guard lseek(metrics.descriptor, 0, SEEK_SET) == 0 else { throw TrackingError.system(metrics.path) }
    let past = try RunRecord.metrics(metrics).metrics
    state.status = .running
    state.message = nil
    state.ended = nil
    state.process = Int(getpid())
    state.updated = time
    state.step = step
    state.tokens = past.lastTokens
    state.seconds = past.lastSeconds
    state.metrics = past.last
    state.resumedAt.append(step)
    let session = state.resumedAt.count + 1
    try writeEnvironment(environment, to: "\(folder)/environment-\(session).json", time: time)
    var events = try EventFile(folder: folder, time: time, session: session)
    try events.restart(step: step == .max ? step : step + 1, time: time)
    let samples = try OpenFile(path: folder + "/samples.jsonl", O_RDWR | O_APPEND | O_CREAT)
    return try Run(
      folder: folder, metrics: kept, samples: .continuing(samples, step: step), events: events, state: state)
  }

  /// Notes numbers of a step.
  /// - Parameters:
  ///   - step: at least that of the line before.
  ///   - tokens: trained on until now.
  ///   - values: by name, such as `loss`; not a number and infinite are values too.
  /// - Throws: ``TrackingError`` for steps that go back, names that cannot be, or if the run has ended or its files
  ///   cannot be written.
  public func log(step: Int, tokens: Int, _ values: [(String, Double)]) throws(TrackingError) {
    var names: Set<String> = []
    for (name, _) in values {
      guard !name.isEmpty, name.utf8.count <= 200, name == name.printable, !MetricLine.reserved.contains(name),
        names.insert(name).inserted
      else { throw TrackingError(path: folder, message: "no metric can be called “\(name.printable)” here") }
    }
    let seconds = secondsBefore + (ContinuousClock.now - start) / .seconds(1)
    try write { (state) throws(TrackingError) in
      guard step >= state.state.step, tokens >= 0 else {
        throw TrackingError(
          path: folder, message: "step \(step) after \(tokens) tokens does not follow step \(state.state.step)")
      }
      let line = MetricLine(step: step, seconds: seconds, tokens: tokens, values: values)
      try state.metrics.append((line.json.text() + "\n").utf8)
      let time = Date()
      try state.events.scalars(values, step: step, time: time)
      state.state.step = step
      state.state.tokens = tokens
      state.state.seconds = seconds
      state.state.updated = time
      for (name, value) in values { state.state.metrics[name] = value }
      guard ContinuousClock.now - state.lastWrite > .seconds(5) else { return }
      try RunFiles.write(state.state.json, to: folder + "/status.json")
      state.lastWrite = ContinuousClock.now
    }
  }

  /// Notes what the model writes at a step.
  public func sample(step: Int, prompt: String, text: String) throws(TrackingError) {
    guard step >= 0 else { throw TrackingError(path: folder, message: "step \(step) is negative") }
    try write { (state) throws(TrackingError) in
      let line: JSONValue = ["step": .int(step), "prompt": .string(prompt), "text": .string(text)]
      try state.samples.append((line.text() + "\n").utf8)
      try state.events.text("samples", "\(prompt.asCode)\n\n---\n\n\(text.asCode)", step: step, time: Date())
    }
  }

  /// Ends the run. Nothing can be noted afterwards.
  /// - Parameter message: why it ended, as for a failure.
  public func finish(_ status: RunStatus = .finished, message: String? = nil) throws(TrackingError) {
    try write { (state) throws(TrackingError) in
      let time = Date()
      var ended = state.state
      ended.status = status == .running ? .interrupted : status
      ended.message = message
      ended.updated = time
      ended.ended = time
      ended.seconds = secondsBefore + (ContinuousClock.now - start) / .seconds(1)
      try state.events.end(succeeded: status == .finished, time: time)
      try RunFiles.write(ended.json, to: folder + "/status.json")
      state.state = ended
    }
  }

  private func write(_ body: (inout State) throws(TrackingError) -> Void) throws(TrackingError) {
    try state.withLock { (state) throws(TrackingError) in
      guard state.state.status == .running else { throw TrackingError(path: folder, message: "this run has ended") }
      try body(&state)
    }
  }

  private static func makeFolder(in root: String, name: String, time: Date) throws(TrackingError) -> String {
    do {
      try FileManager.default.createDirectory(atPath: root, withIntermediateDirectories: true)
    } catch {
      throw TrackingError(path: root, message: "cannot be made a folder")
    }
    let date = time.formatted(.iso8601).replacingOccurrences(of: "T", with: "-").filter { !":Z".contains($0) }
    let kept = name.prefix(60).map { $0.isLetter || $0.isNumber || "_-.".contains($0) ? $0 : "-" }
    while true {
      let id = String(UInt32.random(in: 0 ..< 1 << 24) | 1 << 24, radix: 16).dropFirst()
      let folder = "\(root)/\(date)-\(String(kept))-\(id)"
      if mkdir(folder, 0o777) == 0 { return folder }
      guard errno == EEXIST else { throw TrackingError.system(folder) }
    }
  }

  private static func writeEnvironment(_ more: JSONValue, to path: String, time: Date) throws(TrackingError) {
    guard case .object(let more) = more else {
      throw TrackingError(path: path, message: "expected an object, found \(more.kind)")
    }
    let all = RunEnvironment.current(at: time).merging(more) { $1 }
    try RunFiles.write(.object(all), to: path)
  }
}

extension String {
  /// As a block of code in Markdown.
  fileprivate var asCode: String {
    split(separator: "\n", omittingEmptySubsequences: false).map { "    " + $0 }.joined(separator: "\n")
  }
}
