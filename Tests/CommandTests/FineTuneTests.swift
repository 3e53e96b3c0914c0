// `malmoi finetune`, `merge` and `--adapter` as their users meet them.
import Checkpoints
import Foundation
import JSON
import TestSupport
import Testing
import Tracking

@Suite struct FineTuneCommandTests {
  private let folder: TemporaryFolder
  private let command: Executable
  private let model: String
  private let data: String

  init() throws {
    folder = try TemporaryFolder()
    command = Executable(home: folder.url)
    model = folder.path("tiny.gguf")
    try TinyModel.write(to: folder.url.appendingPathComponent("tiny.gguf"), dataType: .q8_0)
    let words = ["bath", "pine", "the", "thin", "other"]
    let lines = (0..<20).map { number in
      "{\"instruction\": \"say \(words[number % 5])\", \"response\": \"\(words[number % 5]) \(words[number % 5])\"}"
    }
    data = try folder.write((lines.joined(separator: "\n") + "\n").utf8, to: "data.jsonl").path
  }

  private func tune(_ out: String, _ more: [String]) throws -> CommandResult {
    try command.run([
      "finetune", model, "--data", data, "--out", folder.path(out), "--batch", "5", "--precision", "f32",
    ] + more)
  }

  /// The first and the last loss of what a run says.
  private func losses(_ result: CommandResult) -> [Double] {
    result.errors.split(separator: "\n").compactMap { line in
      line.split(separator: "loss ").dropFirst().first.flatMap { Double($0.prefix { $0.isNumber || $0 == "." }) }
        .flatMap { line.hasPrefix("step") && !line.contains("validation loss") ? $0 : nil }
    }
  }

  /// Log-probabilities of a text's tokens.
  private func scores(_ model: String, _ more: [String] = [], text: String = "bath pine the thin") throws -> [Double] {
    let result = try command.run(["score", model, text, "--json"] + more)
    #expect(result.status == 0, "\(result.errors)")
    let rows = try JSONField(JSONValue(parsing: Array(result.output))).array()
    return try rows.compactMap { try $0["logProbability"]?.double() }
  }

  private func distance(_ one: [Double], _ other: [Double]) -> Double {
    one.count == other.count ? zip(one, other).map { abs($0 - $1) }.max() ?? .infinity : .infinity
  }

  @Test("a model learns by every method, and what is written is used", arguments: [
    ("full", "3e-3"), ("lora", "1e-2"), ("dora", "1e-2"), ("qlora", "1e-2"), ("adapter", "1e-2"), ("prefix", "3e-2"),
    ("prompt", "3e-2"), ("ia3", "3e-2"), ("bitfit", "1e-2"), ("last-layers", "3e-3"),
  ])
  func methods(method: String, rate: String) throws {
    let givesModel = ["full", "bitfit", "last-layers"].contains(method), out = givesModel ? "out.gguf" : "out"
    let result = try tune(out, ["--method", method, "--learning-rate", rate, "--steps", "12", "--rank", "4"])
    #expect(result.status == 0 && result.complaints.isEmpty, "\(result.errors)")
    let losses = losses(result)
    let first = try #require(losses.first), last = try #require(losses.last)
    #expect(last < first, "\(result.errors)")
    #expect(result.errors.contains("validation loss"))
    let before = try scores(model)
    let after = try givesModel ? scores(folder.path(out)) : scores(model, ["--adapter", folder.path(out)])
    #expect(distance(before, after) > 1e-3 && before.count == after.count)
    let more = givesModel ? [] : ["--adapter", folder.path(out)]
    let answer = try command.run(
      ["run", givesModel ? folder.path(out) : model, "say bath", "-n", "8", "--temperature", "0"] + more)
    #expect(answer.status == 0 && answer.complaints.isEmpty, "\(answer.errors)")
  }

  @Test func `a merged model does what its adapter does`() throws {
    // Of plain numbers, so that merging rounds nothing.
    try TinyModel.write(to: folder.url.appendingPathComponent("tiny.gguf"), dataType: .f32)
    _ = try tune("a", ["--steps", "6", "--learning-rate", "1e-2"])
    _ = try tune("b", ["--steps", "6", "--learning-rate", "1e-2", "--seed", "5", "--targets", "q_proj,v_proj"])
    let plain = try scores(model)
    for (index, adapters) in [["a"], ["a=0.7", "b=0.3"]].enumerated() {
      let named = adapters.flatMap { ["--adapter", folder.path($0)] }
      let adapted = try scores(model, named)
      for out in ["merged\(index).gguf", "merged\(index)"] {
        let merged = try command.run(["merge", model, "--out", folder.path(out)] + named)
        #expect(merged.status == 0, "\(merged.errors)")
        let difference = try distance(scores(folder.path(out)), adapted)
        #expect(difference < 1e-3, "\(difference)")
      }
      #expect(distance(plain, adapted) > 1e-2)
    }
  }

  @Test("virtual tokens change no rule of answers", arguments: ["prefix", "prompt"])
  func virtualTokens(method: String) throws {
    _ = try tune("a", ["--method", method, "--steps", "4", "--learning-rate", "3e-2", "--virtual-tokens", "7"])
    func answer(_ more: [String]) throws -> Data {
      let result = try command.run(
        ["run", model, "say the thin pine", "--adapter", folder.path("a"), "-n", "40", "--temperature", "0"] + more)
      #expect(result.status == 0, "\(result.errors)")
      return result.output
    }
    let whole = try answer([])
    // With and without guesses, in chunks smaller than what stands before the prompt, in another number of threads.
    for more in [["--speculate", "off"], ["--chunk", "3"], ["--threads", "1"], ["--draft-model", model]] {
      #expect(try answer(more) == whole, "\(more)")
    }
    let text = try folder.write(Array(repeating: "the thin pine ", count: 40).joined().utf8, to: "text.txt").path
    let measured = try command.run(["perplexity", model, text, "--adapter", folder.path("a"), "--context", "32", "--json"])
    #expect(measured.status == 0, "\(measured.errors)")
    let tooLong = try command.run(["perplexity", model, text, "--adapter", folder.path("a"), "--context", "512"])
    #expect(tooLong.status == 1 && tooLong.complaints.first?.contains("4 ... 505") == true, "\(tooLong.errors)")
  }

  @Test func `a run that was ended goes on to the same bits`() throws {
    let options = ["--steps", "8", "--learning-rate", "1e-2", "--threads", "2", "--save-every", "3", "--keep", "9"]
    _ = try tune("whole", options)
    _ = try tune("parts", options)
    let files = FileManager.default, parts = folder.path("parts")
    let again = try tune("parts", options)
    #expect(again.status == 1 && again.complaints.count == 1, "\(again.errors)")
    // As if it had ended after three steps.
    for step in [6, 8] { try files.removeItem(atPath: parts + String(format: "/checkpoints/step-%08d", step)) }
    try files.removeItem(atPath: parts + "/adapter_config.json")
    try files.removeItem(atPath: parts + "/adapter_model.safetensors")
    let refused = try tune("parts", options)
    #expect(refused.status == 1 && refused.errors.contains("--resume goes on with it"), "\(refused.errors)")
    let other = try tune("parts", ["--steps", "9", "--learning-rate", "1e-2", "--resume"])
    #expect(other.status == 1 && other.errors.contains("was made by a run with schedule.steps 8, not 9"), "\(other.errors)")
    let resumed = try tune("parts", options + ["--resume"])
    #expect(resumed.status == 0 && resumed.errors.contains("step 3"), "\(resumed.errors)")
    let results = try ["whole", "parts"].map {
      try Data(contentsOf: folder.url.appendingPathComponent($0 + "/adapter_model.safetensors"))
    }
    #expect(results[0] == results[1])
    let runs = try ["whole", "parts"].map { try RunRecord.list(root: folder.path($0 + "/runs")) }
    #expect(runs.map(\.count) == [1, 1] && runs[1][0].state?.resumedAt == [3])
    #expect(runs.allSatisfy { $0[0].state?.status == .finished && $0[0].faults.isEmpty })
    let losses = try runs.map { try RunRecord.load(folder: $0[0].folder).metrics["loss"].map(\.value) }
    #expect(losses[0].count == 8 && losses[0] == losses[1])
  }

  @Test func `whoever interrupts a run finds it saved`() throws {
    let arguments = ["finetune", model, "--data", data, "--out", folder.path("out"), "--steps", "1000000"]
    // Interrupted when the first step is told of.
    let result = try command.run(
      arguments,
      shell: """
        "$@" 2>"$HOME/errors" & pid=$!
        for i in $(seq 400); do grep -qE 'step +1[ /]' "$HOME/errors" && break; sleep 0.05; done
        kill -INT $pid; wait $pid
        """)
    #expect(result.status == 130, "\(result.errors)")
    let saved = try FileManager.default.contentsOfDirectory(atPath: folder.path("out/checkpoints"))
    #expect(saved.count == 1 && saved[0].hasPrefix("step-") && !FileManager.default.fileExists(atPath: folder.path("out/adapter_config.json")))
  }

  @Test func `what is wrong with a record is said with its line and field`() throws {
    let bad = try folder.write(
      "{\"instruction\": \"a\", \"response\": \"b\"}\n{\"instruction\": \"a\"}\n".utf8, to: "bad.jsonl").path
    let refused = try command.run(["finetune", model, "--data", bad, "--out", folder.path("out"), "--steps", "1"])
    #expect(refused.status == 1, "\(refused.errors)")
    #expect(refused.complaints == ["malmoi: \(bad), line 2, response: missing, and 'output' too"], "\(refused.errors)")
    #expect(!FileManager.default.fileExists(atPath: folder.path("out")))
    let skipped = try command.run(
      ["finetune", model, "--data", bad, "--out", folder.path("out"), "--steps", "1", "--skip-bad"])
    #expect(skipped.status == 0 && skipped.errors.contains("2 records, 1 unusable, the first: "), "\(skipped.errors)")
  }

  @Test func `examples are shown as they are learnt`() throws {
    let result = try command.run(["finetune", model, "--data", data, "--show-example"])
    let text = String(decoding: result.output, as: UTF8.self)
    #expect(result.status == 0, "\(result.errors)")
    #expect(text.hasPrefix("<|im_start|>user\nsay bath<|im_end|>\n<|im_start|>assistant\n⟦bath bath<|im_end|>⟧"), "\(text)")
  }

  @Test func `an answer that is preferred becomes likelier`() throws {
    let pairs = (0..<8).map { _ in "{\"prompt\": \"say\", \"chosen\": \"bath\", \"rejected\": \"pine\"}\n" }
    let file = try folder.write(pairs.joined().utf8, to: "pairs.jsonl").path
    let result = try command.run([
      "finetune", model, "--data", file, "--dpo", "--steps", "10", "--learning-rate", "1e-2", "--batch", "4", "--out",
      folder.path("out"), "--precision", "f32",
    ])
    #expect(result.status == 0, "\(result.errors)")
    let losses = losses(result)
    let first = try #require(losses.first), last = try #require(losses.last)
    #expect(abs(first - 0.6931) < 1e-3 && last < 0.5, "\(result.errors)")
  }

  @Test func `an encoder learns labels that it has never seen, and classify gives them`() throws {
    let source = try FamilyFixture("bert").path, encoder = folder.path("bert")
    try FileManager.default.createDirectory(atPath: encoder, withIntermediateDirectories: false)
    for name in ["config.json", "model.safetensors"] {
      try FileManager.default.copyItem(atPath: source + "/" + name, toPath: encoder + "/" + name)
    }
    let words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "rain", "snow", "goal", "match", "wind", "team"]
      + (0..<37).map { "word\($0)" }
    try folder.write((words.joined(separator: "\n") + "\n").utf8, to: "bert/vocab.txt")
    let texts = [("rain wind", "weather"), ("snow rain", "weather"), ("goal match", "sport"), ("team goal", "sport")]
    let lines = (0..<16).map { "{\"text\": \"\(texts[$0 % 4].0)\", \"label\": \"\(texts[$0 % 4].1)\"}\n" }
    let file = try folder.write(lines.joined().utf8, to: "labels.jsonl").path
    for (method, out) in [("lora", "lora"), ("prompt", "prompt"), ("full", "full"), ("full", "full.gguf")] {
      let result = try command.run([
        "finetune", encoder, "--data", file, "--method", method, "--steps", "60", "--learning-rate", "1e-2", "--batch",
        "8", "--out", folder.path(out), "--precision", "f32",
      ])
      #expect(result.status == 0 && result.errors.contains("validation accuracy"), "\(method): \(result.errors)")
      let used = method == "full" ? [folder.path(out)] : [encoder, "--adapter", folder.path(out)]
      let found = try command.run(["classify", used[0], "snow wind", "match team"] + used.dropFirst())
      let labels = String(decoding: found.output, as: UTF8.self).split(separator: "\n").map { $0.prefix { $0 != "\t" } }
      #expect(found.status == 0 && labels == ["weather", "sport"], "\(method): \(found.errors) \(labels)")
    }
  }

  @Test("what cannot be done is said in one line", arguments: [
    (["--method", "lora", "--out", "x.gguf"], "malmoi merge makes a file of it", 2), (["--rank", "0"], "the rank is 0", 1),
    (["--targets", "nothing"], "match none of the model's parts", 1), (["--max-length", "9000"], "the model takes 512", 2),
    (["--epochs", "2", "--steps", "2"], "exclude each other", 2), (["--data", "missing.jsonl"], "missing.jsonl", 1),
  ] as [([String], String, Int32)])
  func refusals(arguments: [String], message: String, status: Int32) throws {
    let result = try command.run(["finetune", model, "--data", data, "--out", folder.path("o")] + arguments)
    #expect(result.status == status && result.errors.contains(message), "\(result.errors)")
    #expect(!FileManager.default.fileExists(atPath: folder.path("o/adapter_config.json")))
  }

  @Test func `adapters that do not fit are refused in one line`() throws {
    _ = try tune("a", ["--steps", "1"])
    try TinyModel.write(to: folder.url.appendingPathComponent("other.gguf"), layers: 1)
    for arguments in [
      ["run", folder.path("other.gguf"), "the", "--adapter", folder.path("a")],
      ["run", model, "the", "--adapter", folder.path("nowhere")],
      ["merge", folder.path("other.gguf"), folder.path("a"), "--out", folder.path("m.gguf")],
    ] {
      let result = try command.run(arguments)
      #expect(result.status == 1 && result.complaints.count == 1 && result.output.isEmpty, "\(result.errors)")
    }
    #expect(!FileManager.default.fileExists(atPath: folder.path("m.gguf")))
  }
}
