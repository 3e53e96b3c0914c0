// A run as a trainer writes it, and as it is found after an end, a crash and a resumption.
import Foundation
import JSON
import TestSupport
import Testing
import Tracking

@Suite struct RunTests {
  @Test func `What is logged is read back`() throws {
    let folder = try TemporaryFolder(), run = try folder.newRun("tiny model/1", config: ["width": 64, "rate": 1e-3])
    try run.log(step: 1, tokens: 100, [("loss", 3.5), ("gradientNorm", .nan)])
    try run.log(step: 2, tokens: 200, [("loss", 3.25), ("gradientNorm", .infinity)])
    try run.log(step: 2, tokens: 200, [("validationLoss", 3.75)])
    try run.log(step: 3, tokens: 300, [("loss", 0.1), ("gradientNorm", -.infinity)])
    try run.sample(step: 3, prompt: "말\n", text: "모이\u{1}")
    try run.finish()
    let record = try RunRecord.load(folder: run.folder)
    #expect(record.faults.isEmpty)
    #expect(record.name == "tiny model/1")
    #expect(record.folderName.wholeMatch(of: /\d{4}-\d\d-\d\d-\d{6}-tiny-model-1-[0-9a-f]{6}/) != nil)
    #expect(record.config == ["width": 64, "rate": 1e-3])
    #expect(record.data == ["files": []])
    #expect(record.metrics.names == ["loss", "gradientNorm", "validationLoss"])
    #expect(record.metrics["loss"].map(\.value) == [3.5, 3.25, 0.1])
    #expect(record.metrics["loss"].map(\.step) == [1, 2, 3])
    #expect(record.metrics["loss"].map(\.tokens) == [100, 200, 300])
    #expect(record.metrics["gradientNorm"].map(\.value.description) == ["nan", "inf", "-inf"])
    #expect(record.metrics["validationLoss"].map(\.value) == [3.75])
    #expect(record.samples == [RunSample(step: 3, prompt: "말\n", text: "모이\u{1}")])
    let state = try #require(record.state)
    #expect(state.status == .finished)
    #expect(state.step == 3 && state.tokens == 300 && state.ended != nil)
    #expect(state.metrics["loss"] == 0.1 && state.metrics["validationLoss"] == 3.75)
  }

  @Test func `Numbers that JSON lacks are strings in a line`() throws {
    let folder = try TemporaryFolder(), run = try folder.newRun()
    try run.log(step: 7, tokens: 8, [("a", .nan), ("b", .infinity), ("c", -.infinity), ("d", 1e-300)])
    let line = try text(run.folder, "metrics.jsonl")
    #expect(line.hasPrefix(#"{"step":7,"seconds":"#))
    #expect(line.hasSuffix(#","tokens":8,"a":"NaN","b":"Infinity","c":"-Infinity","d":1e-300}"# + "\n"))
  }

  @Test func `The environment says where the run was computed`() throws {
    let folder = try TemporaryFolder(), run = try folder.newRun()
    let environment = try RunRecord.load(folder: run.folder).environment
    let field = JSONField(environment)
    #expect(try field.required("malmoi").string() == "0.1.0")
    #expect(try field.required("processors").int(in: 1...4096) == ProcessInfo.processInfo.processorCount)
    #expect(try field.required("memory").int() == Int(ProcessInfo.processInfo.physicalMemory))
    #expect(try field.required("commandLine").strings() == CommandLine.arguments)
    #expect(try Date(field.required("startTime").string(), strategy: .iso8601).timeIntervalSinceNow > -600)
    // No name of a machine or of a person.
    #expect(try field.object().keys.elements == [
      "startTime", "commandLine", "operatingSystem", "processor", "processors", "activeProcessors", "memory",
      "swiftCompiler", "git", "malmoi",
    ])
  }

  @Test func `A run is running while its writer lives, and interrupted afterwards`() throws {
    let folder = try TemporaryFolder()
    var run: Run? = try folder.newRun()
    try run?.log(step: 1, tokens: 1, [("loss", 2)])
    #expect(try RunRecord.list(root: folder.runs).map(\.state?.status) == [.running])
    #expect(try text(RunRecord.find("last", root: folder.runs), "status.json").contains("\"running\""))
    run = nil
    let record = try RunRecord.load(folder: RunRecord.find("last", root: folder.runs))
    #expect(record.state?.status == .interrupted)
    #expect(record.state?.message == "its process is gone")
    // status.json was not rewritten after the first line, but the line counts.
    #expect(record.state?.step == 1 && record.state?.metrics == ["loss": 2])
    #expect(try RunRecord.list(root: folder.runs).map(\.state?.step) == [1])
  }

  @Test(arguments: [RunStatus.finished, .failed, .interrupted])
  func `An end is kept with its reason, and nothing can follow`(status: RunStatus) throws {
    let folder = try TemporaryFolder(), run = try folder.newRun()
    try run.finish(status, message: "loss is not a number")
    let state = try #require(try RunRecord.load(folder: run.folder).state)
    #expect(state.status == status && state.message == "loss is not a number")
    let expected = TrackingError(path: run.folder, message: "this run has ended")
    #expect(throws: expected) { try run.log(step: 1, tokens: 1, [("loss", 1)]) }
    #expect(throws: expected) { try run.sample(step: 1, prompt: "", text: "") }
    #expect(throws: expected) { try run.finish() }
  }

  @Test func `A torn last line is ignored, and dropped on resumption`() throws {
    let folder = try TemporaryFolder()
    var run: Run? = try folder.newRun()
    for step in 1...3 { try run?.log(step: step, tokens: step * 10, [("loss", 4 - Double(step))]) }
    let path = try #require(run?.folder)
    run = nil
    try append(#"{"step":4,"seconds":1,"tok"#.utf8, to: path + "/metrics.jsonl")
    let record = try RunRecord.load(folder: path)
    #expect(record.faults.isEmpty)
    #expect(record.metrics["loss"].map(\.step) == [1, 2, 3])
    let resumed = try Run.resume(folder: path, atStep: 3)
    try resumed.log(step: 4, tokens: 40, [("loss", 0.5)])
    #expect(try text(path, "metrics.jsonl").split(separator: "\n").count == 4)
    #expect(try RunRecord.load(folder: path).metrics["loss"].map(\.value) == [3, 2, 1, 0.5])
  }

  @Test func `Steps after the checkpoint are dropped and computed again`() throws {
    let folder = try TemporaryFolder()
    var run: Run? = try folder.newRun()
    for step in 1...9 {
      try run?.log(step: step, tokens: step * 10, [("loss", Double(step))])
      try run?.sample(step: step, prompt: "p", text: "first \(step)")
    }
    let path = try #require(run?.folder)
    run = nil
    let before = try RunRecord.load(folder: path)
    let resumed = try Run.resume(folder: path, atStep: 6, environment: ["threads": 3])
    let between = try RunRecord.load(folder: path)
    #expect(between.state?.status == .running)
    #expect(between.state?.step == 6 && between.state?.tokens == 60 && between.state?.metrics == ["loss": 6])
    #expect(between.samples.map(\.text) == (1...6).map { "first \($0)" })
    try resumed.log(step: 7, tokens: 71, [("loss", 70)])
    try resumed.finish()
    let after = try RunRecord.load(folder: path)
    #expect(after.metrics["loss"].map(\.value) == [1, 2, 3, 4, 5, 6, 70])
    #expect(after.state?.resumedAt == [6])
    #expect(after.config == before.config && after.environment == before.environment)
    #expect(after.metrics["loss"].map(\.seconds) == after.metrics["loss"].map(\.seconds).sorted())
    let environment = try JSONValue(parsing: Array(text(path, "environment-2.json").utf8))
    #expect(try JSONField(environment).required("threads").int() == 3)
    #expect(try eventFiles(path).count == 2)
  }

  @Test func `A run that is being written cannot be resumed by another`() throws {
    let folder = try TemporaryFolder(), run = try folder.newRun()
    let error = #expect(throws: TrackingError.self) { try Run.resume(folder: run.folder, atStep: 0) }
    #expect(error?.message == "is being written by process \(getpid())")
    try run.finish()
  }

  @Test func `Steps that go back and names that cannot be are refused`() throws {
    let folder = try TemporaryFolder(), run = try folder.newRun()
    try run.log(step: 5, tokens: 5, [("loss", 1)])
    #expect(throws: TrackingError.self) { try run.log(step: 4, tokens: 5, [("loss", 1)]) }
    for name in ["", "step", "tokens", "seconds", "a\nb", String(repeating: "a", count: 201)] {
      #expect(throws: TrackingError.self, "\(name)") { try run.log(step: 6, tokens: 5, [(name, 1)]) }
    }
    #expect(throws: TrackingError.self) { try run.log(step: 6, tokens: 5, [("a", 1), ("a", 2)]) }
    #expect(throws: TrackingError.self) { try run.sample(step: -1, prompt: "", text: "") }
    #expect(throws: TrackingError.self) { try Run.resume(folder: run.folder, atStep: -1) }
    #expect(try text(run.folder, "metrics.jsonl").split(separator: "\n").count == 1)
  }

  @Test func `Threads may log at once`() async throws {
    let folder = try TemporaryFolder(), run = try folder.newRun()
    try await withThrowingTaskGroup { group in
      for task in 0..<8 {
        group.addTask { for _ in 0..<50 { try run.log(step: 1, tokens: 1, [("loss\(task)", 1)]) } }
      }
      try await group.waitForAll()
    }
    let record = try RunRecord.load(folder: run.folder)
    #expect(record.faults.isEmpty)
    #expect(record.metrics.names.count == 8)
    #expect(record.metrics.columns.values.allSatisfy { $0.count == 50 })
  }

  @Test func `Ten runs are listed, found and compared`() throws {
    let folder = try TemporaryFolder()
    for index in 0..<10 {
      let run = try folder.newRun("run \(index)", config: ["seed": 1, "model": ["width": .int(64 + index / 5)]])
      try run.log(step: index, tokens: index * 1000, [("loss", 3 - Double(index) / 10)])
      try run.finish()
    }
    let runs = try RunRecord.list(root: folder.runs)
    #expect(Set(runs.map(\.name)) == Set((0..<10).map { "run \($0)" }))
    let lines = RunReport.list(runs).split(separator: "\n").map(String.init)
    #expect(lines.count == 11)
    #expect(lines[0].split(separator: /[ ]{2,}/).map(String.init) == [
      "id", "name", "status", "started (UTC)", "time", "step", "tokens", "loss", "validation",
    ])
    let fourth = try #require(lines.first { $0.contains("run 4") }?.split(separator: /[ ]{2,}/).map(String.init))
    #expect(fourth[2] == "finished" && Array(fourth[5...]) == ["4", "4,000", "2.6", "–"])
    let path = try RunRecord.find("run 4", root: folder.runs), four = try RunRecord.load(folder: path)
    #expect(try RunRecord.find(four.id, root: folder.runs) == path)
    #expect(try RunRecord.find(four.folderName, root: folder.runs) == path)
    #expect(try RunRecord.find(path, root: "elsewhere") == path)
    #expect(throws: TrackingError.self) { try RunRecord.find("20", root: folder.runs) }
    #expect(throws: TrackingError.self) { try RunRecord.find("no such run", root: folder.runs) }
    let compared = RunReport.compare(try ["run 4", "run 5"].map {
      try RunRecord.load(folder: RunRecord.find($0, root: folder.runs))
    })
    #expect(compared.contains(/[ ]{2}model.width +64 +65\n/))
    #expect(compared.contains(/[ ]{2}loss +2.6, 2.6 +2.5, 2.5\n/))
    #expect(!compared.contains("seed"))
  }
}
