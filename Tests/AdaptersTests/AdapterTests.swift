// New adapters: what they begin as, what they are put into, what can be combined, and what is refused.
import Adapters
import Checkpoints
import Foundation
import Layers
import Models
import Tensors
import TestSupport
import Testing

@Suite struct `A new adapter` {
  private let tokens: [Int32] = [5, 9, 30, 12, 7, 7, 21]

  private func llama() throws -> Decoder { try Decoder(PEFTCase.named("llama-lora").checkpoint()) }

  @Test("changes nothing before it has learnt", arguments: [
    AdapterConfiguration(.lora(.init())), .init(.lora(.init(rank: 3, isWeightDecomposed: true))), .init(.ia3),
    .init(.bottleneck(.init())), .init(.bias), .init(.lastLayers(1)), .init(.full),
  ])
  func beginning(configuration: AdapterConfiguration) throws {
    for checkpoint in [try PEFTCase.named("llama-lora").checkpoint(), try FamilyFixture("mixtral").checkpoint] {
      var model = try Decoder(checkpoint)
      let before = model.scores(tokens, writing: []).values
      try configuration.apply(to: &model, seed: 1)
      var error = relativeError(model.scores(tokens, writing: []).values, before)
      #expect(error <= 1e-6, "\(error)")
      try model.prepareAdapters()
      error = relativeError(model.scores(tokens, writing: []).values, before)
      #expect(error <= 1e-6, "\(error)")
    }
  }

  @Test func `is the same for the same seed, and another for another`() throws {
    let model = try llama()
    for configuration in [
      AdapterConfiguration(.lora(.init(rank: 4))), .init(.prefix(tokens: 2)), .init(.prompt(tokens: 2)), .init(.bottleneck(.init())),
    ] {
      let (one, same, other) = try (
        Adapter(configuration, for: model, seed: 7), Adapter(configuration, for: model, seed: 7),
        Adapter(configuration, for: model, seed: 8))
      #expect(one.tensors.allSatisfy { name, tensor in same.tensors[name].map { sameBits($0.values, tensor.values) } ?? false })
      #expect(one.tensors.contains { name, tensor in other.tensors[name].map { !sameBits($0.values, tensor.values) } ?? true })
    }
  }

  @Test func `begins with numbers as PEFT's do`() throws {
    let model = try llama(), width = model.configuration.width
    let lora = try Adapter(.init(.lora(.init(rank: 64))), for: model, seed: 1)
    let a = try #require(lora.tensors["layers.0.attention.query.lora.a"]).values
    // Uniform within ± 1 / √inputs.
    let bound = 1 / Float(width).squareRoot(), variance = a.reduce(0) { $0 + $1 * $1 } / Float(a.count)
    #expect(a.allSatisfy { abs($0) <= bound } && abs(variance / (bound * bound / 3) - 1) < 0.1)
    #expect(lora.tensors["layers.0.attention.query.lora.b"]?.values.allSatisfy { $0 == 0 } == true)
    #expect(lora.scales["layers.0.attention.query"] == 0.25)
    let prefix = try #require(try Adapter(.init(.prefix(tokens: 40)), for: model, seed: 1).tensors["prefix.1.keys"]).values
    #expect(abs(prefix.reduce(0) { $0 + $1 * $1 } / Float(prefix.count) - 1) < 0.15)
    let prompt = try Adapter(.init(.prompt(tokens: 3, initial: [4, 9])), for: model, seed: 1)
    #expect(prompt.tensors["embedding.prompt"]?.values == model.embedding.weight.rows(at: [4, 9, 4]).values)
  }

  @Test func `trains what its method says and no more`() throws {
    let model = try llama(), layers = 2, width = 32, hidden = 48, outputs = 32
    func count(_ configuration: AdapterConfiguration) throws -> Int {
      try Adapter(configuration, for: model, seed: 1).parameterCount
    }
    let perLayer = 4 * (width + outputs) + 3 * (width + hidden)
    #expect(try count(.init(.lora(.init(rank: 4)))) == layers * 4 * perLayer)
    #expect(try count(.init(.lora(.init(rank: 4)), targets: .named(["query"]))) == layers * 4 * (width + outputs))
    #expect(try count(.init(.ia3)) == layers * (2 * outputs + hidden))
    #expect(try count(.init(.bottleneck(.init(width: 5)))) == layers * 2 * (2 * 5 * width + 5 + width))
    #expect(try count(.init(.prefix(tokens: 3))) == layers * 2 * 3 * outputs)
    #expect(try count(.init(.prompt(tokens: 3))) == 3 * width)
    #expect(try count(.init(.bias)) == layers * (4 * outputs + 2 * hidden + width))
    let layer = 4 * width * outputs + 3 * width * hidden + 2 * width
    #expect(try count(.init(.lastLayers(1))) == layer + width)
    #expect(try count(.init(.lastLayers(1, head: true))) == layer + width + 48 * width)
    #expect(try count(.init(.full)) == layers * layer + width + 2 * 48 * width)
    // A classifier is new whenever there is one.
    let reader = try Encoder(PEFTCase.named("bert-lora").checkpoint())
    let names = try Adapter(.init(.ia3), for: reader, seed: 1).tensors.keys.filter { !$0.contains("ia3") }.sorted()
    #expect(names == ["classifier.output", "classifier.output.bias"])
  }

  @Test func `finds projections by their names in Malmoi, GGUF and transformers`() throws {
    let checkpoint = try PEFTCase.named("neox-lora").checkpoint(), model = try Decoder(checkpoint)
    let modules = try ModelRegistry.modules(of: checkpoint)
    func slots(_ targets: AdapterConfiguration.Targets, _ modules: HuggingFaceModules? = nil) throws -> [String] {
      try Adapter(.init(.lora(.init()), targets: targets), for: model, seed: 1, modules: modules).scales.keys.sorted()
    }
    #expect(try slots(.named(["layers.1.attention.query"])) == ["layers.1.attention.query"])
    #expect(try slots(.named(["query"])) == ["layers.0.attention.query", "layers.1.attention.query"])
    #expect(try slots(.named(["blk.0.attn_k"])) == ["layers.0.attention.key"])
    let fused = ["key", "query", "value"].map { "layers.1.attention.\($0)" }
    #expect(try slots(.pattern(#".*layers\.1\.attention\.query_key_value"#), modules) == fused)
    #expect(try slots(.named(["query_key_value"]), modules).count == 6)
    let error = #expect(throws: AdapterError.self) { try slots(.named(["q_projection"]), modules) }
    #expect(error?.message.contains("gpt_neox.layers.*.attention.query_key_value") == true)
    #expect(throws: AdapterError.self) { try slots(.pattern("(")) }
  }

  @Test func `stands on quantized weights as on any`() throws {
    var base = try RandomDecoder().make()
    let before = base.scores(tokens, writing: []).values
    for form in [AdapterConfiguration.LowRank(rank: 4), .init(rank: 4, isWeightDecomposed: true)] {
      var model = base, adapter = try Adapter(.init(.lora(form)), for: base, seed: 2)
      try adapter.apply(to: &model)
      // A factor of almost 1 may move an activation to the next of its 16 bits.
      #expect(relativeError(model.scores(tokens, writing: []).values, before) <= 1e-4)
      adapter.shake()
      model = base
      try adapter.apply(to: &model)
      let trained = model.scores(tokens, writing: []).values
      #expect(relativeError(trained, before) > 0.01)
      try model.prepareAdapters()
      #expect(relativeError(model.scores(tokens, writing: []).values, trained) <= 1e-4)
    }
    try AdapterConfiguration(.lora(.init())).apply(to: &base, seed: 1)
    #expect(throws: AdapterError.self) { try AdapterConfiguration(.ia3).apply(to: &base, seed: 1) }
  }

  @Test func `is the sum of several, each with its weight`() throws {
    let base = try llama()
    var parts: [Adapter] = []
    for (seed, targets) in [(1, ["query", "value"]), (2, ["query", "up"])] {
      var adapter = try Adapter(.init(.lora(.init(rank: seed + 1)), targets: .named(targets)), for: base, seed: UInt64(seed))
      adapter.shake(seed: UInt64(seed))
      parts.append(adapter)
    }
    let both = try Adapter.combined([(parts[0], 0.5), (parts[1], -2)])
    #expect(both.tensors["layers.0.attention.query.lora.a"]?.shape == [5, 32])
    // The same sum as merging one after the other, of adapters whose second matrix is weighed.
    var model = base
    try both.apply(to: &model)
    let checkpoint = try PEFTCase.named("llama-lora").checkpoint()
    var merged = checkpoint
    for (adapter, weight) in zip(parts, [Float(0.5), -2]) {
      var adapter = adapter
      for (name, tensor) in adapter.tensors where name.hasSuffix(".b") { adapter.tensors[name] = tensor * weight }
      merged = try adapter.merged(into: merged)
    }
    let expected = try Decoder(merged).scores(tokens, writing: []).values
    #expect(relativeError(model.scores(tokens, writing: []).values, expected) <= 1e-5)
    #expect(throws: AdapterError.self) {
      try Adapter.combined([(parts[0], 1), (Adapter(.init(.ia3), for: base, seed: 1), 1)])
    }
    #expect(throws: AdapterError.self) { try Adapter.combined([]) }
  }

  @Test("can be kept in a folder, if PEFT has the method or not", arguments: [
    AdapterConfiguration(.bottleneck(.init(width: 3, activation: .relu, followsAttention: false))), .init(.bias),
    .init(.lastLayers(1, head: true)), .init(.full), .init(.lora(.init(rank: 3, alpha: 4.5))), .init(.prefix(tokens: 3)),
  ])
  func folder(configuration: AdapterConfiguration) throws {
    let checkpoint = try PEFTCase.named("llama-lora").checkpoint(), model = try Decoder(checkpoint), folder = try TemporaryFolder()
    let modules = try ModelRegistry.modules(of: checkpoint)
    var adapter = try Adapter(configuration, for: model, seed: 1)
    adapter.shake()
    try adapter.write(to: folder.path("a"), for: model, modules: modules)
    let again = try Adapter(folder: folder.path("a"), for: model, modules: modules)
    #expect(again.configuration.method == configuration.method)
    #expect(again.tensors.count == adapter.tensors.count && again.scales == adapter.scales)
    #expect(adapter.tensors.allSatisfy { name, tensor in again.tensors[name].map { sameBits($0.values, tensor.values) } ?? false })
  }
}
