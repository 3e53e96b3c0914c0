// What the tests of runs share: a folder with a run in it, and its files line by line.
import Foundation
import JSON
import TestSupport
import Tracking

extension TemporaryFolder {
  var runs: String { path("runs") }

  func newRun(_ name: String = "tiny", config: JSONValue = ["width": 64]) throws -> Run {
    try Run.create(in: runs, name: name, config: config, data: ["files": []], environment: ["malmoi": "0.1.0"])
  }
}

/// A run's file as text.
func text(_ run: String, _ file: String) throws -> String {
  try String(contentsOfFile: "\(run)/\(file)", encoding: .utf8)
}

func append(_ bytes: some Sequence<UInt8>, to path: String) throws {
  let handle = try FileHandle(forWritingTo: URL(fileURLWithPath: path))
  defer { try? handle.close() }
  try handle.seekToEnd()
  try handle.write(contentsOf: Data(bytes))
}

/// The event files of a run, in the order in which TensorBoard reads them.
func eventFiles(_ run: String) throws -> [String] {
  try FileManager.default.contentsOfDirectory(atPath: run).filter { $0.hasPrefix("events.out.tfevents.") }.sorted()
    .map { "\(run)/\($0)" }
}

/// A Python with the packages that a test compares with, if the machine has one.
enum Python {
  static let hasTensorBoard = (try? run("import tensorboard.backend.event_processing.event_accumulator")) != nil
  static let hasPillow = (try? run("import PIL.Image")) != nil

  struct Failure: Error {}

  static func run(_ script: String, _ arguments: String...) throws -> String {
    let process = Process(), output = Pipe()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = [ProcessInfo.processInfo.environment["MALMOI_PYTHON"] ?? "python3", "-c", script] + arguments
    process.standardOutput = output
    process.standardError = FileHandle.nullDevice
    try process.run()
    let data = output.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    guard process.terminationStatus == 0 else { throw Failure() }
    return String(decoding: data, as: UTF8.self)
  }
}
