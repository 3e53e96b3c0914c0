// From GGUF's keys back to config.json, for checkpoints that go from a GGUF file into a folder.
import JSON
import OrderedCollections

extension ConfigurationTranslation {
  /// A `config.json` from which the same metadata can be read again.
  /// - Throws: ``CheckpointError`` for metadata that a folder of this form cannot say.
  static func configuration(of checkpoint: any Checkpoint, form: HuggingFaceForm) throws -> JSONValue {
    let metadata = checkpoint.metadata, key = { (name: String) in "\(form.architecture).\(name)" }
    var config: OrderedDictionary<String, JSONValue> = [
      "architectures": .array([.string(form.className ?? "")]), "model_type": .string(form.modelTypes[0]),
      "torch_dtype": "float32",
    ]
    for (keys, name, kind) in sizes {
      let spelling = keys.first(where: form.spellings.contains) ?? keys[0]
      switch kind {
      case .count: if let value = try metadata.int(key(name)) { config[spelling] = .int(value) }
      case .number: if let value = try metadata.float(key(name)) { config[spelling] = .double(shortest(value)) }
      }
    }
    if config["vocab_size"] == nil { config["vocab_size"] = .int(try checkpoint.tensor(required: "token_embd.weight").rowCount) }
    if let epsilon = config["rms_norm_eps"] { config["layer_norm_epsilon"] = config["layer_norm_epsilon"] ?? epsilon }
    config["tie_word_embeddings"] = .bool(!checkpoint.contains("output.weight"))
    if let activation = try metadata.string(key("hidden_act")) { config["hidden_act"] = .string(activation) }
    if let scale = try metadata.float(key("attention.scale")) {
      config["query_pre_attn_scalar"] = .double((1 / (scale * scale) * 1000).rounded() / 1000)
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
    if let pattern = try metadata.bools(key("attention.sliding_window_pattern")) {
      config["layer_types"] = .array(pattern.map { .string($0 ? "sliding_attention" : "full_attention") })
      config["max_window_layers"] = .int(pattern.firstIndex(of: true) ?? pattern.count)
    }
    config["use_sliding_window"] = .bool(try metadata.int(key("attention.sliding_window")) ?? 0 > 0)
    if let layers = try metadata.bools(key("rope.layers")) {
      config["no_rope_layers"] = .array(layers.map { .int($0 ? 1 : 0) })
    }
    if let scaling = try ropeScaling(of: checkpoint, key) { config["rope_scaling"] = scaling }
    // What biases there are, some classes want to be told.
    config["attention_bias"] = .bool(checkpoint.contains("blk.0.attn_q.bias") || checkpoint.contains("blk.0.attn_qkv.bias"))
    config["mlp_bias"] = .bool(checkpoint.contains("blk.0.ffn_up.bias"))
    config["use_qkv_bias"] = config["attention_bias"]
    config["qk_layernorm"] = .bool(checkpoint.contains("blk.0.attn_q_norm.weight"))
    for (name, id) in [("bos_token_id", "bos"), ("eos_token_id", "eos"), ("pad_token_id", "padding")] {
      if let id = try metadata.int("tokenizer.ggml.\(id)_token_id") { config[name] = .int(id) }
    }
    return .object(config)
  }

  /// 9.99999974e-06, which is the nearest `f32` to 1e-5, → 1e-5
  private static func shortest(_ value: Double) -> Double { Double(Float(value).description) ?? value }

  private static func ropeScaling(
    of checkpoint: any Checkpoint, _ key: (String) -> String
  ) throws -> JSONValue? {
    let metadata = checkpoint.metadata
    if let tensor = try checkpoint.tensor("rope_freqs.weight") {
      // The factors from which Llama 3's divisors were made: high frequencies have 1, low ones the factor itself.
      let divisors = try tensor.floats(path: checkpoint.path), factor = divisors.max() ?? 1
      for original in [8192, 4096, 2048, 1024, 512, 256, 128, 64, 32] {
        let scaling: JSONValue = [
          "rope_type": "llama3", "factor": .double(shortest(Double(factor))), "low_freq_factor": 1.0,
          "high_freq_factor": 4.0, "original_max_position_embeddings": .int(original),
        ]
        let base = try metadata.float(key("rope.freq_base")) ?? 10_000
        let made = try llama3Divisors(JSONField(scaling), width: divisors.count * 2, base: base, factor: Double(factor), original: original)
        if zip(made, divisors).allSatisfy({ abs($0 - $1) <= 1e-4 * $1 }) { return scaling }
      }
      throw CheckpointError(
        path: checkpoint.path, field: "tensor rope_freqs.weight", message: "holds no divisors that config.json can describe")
    }
    guard let type = try metadata.string(key("rope.scaling.type")), type != "none" else { return nil }
    var scaling: OrderedDictionary<String, JSONValue> = ["rope_type": .string(type)]
    if let factor = try metadata.float(key("rope.scaling.factor")) { scaling["factor"] = .double(shortest(factor)) }
    if let length = try metadata.int(key("rope.scaling.original_context_length")) {
      scaling["original_max_position_embeddings"] = .int(length)
    }
    return .object(scaling)
  }
}
