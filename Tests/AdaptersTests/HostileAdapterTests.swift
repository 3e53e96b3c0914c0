// Adapter folders come from strangers: whatever is wrong with one is said, and nothing else happens.
import Adapters
import Checkpoints
import Foundation
import JSON
import Models
import Tensors
import TestSupport
import Testing

@Suite struct `Adapter folders of strangers` {
  /// A folder of PEFT with changes, read for its model.
  private struct Attempt {
    var sample: PEFTCase
    let folder: TemporaryFolder
    let model: Decoder
    let modules: HuggingFaceModules

    init(_ name: String) throws {
      sample = PEFTCase.named(name)
      folder = try TemporaryFolder()
      let checkpoint = try sample.checkpoint()
      model = try Decoder(checkpoint)
      modules = try ModelRegistry.modules(of: checkpoint)
      for file in ["adapter_config.json", "adapter_model.safetensors"] {
        try FileManager.default.copyItem(atPath: sample.folder + "/" + file, toPath: folder.path(file))
      }
    }

    var configuration: String {
      get throws { try String(contentsOfFile: folder.path("adapter_config.json"), encoding: .utf8) }
    }

    /// Replaces a field of adapter_config.json.
    func set(_ key: String, _ value: JSONValue) throws {
      guard case .object(var fields) = try JSONValue(parsing: Array(configuration.utf8)) else { return }
      fields[key] = value
      try folder.write(Array(JSONValue.object(fields).text().utf8), to: "adapter_config.json")
    }

    /// Writes the tensors again, each as `change` has it, nil for none.
    func rewrite(_ change: (SafetensorsTensor) -> (name: String, shape: [Int])?) throws {
      let file = try SafetensorsFile(path: sample.folder + "/adapter_model.safetensors")
      var writer = SafetensorsWriter(path: folder.path("adapter_model.safetensors"))
      for tensor in file.tensors {
        guard let new = change(tensor) else { continue }
        try writer.addTensor(
          new.name, elementType: .f32, shape: new.shape, bytes: [UInt8](repeating: 0, count: new.shape.reduce(4, *)))
      }
      try writer.write()
    }

    func read() throws {
      var copy = model
      try Adapter(folder: folder.url.path, for: model, modules: modules).apply(to: &copy)
    }

    /// What is said of the folder.
    var complaint: String? {
      do {
        try read()
        return nil
      } catch {
        return error is AdapterError || error is CheckpointError ? "\(error)" : nil
      }
    }
  }

  @Test("are refused for what their configuration says", arguments: [
    ("peft_type", "PHOTOSYNTHESIS", "peft_type: “PHOTOSYNTHESIS” is not one of LORA, IA3"), ("peft_type", nil, "peft_type: missing"),
    ("r", 0, "r: expected an integer from 1"), ("r", 1_000_000_000_000, "r: expected an integer from 1"), ("r", 7, "has a rank of 3, where"),
    ("lora_alpha", "much", "lora_alpha: expected a number"), ("lora_bias", true, "lora_bias: not supported"),
    ("init_lora_weights", "pissa", "changes the base model's weights"), ("rank_pattern", ["(": 3], "is no regular expression"),
    ("rank_pattern", ["q_proj": 0], "rank_pattern.q_proj: expected an integer from 1"), ("target_parameters", ["x"], "not supported"),
    ("use_dora", true, "lora_magnitude_vector: missing"), ("target_modules", 3, "target_modules: expected an array"),
  ] as [(String, JSONValue?, String)])
  func configuration(key: String, value: JSONValue?, expected: String) throws {
    let attempt = try Attempt("mistral-lora")
    #expect(attempt.complaint == nil)
    try attempt.read()
    try attempt.set(key, value ?? .null)
    let complaint = try #require(attempt.complaint, "\(key)")
    #expect(complaint.contains(expected), "\(complaint)")
  }

  @Test func `are refused for tensors that are missing, of another shape, or of no part of the model`() throws {
    let attempt = try Attempt("mistral-lora"), first = "base_model.model.model.layers.0.self_attn.q_proj.lora_"
    try attempt.rewrite { $0.name == first + "B.weight" ? nil : ($0.name, $0.shape) }
    #expect(attempt.complaint?.contains("q_proj.lora_B.weight: missing") == true)
    try attempt.rewrite { $0.name == first + "A.weight" ? nil : ($0.name, $0.shape) }
    #expect(attempt.complaint?.contains("lora_B.weight: has no place in this model") == true)
    for (part, shape) in [("A", [3, 31]), ("A", [96]), ("B", [31, 3]), ("B", [3, 64]), ("B", [0, 3])] {
      try attempt.rewrite { ($0.name, $0.name == "\(first)\(part).weight" ? shape : $0.shape) }
      #expect(attempt.complaint?.contains("has the shape \(shape), where") == true)
    }
    try attempt.rewrite { (String($0.name.replacing("q_proj", with: "query_projection")), $0.shape) }
    #expect(attempt.complaint?.contains("the parts are") == true || attempt.complaint?.contains("whose parts are") == true)
    try attempt.rewrite { ("x." + $0.name, $0.shape) }
    try attempt.set("target_modules", ["query_projection"])
    let complaint = try #require(attempt.complaint)
    #expect(complaint.contains("“query_projection” match none of the model's parts, which are model.layers.*.self_attn.q_proj"))
  }

  @Test("are refused where virtual tokens do not fit", arguments: ["llama-prefix", "llama-prompt"])
  func virtual(name: String) throws {
    let attempt = try Attempt(name)
    #expect(attempt.complaint == nil)
    for count in [0, 2, 4, 1 << 30] {
      try attempt.set("num_virtual_tokens", .int(count))
      #expect(attempt.complaint != nil)
    }
    try attempt.set("num_virtual_tokens", 3)
    try attempt.rewrite { ($0.name, [3, $0.shape[1] - 1]) }
    #expect(attempt.complaint?.contains("tensor prompt_embeddings: has the shape [3, ") == true)
    try attempt.rewrite { ("other", $0.shape) }
    #expect(attempt.complaint?.contains("prompt_embeddings: missing") == true)
  }

  @Test func `of Malmoi's own methods are checked as well`() throws {
    let attempt = try Attempt("mistral-lora")
    for (type, more) in [("FULL", [:]), ("BITFIT", [:]), ("LAST_LAYERS", ["last_layers": 1]), ("ADAPTER", ["bottleneck_size": 3, "non_linearity": "gelu"])] as [(String, [String: JSONValue])] {
      try attempt.set("peft_type", .string(type))
      for (key, value) in more { try attempt.set(key, value) }
      for name in [
        "norm", "layers.0.attention.query.lora.a", "layers.0.attention.query.ia3.inputs", "layers.0.feedForward.down.adapter.down",
        "layers.9.attention.query", "embedding.prompt", "prefix.0.keys", "layers.0.attention.query.bias", "", "..",
      ] {
        for shape in [[], [1], [5], [1 << 12], [7, 9]] where !name.isEmpty {
          var isFirst = true
          try attempt.rewrite { _ in
            defer { isFirst = false }
            return isFirst ? (name, shape) : nil
          }
          #expect(attempt.complaint != nil, "\(type) \(name) \(shape)")
        }
      }
    }
    try attempt.set("non_linearity", "wobble")
    #expect(attempt.complaint?.contains("non_linearity") == true)
  }

  @Test func `with damaged bytes are read or refused, never worse`() throws {
    let attempt = try Attempt("mistral-lora")
    var random = SeededRandom(4)
    for file in ["adapter_config.json", "adapter_model.safetensors"] {
      let whole = [UInt8](try Data(contentsOf: attempt.folder.file(file)))
      for _ in 0..<400 {
        var bytes = whole
        for _ in 0..<1 + random.below(4) { bytes[random.below(min(bytes.count, 3000))] = UInt8(random.below(256)) }
        if random.below(8) == 0 { bytes.removeLast(random.below(bytes.count)) }
        try attempt.folder.write(bytes, to: file)
        do {
          try attempt.read()
        } catch {
          #expect(error is AdapterError || error is CheckpointError, "\(error)")
        }
      }
      try attempt.folder.write(whole, to: file)
    }
  }

  @Test func `cannot hang the reader with a regular expression`() throws {
    let attempt = try Attempt("mistral-lora")
    try attempt.set("alpha_pattern", ["(a|.)*(.+)+(.+)+z": 3])
    let start = ContinuousClock.now
    try attempt.read()
    #expect(ContinuousClock.now - start < .seconds(10))
  }

  @Test func `that hold no safetensors, or nothing, say so`() throws {
    let attempt = try Attempt("mistral-lora"), files = FileManager.default
    try files.removeItem(atPath: attempt.folder.path("adapter_model.safetensors"))
    #expect(attempt.complaint?.contains("adapter_model.safetensors") == true)
    try attempt.folder.write([1, 2, 3], to: "adapter_model.bin")
    #expect(attempt.complaint?.contains("adapter_model.bin and no safetensors") == true)
    try files.removeItem(atPath: attempt.folder.path("adapter_config.json"))
    #expect(attempt.complaint?.contains("adapter_config.json") == true)
  }

  @Test("Sizes that no adapter has are refused", arguments: [
    AdapterConfiguration(.lora(.init(rank: 0))), .init(.lora(.init(rank: 1 << 40))), .init(.lora(.init(alpha: .nan))),
    .init(.prompt(tokens: 0)), .init(.prompt(tokens: 2, initial: [48])), .init(.prompt(tokens: 2, initial: [-1])),
    .init(.prefix(tokens: 1 << 40)), .init(.bottleneck(.init(width: 0))), .init(.lastLayers(0)),
    .init(.lora(.init()), targets: .named([])), .init(.lora(.init()), targets: .named([""])),
  ])
  func sizes(configuration: AdapterConfiguration) throws {
    let model = try Attempt("llama-lora").model
    #expect(throws: AdapterError.self) { try Adapter(configuration, for: model, seed: 1) }
  }
}
