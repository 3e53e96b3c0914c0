// From GGUF's keys back to config.json, for checkpoints that go from a GGUF file into a folder.
import JSON
import OrderedCollections

extension ConfigurationTranslation {
  /// A `config.json` from which the same metadata can be read again.
  /// - Throws: ``CheckpointError`` for metadata that a folder of this form cannot say.
  static func configuration(of checkpoint: any Checkpoint, form: HuggingFaceForm) throws -> JSONValue {
    let metadata = checkpoint.metadata, key = { (name: String) in "\(form.architecture).\(name)" }
    var config: OrderedDictionary<String, JSONValue> = [
      "architectures": .array([.string(className(form.className ?? "", of: checkpoint))]), "model_type": .string(form.modelTypes[0]),
      "torch_dtype": "float32",
    ]
    for (keys, name, kind) in sizes {
      let spelling = keys.first(where: form.spellings.contains) ?? keys[0]
      switch kind {
      case .count: if let value = try metadata.int(key(name)) { config[spelling] = .int(value) }
      case .number: if let value = try metadata.float(key(name)) { config[spelling] = .double(value.nearestFloat) }
      }
    }
    if config["vocab_size"] == nil { config["vocab_size"] = .int(try checkpoint.tensor(required: "token_embd.weight").rowCount) }
    if let epsilon = config["rms_norm_eps"] { config["layer_norm_epsilon"] = config["layer_norm_epsilon"] ?? epsilon }
    config["tie_word_embeddings"] = .bool(!checkpoint.contains("output.weight"))
    if let activation = try metadata.string(key("hidden_act")) { config["hidden_act"] = .string(activation) }
    if let scale = try metadata.float(key("attention.scale")) {
      let scalar = 1 / (scale * scale), whole = scalar.rounded()
      // transformers refuses a whole number that is written as a float.
      config["query_pre_attn_scalar"] = abs(scalar - whole) < 1e-4 * whole
        ? Int(exactly: whole).map { .int($0) } ?? .double(whole) : .double(scalar)
    }
    if let turning = try metadata.int(key("rope.dimension_count")), config["rotary_dim"] == nil || !form.spellings.contains("rotary_dim") {
      config["rotary_dim"] = nil
      let heads = try metadata.int(required: key("attention.head_count"), in: 1...1 << 12)
      let width = try metadata.int(key("attention.key_length")) ?? metadata.int(required: key("embedding_length")) / heads
      let share = JSONValue.double(Double(turning) / Double(max(1, width)))
      config[form.spellings.contains("rotary_pct") ? "rotary_pct" : "partial_rotary_factor"] = share
    }
    for (name, flag) in [
      ("use_parallel_residual", "use_parallel_residual"), ("norm_topk_prob", "expert_weights_norm"),
    ] {
      if let value = try metadata.bool(key(flag)) { config[name] = .bool(value) }
    }
    if let pattern = try metadata.windowPattern(
      architecture: form.architecture, layers: metadata.int(required: key("block_count"), in: 1...1 << 12),
      fullFirst: form.fullLayersFirst)
    {
      config["layer_types"] = .array(pattern.map { .string($0 ? "sliding_attention" : "full_attention") })
      config["max_window_layers"] = .int(pattern.firstIndex(of: true) ?? pattern.count)
    }
    // Some classes have a window where a file says nothing.
    if config["sliding_window"] == 0 || config["sliding_window"] == nil && config["local_attention"] == nil {
      config["sliding_window"] = .null
    }
    config["use_sliding_window"] = .bool(try metadata.int(key("attention.sliding_window")) ?? 0 > 0)
    if let layers = try metadata.bools(key("rope.layers")) {
      config["no_rope_layers"] = .array(layers.map { .int($0 ? 1 : 0) })
    }
    if let scaling = try ropeScaling(of: checkpoint, key) { config["rope_scaling"] = scaling }
    if let length = try metadata.int(key("rope.scaling.original_context_length")) {
      config["original_max_position_embeddings"] = .int(length)
    }
    // What biases there are, some classes want to be told.
    config["attention_bias"] = .bool(checkpoint.contains("blk.0.attn_q.bias") || checkpoint.contains("blk.0.attn_qkv.bias"))
    config["mlp_bias"] = .bool(checkpoint.contains("blk.0.ffn_up.bias"))
    config["use_qkv_bias"] = config["attention_bias"]
    config["qk_layernorm"] = .bool(checkpoint.contains("blk.0.attn_q_norm.weight"))
    for (name, id) in [("bos_token_id", "bos"), ("eos_token_id", "eos"), ("pad_token_id", "padding")] {
      // Without a word some classes assume a number that a small vocabulary has not.
      config[name] = try metadata.int("tokenizer.ggml.\(id)_token_id").map { .int($0) } ?? .null
    }
    for (name, value) in try form.compose(checkpoint).sorted(by: { $0.key < $1.key }) { config[name] = value }
    return .object(config)
  }

  /// An encoder's class says which head it has.
  private static func className(_ name: String, of checkpoint: any Checkpoint) -> String {
    guard name.hasSuffix("Model") else { return name }
    let head = checkpoint.contains("cls.output.weight") ? "ForSequenceClassification"
      : checkpoint.contains("mlm.dense.weight") ? "ForMaskedLM" : "Model"
    return name.dropLast("Model".count) + head
  }

  private static func ropeScaling(
    of checkpoint: any Checkpoint, _ key: (String) -> String
  ) throws -> JSONValue? {
    let metadata = checkpoint.metadata
    if let tensor = try checkpoint.tensor("rope_freqs.weight") {
      // The factors from which Llama 3's divisors were made: high frequencies have 1, low ones the factor itself.
      let divisors = try tensor.floats(path: checkpoint.path), factor = divisors.max() ?? 1
      for original in [8192, 4096, 2048, 1024, 512, 256, 128, 64, 32] {
        let scaling: JSONValue = [
          "rope_type": "llama3", "factor": .double(Double(factor).nearestFloat), "low_freq_factor": 1.0,
          "high_freq_factor": 4.0, "original_max_position_embeddings": .int(original),
        ]
        let base = try metadata.float(key("rope.freq_base")) ?? 10_000
        let made = try llama3Divisors(JSONField(scaling), width: divisors.count * 2, base: base, factor: Double(factor), original: original)
        if zip(made, divisors).allSatisfy({ abs($0 - $1) <= 1e-4 * $1 }) { return scaling }
      }
      throw CheckpointError(
        path: checkpoint.path, field: "tensor rope_freqs.weight", message: "holds no divisors that config.json can describe")
    }
    if let long = try checkpoint.tensor("rope_factors_long.weight") {
      let factors = { (tensor: GGUFTensor) -> JSONValue in
        .array(try tensor.floats(path: checkpoint.path).map { .double(Double($0).nearestFloat) })
      }
      let short = try checkpoint.tensor(required: "rope_factors_short.weight")
      return ["rope_type": "longrope", "type": "longrope", "long_factor": try factors(long), "short_factor": try factors(short)]
    }
    guard let type = try metadata.string(key("rope.scaling.type")), type != "none" else { return nil }
    var scaling: OrderedDictionary<String, JSONValue> = ["rope_type": .string(type)]
    if let factor = try metadata.float(key("rope.scaling.factor")) { scaling["factor"] = .double(factor.nearestFloat) }
    if let length = try metadata.int(key("rope.scaling.original_context_length")) {
      scaling["original_max_position_embeddings"] = .int(length)
    }
    return .object(scaling)
  }
}

extension Double {
  /// The shortest number that is the same as an `f32`: 9.99999974e-06 → 1e-5.
  package var nearestFloat: Double { Double(Float(self).description) ?? self }
}
