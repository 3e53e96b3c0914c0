// A merged model is the adapted one, in whichever file it is written.
import Adapters
import Checkpoints
import Foundation
import Models
import Tensors
import TestSupport
import Testing

@Suite struct `Merging` {
  @Test("gives a model that says what the adapted one does, as GGUF too", arguments: PEFTCase.all.filter {
    !$0.name.hasSuffix("prompt") && !$0.name.hasSuffix("prefix")
  })
  func peft(_ sample: PEFTCase) throws {
    let checkpoint = try sample.checkpoint(), modules = try ModelRegistry.modules(of: checkpoint)
    let adapter = try sample.withModel(of: checkpoint) {
      try Adapter(folder: sample.folder, for: $0.init(checkpoint, backend: CPUBackend.shared), modules: modules)
    }
    try check(adapter, checkpoint, sample, expected: sample.logits())
  }

  @Test("takes up biases, layers and whole models", arguments: [
    "llama-lora", "neox-lora", "gpt2-lora", "phi3-lora", "bert-lora", "t5-lora",
  ], [AdapterConfiguration(.bias), .init(.lastLayers(1)), .init(.full), .init(.lora(.init(rank: 2)), targets: .named(["query"]))])
  func own(name: String, configuration: AdapterConfiguration) throws {
    let sample = PEFTCase.named(name), checkpoint = try sample.checkpoint()
    try sample.withModel(of: checkpoint) { try own($0, sample, checkpoint, configuration) }
  }

  private func own<Model: AskableModel>(
    _: Model.Type, _ sample: PEFTCase, _ checkpoint: any Checkpoint, _ configuration: AdapterConfiguration
  ) throws {
    var model = try Model(checkpoint, backend: CPUBackend.shared)
    var adapter = try Adapter(configuration, for: model, seed: 1)
    adapter.shake(0.05)
    try adapter.apply(to: &model)
    try check(adapter, checkpoint, sample, expected: try sample.scores(model))
  }

  private func check(
    _ adapter: Adapter, _ checkpoint: any Checkpoint, _ sample: PEFTCase, expected: [Float]
  ) throws {
    let merged = try adapter.merged(into: checkpoint), folder = try TemporaryFolder(), path = folder.path("merged.gguf")
    try GGUFWriter(path: path, of: merged).write()
    for checkpoint in [merged, try ModelRegistry.open(path)] {
      try sample.withModel(of: checkpoint) {
        let scores = try sample.scores($0.init(checkpoint, backend: CPUBackend.shared)), error = relativeError(scores, expected)
        #expect(error <= 1e-5, "\(error)")
      }
    }
    #expect(merged.byteCount == merged.sizes.reduce(0) { $0 + $1.byteCount })
    guard FamilyFixture.all.contains(sample.family) else { return }
    try ModelRegistry.folderWriter(for: merged).write(to: folder.path("folder"))
    let again = try ModelRegistry.open(folder.path("folder"))
    try sample.withModel(of: again) {
      let scores = try sample.scores($0.init(again, backend: CPUBackend.shared))
      #expect(relativeError(scores, expected) <= 1e-5)
    }
  }

  @Test func `leaves what is not touched as it is, and can write what is in other types`() throws {
    let sample = PEFTCase.named("llama-lora"), checkpoint = try sample.checkpoint(), model = try Decoder(checkpoint)
    var adapter = try Adapter(.init(.lora(.init(rank: 2)), targets: .named(["layers.1.attention.query"])), for: model, seed: 1)
    adapter.shake()
    let merged = try adapter.merged(into: checkpoint, dataType: .bf16)
    for name in checkpoint.tensorNames {
      let (old, new) = (try checkpoint.tensor(required: name), try merged.tensor(required: name))
      let isSame = old.dataType == new.dataType && Array(old.bytes) == Array(new.bytes)
      #expect(isSame == (name != "blk.1.attn_q.weight"), "\(name)")
    }
    let touched = try merged.tensor(required: "blk.1.attn_q.weight")
    #expect(touched.dataType == .bf16)
    #expect(merged.tensorNames == checkpoint.tensorNames)
  }

  @Test("is refused for methods that change no weights", arguments: [
    AdapterConfiguration(.prompt(tokens: 2)), .init(.prefix(tokens: 2)), .init(.bottleneck(.init(width: 2))),
  ])
  func refused(configuration: AdapterConfiguration) throws {
    let checkpoint = try PEFTCase.named("llama-lora").checkpoint()
    let adapter = try Adapter(configuration, for: Decoder(checkpoint), seed: 1)
    #expect(throws: AdapterError.self) { try adapter.merged(into: checkpoint) }
  }
}
