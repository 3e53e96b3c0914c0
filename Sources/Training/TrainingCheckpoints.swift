// What a run is continued from. A checkpoint is a folder that takes its name when it is whole; sums of its files tell
// later whether it still is.
import Checkpoints
import Crypto
import Foundation
import JSON
import Tensors

/// The checkpoints of one run: `step-00001200/` each, with weights, optimizer and progress.
public struct TrainingCheckpoints: Sendable {
  public let folder: String
  /// What decides the numbers of a run, such as its options and the data's fingerprint: a checkpoint of another run is
  /// refused.
  private let fingerprint: JSONValue

  /// - Throws: ``TrainingError`` when the folder cannot be made.
  public init(folder: String, fingerprint: JSONValue) throws {
    self.folder = folder
    self.fingerprint = fingerprint
    do {
      try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    } catch {
      throw TrainingError(path: folder, message: "cannot be made: \(error.localizedDescription)")
    }
  }

  private static let prefix = "step-"
  private static let files = ["weights.safetensors", "optimizer.safetensors"]

  /// All of them, the newest first; whole or not.
  public var all: [String] {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
    return names.filter { $0.hasPrefix(Self.prefix) && Self.step(of: $0) != nil }.sorted(by: >).map { folder + "/" + $0 }
  }

  public var newest: String? { all.first }

  private static func step(of name: String) -> Int? { Int(name.dropFirst(prefix.count)) }

  // MARK: Writing

  /// Writes one; older ones go when it is whole.
  /// - Parameter keep: how many stay, beside the best.
  /// - Returns: its folder.
  func save(_ work: any TrainingWork, _ progress: TrainingProgress, keep: Int) throws -> String {
    let name = Self.prefix + String(format: "%08d", progress.step), path = folder + "/" + name
    let aside = folder + "/.\(name).\(ProcessInfo.processInfo.processIdentifier).partial", files = FileManager.default
    do {
      try? files.removeItem(atPath: aside)
      try files.createDirectory(atPath: aside, withIntermediateDirectories: false)
      try Self.write(work.parameters.map { ($0.path, $0.tensor) }, to: aside + "/" + Self.files[0])
      try Self.write(work.optimizer.state, to: aside + "/" + Self.files[1])
      var sums: [(String, JSONValue)] = []
      for file in Self.files { sums.append((file, .string(try Self.sum(of: aside + "/" + file)))) }
      let state: JSONValue = .object(.init(uniqueKeysWithValues: [
        ("progress", progress.json), ("optimizerSteps", .int(work.optimizer.steps)), ("fingerprint", fingerprint),
        ("sha256", .object(.init(uniqueKeysWithValues: sums))),
      ]))
      let file = try AtomicFile(path: aside + "/state.json")
      try Array((state.text(indent: 2) + "\n").utf8).withUnsafeBytes(file.append)
      try file.commit()
      // One of the same step was made before the run went back.
      if files.fileExists(atPath: path) { try files.removeItem(atPath: path) }
      try files.moveItem(atPath: aside, toPath: path)
    } catch {
      try? files.removeItem(atPath: aside)
      throw error
    }
    prune(keep: keep, best: progress.bestStep)
    return path
  }

  private func prune(keep: Int, best: Int?) {
    for (index, path) in all.enumerated() where index >= max(1, keep) {
      let name = String(path.dropFirst(folder.count + 1))
      if Self.step(of: name) != best { try? FileManager.default.removeItem(atPath: path) }
    }
  }

  private static func write(_ tensors: [(name: String, tensor: Tensor)], to path: String) throws {
    var writer = SafetensorsWriter(path: path)
    for (name, tensor) in tensors {
      let shape = (0..<tensor.shape.rank).map { tensor.shape[$0] }
      try writer.addTensor(name, elementType: .f32, shape: shape) { append in
        try withExtendedLifetime(tensor) { try append(UnsafeRawBufferPointer(tensor.storage.bytes)) }
      }
    }
    try writer.write()
  }

  private static func sum(of path: String) throws -> String {
    guard let file = FileHandle(forReadingAtPath: path) else {
      throw TrainingError(path: path, message: "cannot be read")
    }
    defer { try? file.close() }
    var hash = SHA256()
    while let part = try file.read(upToCount: 8 << 20), !part.isEmpty { hash.update(data: part) }
    return hash.finalize().map { String(format: "%02x", $0) }.joined()
  }

  // MARK: Reading

  /// Brings work to where the newest whole checkpoint was made.
  /// - Returns: what had come of the run, the checkpoint, and newer ones that are damaged; nil where there is none.
  /// - Throws: ``TrainingError`` for a checkpoint of another run.
  func restore(_ work: any TrainingWork) throws -> (TrainingProgress, path: String, damaged: [String])? {
    var damaged: [String] = []
    for path in all {
      do {
        return (try restore(work, from: path), path, damaged)
      } catch let error as Foreign {
        throw TrainingError(path: path, field: "fingerprint", message: error.message)
      } catch {
        damaged.append("\(path): \(error)")
      }
    }
    if !damaged.isEmpty {
      throw TrainingError(path: folder, message: "no checkpoint is whole: " + damaged.joined(separator: "; "))
    }
    return nil
  }

  /// A whole checkpoint, but of another run.
  private struct Foreign: Error {
    let message: String
  }

  private func restore(_ work: any TrainingWork, from path: String) throws -> TrainingProgress {
    guard let bytes = FileManager.default.contents(atPath: path + "/state.json") else {
      throw TrainingError(path: path + "/state.json", message: "cannot be read")
    }
    let state = JSONField(try JSONValue(parsing: Array(bytes)))
    let progress = try TrainingProgress(state.required("progress"))
    let steps = try state.required("optimizerSteps").int(in: 0...Int.max)
    for file in Self.files {
      let expected = try state.required("sha256").required(file).string()
      guard try Self.sum(of: path + "/" + file) == expected else {
        throw TrainingError(path: path + "/" + file, message: "is not as it was written")
      }
    }
    if let difference = fingerprint.firstDifference(from: try state.required("fingerprint").value) {
      throw Foreign(message: "was made by a run with \(difference)")
    }
    let weights = try SafetensorsFile(path: path + "/" + Self.files[0])
    let memory = try SafetensorsFile(path: path + "/" + Self.files[1])
    // Everything is checked before anything is changed.
    let pairs = try work.parameters.map { ($0.tensor, try Self.tensor($0.path, like: $0.tensor, in: weights)) }
      + work.optimizer.state.map { ($0.tensor, try Self.tensor($0.name, like: $0.tensor, in: memory)) }
    for (target, source) in pairs { target.storage.bytes.copyMemory(from: source.bytes) }
    withExtendedLifetime((weights, memory)) {}
    work.optimizer.steps = steps
    return progress
  }

  private static func tensor(
    _ name: String, like tensor: Tensor, in file: SafetensorsFile
  ) throws -> SafetensorsTensor {
    let found = try file.tensor(required: name)
    guard found.elementType == .f32, found.shape == (0..<tensor.shape.rank).map({ tensor.shape[$0] }),
      found.byteRange.count == tensor.storage.bytes.count
    else { throw found.error("has the shape \(found.shape), where the model's is \(tensor.shape)") }
    return found
  }
}

extension TrainingProgress {
  fileprivate var json: JSONValue {
    // Numbers are kept to the last bit: what a later step decides may depend on it.
    func double(_ value: Double?) -> JSONValue { value.map { .string(String($0)) } ?? .null }
    return .object(.init(uniqueKeysWithValues: [
      ("step", .int(step)), ("nextBatch", .int(nextBatch)), ("tokens", .int(tokens)), ("seconds", double(seconds)),
      ("meanLoss", double(meanLoss)), ("bestLoss", double(bestLoss)), ("bestStep", bestStep.map { .int($0) } ?? .null),
      ("skips", .int(skips)),
    ]))
  }

  fileprivate init(_ field: JSONField) throws {
    func double(_ name: String) throws -> Double? {
      guard let own = field[name] else { return nil }
      guard let value = Double(try own.string()) else { throw own.error("is no number") }
      return value
    }
    func int(_ name: String) throws -> Int { try field.required(name).int(in: 0...Int.max) }
    self.init()
    step = try int("step")
    nextBatch = try int("nextBatch")
    tokens = try int("tokens")
    seconds = try double("seconds") ?? 0
    meanLoss = try double("meanLoss")
    bestLoss = try double("bestLoss")
    bestStep = try field["bestStep"]?.int(in: 0...Int.max)
    skips = try int("skips")
  }
}

extension JSONValue {
  /// Where another value differs first, in words; nil where it does not.
  fileprivate func firstDifference(from other: JSONValue, at path: String = "") -> String? {
    if case .object(let own) = self, case .object(let theirs) = other {
      for (key, value) in own {
        let place = path.isEmpty ? key : path + "." + key
        guard let their = theirs[key] else { return "no \(place)" }
        if let difference = value.firstDifference(from: their, at: place) { return difference }
      }
      return nil
    }
    let (one, another) = (text(indent: nil), other.text(indent: nil))
    return one == another ? nil : "\(path) \(another.prefix(200)), not \(one.prefix(200))"
  }
}
