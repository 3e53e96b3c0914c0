// From config.json to GGUF's keys. Families spell the same sizes in many ways; one table knows them all.
import Foundation
import JSON

/// A `config.json` on its way to metadata.
public struct ConfigurationTranslation {
  public let config: JSONField
  public let architecture: String
  public var metadata: GGUFMetadata
  /// By a tensor's GGUF name without its place, such as `attn_q`.
  public var transforms: [String: TensorTransform] = [:]
  /// Beginnings of GGUF names that this model's tensors have in place of those in the table.
  public var renames: [(from: String, to: String)] = []
  /// Tensors that GGUF has and the folder has not.
  public var additions: [(name: String, values: [Float])] = []

  init(_ config: JSONField, architecture: String, path: String) throws {
    self.config = config
    self.architecture = architecture
    metadata = GGUFMetadata(path: path)
    metadata.set("general.architecture", .string(architecture))
    for (keys, key, kind) in Self.sizes {
      guard let field = keys.compactMap({ config[$0] }).first else { continue }
      switch kind {
      case .count: set(key, try field.int(in: 0...1 << 40))
      case .number: set(key, try field.double())
      }
    }
    for key in ["hidden_act", "hidden_activation", "activation_function", "activation", "dense_act_fn"] {
      if let activation = config[key] { set("hidden_act", try activation.string()) }
    }
    try setRotation()
  }

  enum Kind { case count, number }

  /// Spellings of one size, GGUF's key for it.
  static let sizes: [(keys: [String], key: String, kind: Kind)] = [
    (["vocab_size"], "vocab_size", .count),
    (["hidden_size", "n_embd", "d_model", "dim"], "embedding_length", .count),
    (["num_hidden_layers", "n_layer", "num_layers", "n_layers", "encoder_layers"], "block_count", .count),
    (["num_attention_heads", "n_head", "num_heads", "n_heads", "encoder_attention_heads"], "attention.head_count", .count),
    (["num_key_value_heads"], "attention.head_count_kv", .count),
    (["head_dim", "d_kv"], "attention.key_length", .count),
    (["head_dim", "d_kv"], "attention.value_length", .count),
    (["intermediate_size", "n_inner", "d_ff", "hidden_dim", "ffn_hidden_size", "encoder_ffn_dim"],
      "feed_forward_length", .count),
    (["max_position_embeddings", "n_positions"], "context_length", .count),
    (["rms_norm_eps"], "attention.layer_norm_rms_epsilon", .number),
    (["layer_norm_eps", "layer_norm_epsilon", "norm_eps"], "attention.layer_norm_epsilon", .number),
    (["rope_theta", "rotary_emb_base", "global_rope_theta"], "rope.freq_base", .number),
    (["rope_local_base_freq", "local_rope_theta"], "rope.freq_base_swa", .number),
    (["rotary_dim"], "rope.dimension_count", .count),
    (["sliding_window", "local_attention"], "attention.sliding_window", .count),
    (["num_local_experts", "num_experts"], "expert_count", .count),
    (["num_experts_per_tok"], "expert_used_count", .count),
    (["moe_intermediate_size"], "expert_feed_forward_length", .count),
    (["attn_logit_softcapping"], "attn_logit_softcapping", .number),
    (["final_logit_softcapping"], "final_logit_softcapping", .number),
    (["type_vocab_size"], "token_type_count", .count),
    (["decoder_start_token_id"], "decoder_start_token_id", .count),
  ]

  public func key(_ name: String) -> String { "\(architecture).\(name)" }

  public mutating func set(_ name: String, _ value: Int) {
    metadata.set(key(name), UInt32(exactly: value).map { .uint32($0) } ?? .uint64(UInt64(max(0, value))))
  }

  public mutating func set(_ name: String, _ value: Double) { metadata.set(key(name), .float32(Float(value))) }

  public mutating func set(_ name: String, _ value: Bool) { metadata.set(key(name), .bool(value)) }

  public mutating func set(_ name: String, _ value: String) { metadata.set(key(name), .string(value)) }

  public mutating func set(_ name: String, _ values: [Bool]) { metadata.set(key(name), .array(GGUFArray(values))) }

  public func int(_ name: String, in range: ClosedRange<Int> = 0...1 << 30) throws -> Int? {
    try metadata.int(key(name), in: range)
  }

  /// Numbers of a query, key or value of one head.
  public func headWidth() throws -> Int {
    if let width = try int("attention.key_length", in: 1...1 << 12) { return width }
    let heads = try metadata.int(required: key("attention.head_count"), in: 1...1 << 12)
    return try metadata.int(required: key("embedding_length"), in: 1...1 << 20) / heads
  }

  public func layerCount() throws -> Int { try metadata.int(required: key("block_count"), in: 1...1 << 12) }

  /// A flag of `config.json`.
  public func flag(_ name: String, default otherwise: Bool) throws -> Bool { try config[name]?.bool() ?? otherwise }

  /// Which layers see a window, as `layer_types` says, or a period after whose every run one sees all.
  public mutating func setWindowPattern(period names: [String], default otherwise: Int?) throws {
    let layers = try layerCount()
    var pattern: [Bool]?
    if let types = config["layer_types"] {
      pattern = try types.strings().map { $0 == "sliding_attention" }
    } else if let period = try names.compactMap({ config[$0] }).first?.int(in: 0...1 << 12) ?? otherwise {
      pattern = (0..<layers).map { period > 0 && ($0 + 1) % period != 0 }
    }
    if let pattern { set("attention.sliding_window_pattern", pattern) }
  }

  // MARK: Rotation

  /// `rope_scaling` beside `rope_theta`, or since 2025 `rope_parameters` with both, which may be one for each kind of
  /// layer.
  private mutating func setRotation() throws {
    var parameters = config["rope_parameters"] ?? config["rope_scaling"]
    if let full = parameters?["full_attention"] {
      if let local = parameters?["sliding_attention"]?["rope_theta"] { set("rope.freq_base_swa", try local.double()) }
      parameters = full
    }
    for field in [config["rotary_pct"], config["partial_rotary_factor"], parameters?["partial_rotary_factor"]] {
      guard let field else { continue }
      let part = try field.double()
      guard part > 0, part <= 1 else { throw field.error("expected a share from 0 to 1, found \(part)") }
      set("rope.dimension_count", Int(part * Double(try headWidth())))
    }
    guard let parameters else { return }
    if let base = parameters["rope_theta"] { set("rope.freq_base", try base.double()) }
    guard let type = parameters["rope_type"] ?? parameters["type"] else { return }
    let factor = try parameters["factor"]?.double() ?? 1
    let original = try (parameters["original_max_position_embeddings"] ?? config["original_max_position_embeddings"])?
      .int(in: 1...1 << 30)
    switch try type.string() {
    case "default": break
    case "linear":
      set("rope.scaling.type", "linear")
      set("rope.scaling.factor", factor)
    case "yarn":
      set("rope.scaling.type", "yarn")
      set("rope.scaling.factor", factor)
      if let original { set("rope.scaling.original_context_length", original) }
      if let fast = parameters["beta_fast"] { set("rope.scaling.yarn_beta_fast", try fast.double()) }
      if let slow = parameters["beta_slow"] { set("rope.scaling.yarn_beta_slow", try slow.double()) }
      if let attention = try parameters["attention_factor"]?.double() {
        // GGUF's is a factor beside the one that follows from the scaling.
        set("rope.scaling.attn_factor", attention / (1 + 0.1 * log(max(1, factor))))
      }
    case "llama3": try addLlama3Divisors(parameters, factor: factor, original: original ?? 8192)
    case "longrope", "su": try addLongDivisors(parameters, original: original)
    case let other: throw type.error("“\(other)” is not one of default, linear, yarn, llama3, longrope")
    }
  }

  /// Llama 3: low frequencies are divided, high ones kept, those between in between.
  private mutating func addLlama3Divisors(_ parameters: JSONField, factor: Double, original: Int) throws {
    let width = try int("rope.dimension_count", in: 2...1 << 12) ?? headWidth(), base = try metadata.float(key("rope.freq_base")) ?? 10_000
    additions.append((
      "rope_freqs.weight",
      try Self.llama3Divisors(parameters, width: width, base: base, factor: factor, original: original)
    ))
  }

  static func llama3Divisors(
    _ parameters: JSONField, width: Int, base: Double, factor: Double, original: Int
  ) throws -> [Float] {
    let low = try parameters.required("low_freq_factor").double()
    let high = try parameters.required("high_freq_factor").double()
    guard high > low, factor > 0 else { throw parameters.error("expected high_freq_factor > low_freq_factor, factor > 0") }
    return (0..<width / 2).map { pair in
      let wave = 2 * Double.pi * pow(base, 2 * Double(pair) / Double(width))
      let share = (Double(original) / wave - low) / (high - low)
      return Float(share >= 1 ? 1 : share <= 0 ? factor : 1 / ((1 - share) / factor + share))
    }
  }

  /// LongRoPE (Ding et al. 2024): a divisor for each pair; those for long texts serve a model that reads them.
  private mutating func addLongDivisors(_ parameters: JSONField, original: Int?) throws {
    let context = try int("context_length") ?? 0
    for (name, key) in [("rope_factors_long.weight", "long_factor"), ("rope_factors_short.weight", "short_factor")] {
      additions.append((
        name, try parameters.required(key).array().map { (field) throws(JSONError) in Float(try field.double()) }))
    }
    guard let original else { return }
    set("rope.scaling.original_context_length", original)
    let scale = Double(context) / Double(original)
    let attention = try parameters["attention_factor"]?.double()
      ?? (scale <= 1 ? 1 : (1 + log(scale) / log(Double(original))).squareRoot())
    set("rope.scaling.attn_factor", attention)
  }
}
