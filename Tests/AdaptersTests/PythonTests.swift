// What is written here is loaded by PEFT itself, where it is installed.
import Adapters
import Checkpoints
import Foundation
import Models
import Tensors
import TestSupport
import Testing

/// A Python that has PEFT, if there is one.
private let python: String? = {
  let named = ProcessInfo.processInfo.environment["MALMOI_PEFT_PYTHON"].map { [$0] } ?? ["/usr/bin/env", "python3"]
  guard (try? run(named + ["-c", "import importlib.util as u, sys; sys.exit(not all(map(u.find_spec, ['peft', 'torch'])))"]))?.status == 0
  else { return nil }
  return named.joined(separator: " ")
}()

private func run(_ command: [String]) throws -> (status: Int32, output: String) {
  let process = Process(), pipe = Pipe()
  process.executableURL = URL(fileURLWithPath: command[0])
  process.arguments = Array(command.dropFirst())
  process.standardOutput = pipe
  process.standardError = pipe
  try process.run()
  let output = pipe.fileHandleForReading.readDataToEndOfFile()
  process.waitUntilExit()
  return (process.terminationStatus, String(decoding: output, as: UTF8.self))
}

@Suite struct `PEFT itself` {
  @Test(
    "loads what is written here, and gives the same numbers",
    .enabled(if: python != nil, "neither python3 nor MALMOI_PEFT_PYTHON has peft and torch"))
  func loads() throws {
    let folder = try TemporaryFolder(), methods: [(String, AdapterConfiguration)] = [
      ("lora", .init(.lora(.init(rank: 3, alpha: 5, isRankStabilized: true)))),
      ("dora", .init(.lora(.init(rank: 2, isWeightDecomposed: true)), targets: .named(["query", "key", "value", "down"]))),
      ("query", .init(.lora(.init(rank: 2)), targets: .named(["attention.query"]))), ("ia3", .init(.ia3)),
      ("prompt", .init(.prompt(tokens: 3))), ("prefix", .init(.prefix(tokens: 3))),
    ]
    for name in ["llama-lora", "neox-lora", "gpt2-lora", "phi3-lora", "bert-lora", "t5-lora", "gemma-prompt", "mistral-lora"] {
      let sample = PEFTCase.named(name), checkpoint = try sample.checkpoint()
      for (kind, configuration) in methods {
        // PEFT gives all layers of an encoder–decoder prefixes of one another.
        if sample.family == "t5", kind == "prefix" { continue }
        try sample.withModel(of: checkpoint) {
          try write(sample, checkpoint, configuration, to: folder.path("\(sample.family)-\(kind)"), $0)
        }
      }
    }
    let script = fixtureURL("check_peft.py").path
    let result = try run((python ?? "").split(separator: " ").map(String.init) + [script, folder.url.path])
    #expect(result.status == 0, "\(result.output)")
  }

  private func write<Model: AskableModel>(
    _ sample: PEFTCase, _ checkpoint: any Checkpoint, _ configuration: AdapterConfiguration, to path: String, _: Model.Type
  ) throws {
    var model = try Model(checkpoint, backend: CPUBackend.shared)
    let modules = try ModelRegistry.modules(of: checkpoint)
    var adapter = try Adapter(configuration, for: model, seed: 3)
    adapter.shake()
    try adapter.write(to: path, for: model, modules: modules)
    // A written adapter is the same one when it is read, although parts of one matrix may share what they had apart.
    let read = try Adapter(folder: path, for: model, modules: modules)
    var again = model
    try read.apply(to: &again)
    try adapter.apply(to: &model)
    let scores = try sample.scores(model)
    #expect(relativeError(try sample.scores(again), scores) <= 1e-6)
    try Data(FamilyFixture(sample.family).path.utf8).write(to: URL(fileURLWithPath: path + "/model.txt"))
    var file = SafetensorsWriter(path: path + "/expected.safetensors")
    func add(_ name: String, _ tokens: [Int32]) throws {
      try file.addTensor(name, elementType: .i32, shape: [tokens.count]) { append in try tokens.withUnsafeBytes(append) }
    }
    try add("tokens", sample.tokens())
    if sample.family == "t5" { try add("decoder_tokens", sample.tokens("decoder_tokens")) }
    try file.addTensor("logits", elementType: .f32, shape: [scores.count]) { append in try scores.withUnsafeBytes(append) }
    try file.write()
  }
}
