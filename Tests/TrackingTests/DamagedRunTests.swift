// Runs that a crash, an editor or a stranger has spoilt: what is wrong is told, and the rest is shown.
import Foundation
import JSON
import TestSupport
import Testing
import Tracking

@Suite struct DamagedRunTests {
  private func damaged(_ file: String, _ bytes: some Sequence<UInt8>) throws -> (TemporaryFolder, RunRecord) {
    let folder = try TemporaryFolder(), run = try folder.newRun()
    try run.log(step: 1, tokens: 10, [("loss", 2)])
    try run.finish()
    try Data(bytes).write(to: URL(fileURLWithPath: "\(run.folder)/\(file)"))
    return (folder, try RunRecord.load(folder: run.folder))
  }

  @Test(arguments: [
    ("[]", "line 1: expected an object, found an array"),
    (#"{"step":-1,"seconds":0,"tokens":0}"#, "line 1: step: expected an integer from 0 to"),
    (#"{"step":1.5,"seconds":0,"tokens":0}"#, "line 1: step: expected an integer"),
    (#"{"step":1,"seconds":"soon","tokens":0}"#, "line 1: seconds: expected a number, found a string"),
    (#"{"step":1,"tokens":0}"#, "line 1: seconds: missing"),
    (#"{"step":1,"seconds":0,"tokens":0,"loss":[1]}"#, "line 1: loss: expected a number, found an array"),
    (#"{"step":1,"seconds":0,"tokens":0,"loss":"nan"}"#, "line 1: loss: expected a number, found a string"),
    (#"{"step":1,"seconds":0,"tokens":0,"l\u001b":{}}"#, #"line 1: l\u{1b}: expected a number, found an object"#),
    (#"{"step":99999999999999999999}"#, "line 1: step: expected an integer, found a number"),
    ("\0\0\0", "line 1: expected a value at byte 0"),
    ("", "line 1: expected a value at byte 0"),
    (String(repeating: "[", count: 5000), "line 1: nested deeper than 100"),
    (String(repeating: "x", count: 2 << 20), "line 1: longer than 1048576 bytes"),
  ])
  func `A bad line is told and its neighbours count`(line: String, complaint: String) throws {
    let good = #"{"step":2,"seconds":1,"tokens":20,"loss":1.5}"#
    let (_, record) = try damaged("metrics.jsonl", (line + "\n" + good + "\n").utf8)
    let fault = try #require(record.faults.first)
    #expect(record.faults.count == 1)
    #expect(fault.description.hasPrefix(fault.path + ": " + complaint), "\(fault)")
    #expect(record.metrics["loss"].map(\.value) == [1.5])
  }

  @Test func `A hundred thousand bad lines are told in twenty`() throws {
    let (_, record) = try damaged("metrics.jsonl", String(repeating: "?\n", count: 100_000).utf8)
    #expect(record.faults.count == 20)
  }

  @Test func `Names without end are not kept`() throws {
    let lines = (0..<3000).map { #"{"step":\#($0),"seconds":0,"tokens":0,"m\#($0)":1}"# + "\n" }.joined()
    let (_, record) = try damaged("metrics.jsonl", lines.utf8)
    #expect(record.metrics.names.count == Metrics.greatestCount)
    #expect(record.faults.first?.description.hasSuffix("line 1001: m1000: more than 1000 different names") == true)
  }

  @Test(arguments: [
    ("", "expected a value"), ("[1]", "name: missing"), (#"{"name":3}"#, "name: expected a string"),
    (#"{"name":"x","status":"asleep"}"#, "status: expected one of running, finished, interrupted, failed, found"),
    (#"{"name":"x","status":"running","process":0}"#, "process: expected an integer from 1"),
    (#"{"name":"x","status":"running","process":1,"started":"now"}"#, "started: expected a time such as"),
  ])
  func `A damaged status is told and the run still listed`(status: String, complaint: String) throws {
    let (folder, record) = try damaged("status.json", status.utf8)
    #expect(record.state == nil)
    #expect(record.faults.count == 1)
    #expect(record.faults.first?.description.contains(complaint) == true || status == "[1]")
    #expect(record.metrics["loss"].map(\.value) == [2])
    #expect(RunReport.list(try RunRecord.list(root: folder.runs)).contains("damaged"))
    #expect(RunReport.show(record).contains("status.json: "))
    #expect(RunReport.compare([record]).contains("damaged"))
    #expect(throws: TrackingError.self) { try Run.resume(folder: record.folder, atStep: 0) }
  }

  @Test func `Missing files, empty folders and strangers beside runs are no crash`() throws {
    let folder = try TemporaryFolder()
    try folder.write("text".utf8, to: "runs/notes.txt")
    try folder.write("".utf8, to: "runs/empty/.keep")
    let runs = try RunRecord.list(root: folder.runs)
    #expect(runs.map(\.folderName) == ["empty"])
    let record = try #require(runs.first)
    #expect(record.faults.count == 6)
    #expect(RunReport.show(record).contains("metrics.jsonl: No such file or directory"))
    #expect(RunReport.json(record).text().contains("\"state\":null"))
    #expect(throws: TrackingError.self) { try RunRecord.list(root: folder.path("nowhere")) }
    #expect(throws: TrackingError.self) { try RunRecord.load(folder: folder.path("nowhere")) }
    #expect(throws: TrackingError.self) { try Run.resume(folder: folder.path("nowhere"), atStep: 0) }
  }

  @Test func `A pipe in the place of a file is refused at once`() throws {
    let folder = try TemporaryFolder(), run = try folder.newRun()
    try run.finish()
    for name in ["metrics.jsonl", "config.json"] {
      unlink("\(run.folder)/\(name)")
      #expect(mkfifo("\(run.folder)/\(name)", 0o600) == 0)
    }
    let faults = try RunRecord.load(folder: run.folder).faults
    #expect(faults.map(\.message) == ["is not a plain file", "is not a plain file"])
  }

  @Test func `Documents of a stranger move no cursor`() throws {
    let (_, record) = try damaged("config.json", #"{"a\u001b[2J":"x\u001b[2J\n\u202e"}"#.utf8)
    for text in [RunReport.show(record), RunReport.compare([record])] {
      #expect(!text.unicodeScalars.contains { $0.value == 0x1B || $0.value == 0x202E })
    }
    #expect(RunReport.show(record).contains(#"a\u{1b}[2J  x\u{1b}[2J\u{a}\u{202e}"#))
  }

  @Test func `Where nothing can be written that is said`() throws {
    let folder = try TemporaryFolder()
    try folder.write("".utf8, to: "file")
    let error = #expect(throws: TrackingError.self) {
      try Run.create(in: folder.path("file"), name: "x", config: .null, data: .null, environment: [:])
    }
    #expect(error?.path == folder.path("file"))
    #expect(throws: TrackingError.self) {
      try Run.create(in: folder.runs, name: "x", config: .null, data: .null, environment: .null)
    }
  }
}
