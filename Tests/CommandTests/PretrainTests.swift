// Pretraining as its users meet it: a recipe, killed at any moment, resumed, and a model in the end.
import Foundation
import JSON
import Testing
import Tracking

@Suite("malmoi pretrain") struct PretrainTests {
  private static let recipe = """
    model: {family: llama, width: 32, layers: 1, heads: 2, contextLength: 32}
    tokenizer: {train: bpe, vocabulary: 300}
    data: {files: [text.txt], validation: 0.1}
    training: {batch: 4, steps: 3000, learningRate: 3e-3, saveEvery: 50, evaluateEvery: 500, logEvery: 100, precision: f32}
    """

  private func inFolder(_ body: (URL, Executable) throws -> Void) throws {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("malmoi-pretrain-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    let words = ["나무", "tree", "river", "말", "house", "stone", "the", "of", "is", "near", "under", "물"]
    var text = "", state: UInt64 = 7
    for index in 0..<9000 {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      text += words[Int(state >> 33) % words.count] + (index % 11 == 10 ? ".\n" : " ")
    }
    try text.write(to: folder.appendingPathComponent("text.txt"), atomically: true, encoding: .utf8)
    try Self.recipe.write(to: folder.appendingPathComponent("recipe.yaml"), atomically: true, encoding: .utf8)
    try body(folder, Executable(home: folder))
  }

  /// A shell line that runs the command in the folder.
  private func inside(_ folder: URL, _ prefix: String = "") -> String { "cd '\(folder.path)' && exec \(prefix) \"$@\"" }

  private func weights(_ folder: URL, _ run: String) throws -> Data {
    try Data(contentsOf: folder.appendingPathComponent("\(run)/model/model.safetensors"))
  }

  @Test func `a run that is killed up to fifty times gives the same bits`() throws {
    try inFolder { folder, malmoi in
      let start = ContinuousClock.now
      let whole = try malmoi.run(["pretrain", "--config", "recipe.yaml", "--out", "whole"], shell: inside(folder))
      try #require(whole.status == 0, "\(whole.errors)")
      // Moments from the first file on, and so early that several are survived on any machine.
      let seconds = (ContinuousClock.now - start) / .seconds(1)
      var kills = 0, random = SystemRandomNumberGenerator(), last: CommandResult?
      while kills < 50 {
        let moment = Double.random(in: 0.02...0.25, using: &random) * seconds
        var arguments = ["pretrain", "--config", "recipe.yaml", "--out", "killed", "--threads", "\(1 + kills % 2)"]
        if FileManager.default.fileExists(atPath: folder.appendingPathComponent("killed/checkpoints").path) {
          arguments.append("--resume")
        }
        let result = try malmoi.run(arguments, shell: inside(folder, "timeout -s KILL \(moment)"))
        if result.status == 0 { last = result; break }
        #expect(result.status == 137, "\(result.errors)")
        kills += 1
      }
      if last == nil {
        last = try malmoi.run(["pretrain", "--config", "recipe.yaml", "--out", "killed", "--resume"], shell: inside(folder))
      }
      #expect(last?.status == 0, "\(last?.errors ?? "")")
      #expect(kills >= 3)
      #expect(try weights(folder, "killed") == weights(folder, "whole"))
    }
  }

  @Test func `Ctrl-C saves first, and the record tells all`() throws {
    try inFolder { folder, malmoi in
      let first = try malmoi.run(
        ["pretrain", "--config", "recipe.yaml", "--out", "run", "--steps", "1000000", "--set", "training.saveEvery=0"],
        shell: """
          cd '\(folder.path)'; "$@" & pid=$!
          for i in $(seq 600); do grep -qs loss run/runs/*/metrics.jsonl && break; sleep 0.05; done
          kill -INT $pid; wait $pid
          """)
      #expect(first.status == 130, "\(first.errors)")
      #expect(first.errors.contains("interrupted after step"))
      let refused = try malmoi.run(["pretrain", "--config", "recipe.yaml", "--out", "run"], shell: inside(folder))
      #expect(refused.status == 1 && refused.errors.contains("--resume goes on with it"))
      let other = try malmoi.run(
        ["pretrain", "--config", "recipe.yaml", "--out", "run", "--resume", "--steps", "200"], shell: inside(folder))
      #expect(other.status == 1 && other.errors.contains("was made by a run with schedule"))
      let records = try RunRecord.list(root: folder.appendingPathComponent("run/runs").path)
      #expect(records.count == 1 && records[0].faults.isEmpty && records[0].state?.status == .interrupted)
      #expect(try !RunRecord.load(folder: records[0].folder).metrics["loss"].isEmpty)
    }
  }

  @Test func `a run that goes back is recorded as it went`() throws {
    try inFolder { folder, malmoi in
      // Every loss counts as a leap from the 20th step on.
      let settings = ["spike=0.5", "skipsBack=2", "saveEvery=15", "logEvery=1"].flatMap { ["--set", "training.\($0)"] }
      let result = try malmoi.run(
        ["pretrain", "--config", "recipe.yaml", "--out", "run", "--steps", "40"] + settings, shell: inside(folder))
      #expect(result.status == 1 && result.errors.contains("leaps to"), "\(result.errors)")
      #expect(result.errors.components(separatedBy: "back to step 15").count == 3, "\(result.errors)")
      let records = try RunRecord.list(root: folder.appendingPathComponent("run/runs").path)
      let record = try RunRecord.load(folder: #require(records.first).folder)
      #expect(records.count == 1 && record.faults.isEmpty && record.state?.status == .failed)
      #expect(record.state?.resumedAt == [15, 15] && record.metrics.lastStep == 20)
    }
  }

  @Test func `the model that was made is a model`() throws {
    try inFolder { folder, malmoi in
      let made = try malmoi.run(
        ["pretrain", "--config", "recipe.yaml", "--out", "run", "--steps", "300", "--set", "training.sampleEvery=150"],
        shell: inside(folder))
      try #require(made.status == 0, "\(made.errors)")
      #expect(made.errors.contains("validation loss") && made.errors.contains("bits per byte"))
      let run = try malmoi.run(
        ["run", folder.path + "/run/model", "the river", "--raw", "--maximum-tokens", "8", "--temperature", "0"])
      #expect(run.status == 0 && !run.output.isEmpty, "\(run.errors)")
      let plan = try malmoi.run(["pretrain", "--config", "recipe.yaml", "--plan", "--json"], shell: inside(folder))
      let field = JSONField(try JSONValue(parsing: Array(plan.output)))
      #expect(try field.required("tokensPerStep").int() == 128 && field.required("steps").int() == 3000)
    }
  }

  @Test func `a tokenizer learns the text of records and of compressed files, not their bytes`() throws {
    try inFolder { folder, malmoi in
      let text = try String(contentsOf: folder.appendingPathComponent("text.txt"), encoding: .utf8)
      let records = text.split(separator: "\n").map { #"{"noise": "qqqq", "text": "\#($0)"}"# + "\n" }.joined()
      try records.write(to: folder.appendingPathComponent("text.jsonl"), atomically: true, encoding: .utf8)
      var learnt: [Data] = []
      for files in ["text.txt", "text.txt.gz", "text.jsonl", "text.jsonl.gz"] {
        let result = try malmoi.run(
          ["pretrain", "--config", "recipe.yaml", "--out", "of-\(files)", "--steps", "1", "--set", "data.files=[\"\(files)\"]"],
          shell: "cd '\(folder.path)' && gzip -kf text.txt text.jsonl && exec \"$@\"")
        #expect(result.status == 0, "\(result.errors)")
        learnt.append(try Data(contentsOf: folder.appendingPathComponent("of-\(files)/tokenizer.json")))
        #expect(!FileManager.default.fileExists(atPath: folder.appendingPathComponent("of-\(files)/tokenizer.txt").path))
      }
      #expect(learnt.allSatisfy { $0 == learnt[0] })
    }
  }

  @Test(arguments: [
    ("training.stepz=3", "training.stepz: unknown; expected one of batch, accumulate"),
    ("training.steps=-1", "training.steps: "), ("model.heads=3", "model.heads: 3 heads of a width of 32"),
    ("training.optimizer=sgd", "training.optimizer: \"sgd\" is not one of adamw, muon"),
    ("data.files=[\"none.txt\"]", "none.txt"), ("data.packing=1", "data.packing: expected a string"),
    ("tokenizer.train=words", "tokenizer.train: \"words\" is not one of bpe, unigram, wordpiece"),
    ("training.sequenceLength=64", "training.sequenceLength: 64 is not in 2 ... 32"),
  ])
  func `what is wrong with a recipe is named`(setting: String, message: String) throws {
    try inFolder { folder, malmoi in
      let result = try malmoi.run(
        ["pretrain", "--config", "recipe.yaml", "--out", "run", "--set", setting], shell: inside(folder))
      #expect(result.status == 1 && result.errors.contains(message), "\(result.errors)")
    }
  }
}
