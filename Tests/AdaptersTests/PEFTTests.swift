// What PEFT learnt does here what it does there, and what is written here is the same when it is read again.
import Adapters
import Checkpoints
import Foundation
import Layers
import Models
import Tensors
import TestSupport
import Testing

@Suite struct `PEFT folders` {
  @Test("are read, and the model gives PEFT's numbers", arguments: PEFTCase.all)
  func read(_ sample: PEFTCase) throws {
    let checkpoint = try sample.checkpoint()
    try sample.withModel(of: checkpoint) { try read(sample, checkpoint, $0) }
  }

  private func read<Model: AskableModel>(_ sample: PEFTCase, _ checkpoint: any Checkpoint, _: Model.Type) throws {
    var model = try Model(checkpoint, backend: CPUBackend.shared)
    let modules = try ModelRegistry.modules(of: checkpoint), expected = try sample.logits()
    let before = try sample.scores(model)
    let adapter = try Adapter(folder: sample.folder, for: model, modules: modules)
    try adapter.apply(to: &model)
    var error = relativeError(try sample.scores(model), expected)
    #expect(error <= 1e-5, "\(error)")
    #expect(relativeError(before, expected) > 1e-2, "the adapter changes nothing")
    try model.prepareAdapters()
    error = relativeError(try sample.scores(model), expected)
    #expect(error <= 1e-5, "\(error)")
    // What is in the model is what was read.
    let again = try Adapter(adapter.configuration, in: model)
    #expect(again.tensors.keys.sorted() == adapter.tensors.keys.sorted())
    #expect(adapter.tensors.allSatisfy { name, tensor in again.tensors[name].map { sameBits($0.values, tensor.values) } ?? false })
    #expect(again.scales == adapter.scales)
  }

  @Test("that are written are the same when they are read again", arguments: PEFTCase.all)
  func written(_ sample: PEFTCase) throws {
    let checkpoint = try sample.checkpoint()
    try sample.withModel(of: checkpoint) { try written(sample, checkpoint, $0) }
  }

  private func written<Model: AskableModel>(_ sample: PEFTCase, _ checkpoint: any Checkpoint, _: Model.Type) throws {
    let model = try Model(checkpoint, backend: CPUBackend.shared), modules = try ModelRegistry.modules(of: checkpoint)
    let adapter = try Adapter(folder: sample.folder, for: model, modules: modules), folder = try TemporaryFolder()
    try adapter.write(to: folder.path("adapter"), for: model, modules: modules)
    let again = try Adapter(folder: folder.path("adapter"), for: model, modules: modules)
    #expect(again.tensors.count == adapter.tensors.count)
    for (name, tensor) in adapter.tensors {
      let read = try #require(again.tensors[name], "\(name)")
      #expect(sameBits(read.values, tensor.values), "\(name)")
    }
    #expect(again.scales == adapter.scales)
    #expect(again.configuration.method == adapter.configuration.method)
    // And to the same file, number for number, of those tensors that PEFT wrote.
    let own = try SafetensorsFile(path: folder.path("adapter") + "/adapter_model.safetensors")
    for stored in try SafetensorsFile(path: sample.folder + "/adapter_model.safetensors").tensors {
      guard let mine = own.tensor(stored.name) else { continue }
      // Rows that PEFT keeps for a decoder which never reads them.
      if sample.name == "t5-prompt" || sample.name == "t5-prefix" { continue }
      #expect(mine.shape == stored.shape && Array(mine.bytes) == Array(stored.bytes), "\(stored.name)")
    }
  }

  @Test("are read for a GGUF file too", arguments: [
    "llama-lora", "llama-dora", "llama-prefix", "neox-lora", "gpt2-ia3", "phi3-lora", "bert-lora", "t5-lora", "gemma-prompt",
  ])
  func gguf(name: String) throws {
    let sample = PEFTCase.named(name), folder = try TemporaryFolder(), path = folder.path("model.gguf")
    try GGUFWriter(path: path, of: sample.checkpoint()).write()
    let checkpoint = try ModelRegistry.open(path)
    try sample.withModel(of: checkpoint) { try read(sample, checkpoint, $0) }
  }
}
