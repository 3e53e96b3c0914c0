// A run as it lies on the disk, for whoever looks at it later; damage is told and does not hide the rest.
import Foundation
import JSON

/// What the model wrote at a step.
public struct RunSample: Sendable, Equatable {
  public let step: Int
  public let prompt: String
  public let text: String

  public init(step: Int, prompt: String, text: String) {
    self.step = step
    self.prompt = prompt
    self.text = text
  }
}

/// A run that was read from its folder.
public struct RunRecord: Sendable {
  /// The folder as it was named.
  public let folder: String
  /// `null` where the file is missing or damaged; ``faults`` say why.
  public private(set) var config = JSONValue.null
  public private(set) var data = JSONValue.null
  public private(set) var environment = JSONValue.null
  /// nil where status.json is missing or damaged.
  public private(set) var state: RunState?
  public private(set) var metrics = Metrics()
  public private(set) var samples: [RunSample] = []
  /// What could not be read.
  public private(set) var faults: [TrackingError] = []

  /// The last part of the folder's path.
  public var folderName: String { (folder as NSString).lastPathComponent }

  /// The six digits at the end of the folder's name, or that name.
  public var id: String {
    folderName.split(separator: "-").last.map(String.init).flatMap { $0.count == 6 ? $0 : nil } ?? folderName
  }

  /// What a person calls the run.
  public var name: String { state?.name ?? folderName }

  /// Reads a run; what is damaged becomes a fault of it.
  /// - Throws: ``TrackingError`` if there is no such folder.
  public static func load(folder: String) throws(TrackingError) -> RunRecord {
    var record = try RunRecord(summaryOf: folder)
    record.environment = record.part("environment.json")
    record.data = record.part("data.json")
    do {
      let (metrics, faults) = try Self.metrics(OpenFile(path: folder + "/metrics.jsonl", O_RDONLY))
      record.metrics = metrics
      record.faults += faults
    } catch {
      record.faults.append(error)
    }
    record.readSamples()
    // status.json is a few seconds behind where a run was killed.
    if let step = record.metrics.lastStep, var state = record.state, step > state.step {
      state.step = step
      state.tokens = record.metrics.lastTokens
      state.seconds = record.metrics.lastSeconds
      state.metrics = record.metrics.last
      record.state = state
    }
    return record
  }

  /// The runs below a folder, the oldest first; a damaged one has its faults.
  ///
  /// Of those that came to an end only status and config are read.
  /// - Throws: ``TrackingError`` if the folder cannot be read.
  public static func list(root: String) throws(TrackingError) -> [RunRecord] {
    let names: [String]
    do {
      names = try FileManager.default.contentsOfDirectory(atPath: root)
    } catch {
      throw TrackingError(path: root, message: "no folder of runs can be read there")
    }
    return names.sorted().compactMap { name in
      guard !name.hasPrefix("."), let summary = try? RunRecord(summaryOf: "\(root)/\(name)") else { return nil }
      return summary.state?.ended == nil ? (try? load(folder: summary.folder)) ?? summary : summary
    }
  }

  /// The folder of the run that someone means by a path, a folder's name, the id or beginning of either, a run's name
  /// if only one has it, or `last`.
  /// - Throws: ``TrackingError`` if none or several are meant.
  public static func find(_ text: String, root: String) throws(TrackingError) -> String {
    var isFolder: ObjCBool = false
    if text.contains("/"), FileManager.default.fileExists(atPath: text, isDirectory: &isFolder), isFolder.boolValue {
      return text
    }
    let all = try list(root: root)
    if text == "last", let last = all.last { return last.folder }
    var found = all.filter { $0.folderName == text || $0.id == text }
    if found.isEmpty { found = all.filter { $0.name == text } }
    if found.isEmpty, !text.isEmpty { found = all.filter { $0.folderName.hasPrefix(text) || $0.id.hasPrefix(text) } }
    guard let first = found.first else {
      throw TrackingError(
        path: root, message: "has no run “\(text.printable)” (an id, a name, the beginning of one, or last)")
    }
    guard found.count == 1 else {
      let ids = found.prefix(10).map { $0.id.printable }.joined(separator: ", ")
      throw TrackingError(path: root, message: "“\(text.printable)” may be \(found.count) runs: \(ids)")
    }
    return first.folder
  }

  private init(summaryOf folder: String) throws(TrackingError) {
    self.folder = folder
    var isFolder: ObjCBool = false
    guard FileManager.default.fileExists(atPath: folder, isDirectory: &isFolder), isFolder.boolValue else {
      throw TrackingError(path: folder, message: "is no folder")
    }
    do {
      var state = try Self.state(folder: folder)
      if state.status == .running, !Self.isRunning(folder: folder, process: state.process) {
        state.status = .interrupted
        state.message = "its process is gone"
      }
      self.state = state
    } catch {
      faults.append(error)
    }
    config = part("config.json")
  }

  private mutating func part(_ name: String) -> JSONValue {
    do {
      return try RunFiles.document("\(folder)/\(name)")
    } catch {
      faults.append(error)
      return .null
    }
  }

  private mutating func readSamples() {
    let path = folder + "/samples.jsonl"
    var samples: [RunSample] = [], faults = Faults()
    do {
      _ = try FileLine.read(OpenFile(path: path, O_RDONLY)) { line in
        do throws(JSONError) {
          let object = try line.object()
          samples.append(
            RunSample(
              step: try object.required("step").int(in: 0 ... .max), prompt: try object.required("prompt").string(),
              text: try object.required("text").string()))
        } catch {
          faults.add(path, line, error)
        }
        return true
      }
      self.faults += faults.errors
    } catch {
      self.faults.append(error)
    }
    self.samples = samples
  }

  static func metrics(_ file: OpenFile) throws(TrackingError) -> (metrics: Metrics, faults: [TrackingError]) {
    var metrics = Metrics(), faults = Faults()
    _ = try FileLine.read(file) { line in
      do throws(JSONError) {
        try metrics.append(try MetricLine(line))
      } catch {
        faults.add(file.path, line, error)
      }
      return true
    }
    return (metrics, faults.errors)
  }

  static func state(folder: String) throws(TrackingError) -> RunState {
    let path = folder + "/status.json"
    let document = try RunFiles.document(path)
    do {
      return try RunState(JSONField(document))
    } catch {
      throw TrackingError(path: path, field: error.field?.printable, message: error.message.printable)
    }
  }

  /// Whether a writer holds the lock of the run. Where the file system has no locks, the process has to be there.
  private static func isRunning(folder: String, process: Int) -> Bool {
    guard let file = try? OpenFile(path: folder + "/metrics.jsonl", O_RDONLY) else { return false }
    if file.lock(exclusively: false) { return false }
    return errno == EWOULDBLOCK || kill(pid_t(clamping: process), 0) == 0 || errno == EPERM
  }
}
