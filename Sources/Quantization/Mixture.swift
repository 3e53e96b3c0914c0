// Which tensor gets which format: the choices of llama.cpp (llama-quant.cpp), so that a name means the same everywhere.
import Checkpoints
import Tensors

/// A tensor's format in the file that is made.
public struct TensorPlan: Sendable {
  public let tensor: QuantizationTensor
  public let dataType: DataType
  /// The format that was wanted, where the rows are too ragged for it.
  public let wanted: DataType?
}

/// A format for tensors whose name matches.
public struct TensorOverride: Sendable {
  public let pattern: String
  public let dataType: DataType
  private let matches: @Sendable (String) -> Bool

  /// - Parameter pattern: a regular expression, sought anywhere in a tensor's name.
  /// - Throws: ``QuantizationError`` when it is none.
  public init(pattern: String, dataType: DataType) throws(QuantizationError) {
    self.pattern = pattern
    self.dataType = dataType
    do { _ = try Regex(pattern) } catch {
      throw QuantizationError("“\(pattern)” is no regular expression: \(error)")
    }
    // A `Regex` is not sendable; the pattern is, and names are few.
    matches = { name in (try? Regex(pattern)).map { name.contains($0) } ?? false }
  }

  func matches(_ name: String) -> Bool { matches(name) }
}

/// What cannot be quantized as asked.
public struct QuantizationError: Error, CustomStringConvertible, Equatable {
  public let description: String

  init(_ description: String) {
    self.description = description
  }
}

/// Chooses formats for all tensors of one model.
struct Mixture {
  let type: QuantizationType
  let overrides: [TensorOverride]
  let outputType, embeddingType: DataType?
  let hasImportance: Bool
  private let layers, queriesPerKey, experts: Int

  init(_ options: QuantizationOptions, _ metadata: GGUFMetadata) throws {
    type = options.type
    overrides = options.overrides
    outputType = options.outputType
    embeddingType = options.embeddingType
    hasImportance = options.importance != nil
    let architecture = try metadata.string("general.architecture") ?? ""
    func number(_ key: String) -> Int? { metadata["\(architecture).\(key)"]?.integer }
    layers = number("block_count") ?? 0
    let heads = number("attention.head_count") ?? 1
    queriesPerKey = heads / max(1, number("attention.head_count_kv") ?? heads)
    experts = number("expert_count") ?? 0
  }

  func plans(_ tensors: [QuantizationTensor]) throws(QuantizationError) -> [TensorPlan] {
    for override in overrides where !tensors.contains(where: { $0.isMatrix && override.matches($0.name) }) {
      throw QuantizationError("no matrix has a name in which “\(override.pattern)” occurs")
    }
    let isTied = !tensors.contains { Role($0.name) == .output }
    let valueCount = tensors.count { Role($0.name) == .value }
    // The n-th of its role: layers may lack a part, and split files may list them in any order.
    var ranks: [String: Int] = [:]
    for role in [Role.value, .down] {
      let names = tensors.map(\.name).filter { Role($0) == role }.sorted { Self.layer($0) < Self.layer($1) }
      for (rank, name) in names.enumerated() { ranks[name] = role == .down && experts > 1 ? Self.layer(name) : rank }
    }
    return tensors.map { tensor in
      guard tensor.isMatrix else {
        return TensorPlan(tensor: tensor, dataType: tensor.shape.count < 2 ? .f32 : tensor.dataType, wanted: nil)
      }
      let wanted = choose(tensor, rank: ranks[tensor.name] ?? 0, valueCount: valueCount, isTied: isTied)
      var chosen = wanted
      while tensor.columns % chosen.elementsPerBlock != 0, let next = chosen.fallback { chosen = next }
      return TensorPlan(tensor: tensor, dataType: chosen, wanted: chosen == wanted ? nil : wanted)
    }
  }

  private static func layer(_ name: String) -> Int {
    let parts = name.split(separator: ".")
    return parts.count > 1 && parts[0] == "blk" ? Int(parts[1]) ?? 0 : 0
  }

  private func choose(_ tensor: QuantizationTensor, rank: Int, valueCount: Int, isTied: Bool) -> DataType {
    if let override = overrides.first(where: { $0.matches(tensor.name) }) { return override.dataType }
    let role = Role(tensor.name), base = type.dataType
    if role == .embedding, let embeddingType { return embeddingType }
    if role == .output || (role == .embedding && isTied) {
      if let outputType { return outputType }
      if !base.isQuantized || base == .q8_0 { return base }
      return tensor.columns % base.elementsPerBlock == 0 ? .q6_k : .q8_0
    }
    switch role {
    case .value: return value(rank, of: valueCount)
    case .key: return experts == 8 && base.isQuantized ? .q8_0 : base
    case .down: return down(rank)
    case .attentionOutput: return attentionOutput
    case .embedding, .output, .other: return base
    }
  }

  /// The first and last eighth of the layers, and every third between.
  private static func isSensitive(_ layer: Int, of layers: Int) -> Bool {
    layer < layers / 8 || layer >= 7 * layers / 8 || (layer - layers / 8) % 3 == 2
  }

  private func value(_ rank: Int, of count: Int) -> DataType {
    guard type.dataType.isQuantized else { return type.dataType }
    if experts == 8 { return .q8_0 }
    let isShared = queriesPerKey >= 4
    let chosen: DataType =
      switch type {
      case .q2_k: isShared ? .q4_k : .q3_k
      case .q3_k_m: rank < 2 ? .q5_k : .q4_k
      case .q4_k_s where rank < 4: .q5_k
      case .iq4_nl where isShared, .iq4_xs where isShared: .q5_k
      case .q4_k_m where Self.isSensitive(rank, of: count), .q5_k_m where Self.isSensitive(rank, of: count): .q6_k
      default: type.dataType
      }
    // Models of 70 billion share values among so many heads that better ones cost next to nothing.
    return layers == 80 && (chosen == .q3_k || chosen == .q4_k) ? .q5_k : chosen
  }

  private func down(_ rank: Int) -> DataType {
    let isEarly = rank < layers / 8
    return switch type {
    case .q2_k: .q3_k
    case .q3_k_m: rank < layers / 16 ? .q5_k : .q4_k
    case .q4_k_m where Self.isSensitive(rank, of: layers), .q5_k_m where Self.isSensitive(rank, of: layers): .q6_k
    case .q4_k_s where isEarly: .q5_k
    case .iq4_nl where isEarly && !hasImportance, .iq4_xs where isEarly && !hasImportance: .q5_k
    case .q4_0 where isEarly && hasImportance: .q4_1
    case .q5_0 where isEarly && hasImportance: .q5_1
    default: type.dataType
    }
  }

  private var attentionOutput: DataType {
    if experts == 8 {
      switch type {
      case .q2_k, .q3_k_m, .q4_k_s, .q4_k_m, .iq4_nl, .iq4_xs: return .q5_k
      default: return type.dataType
      }
    }
    return switch type {
    case .q2_k: .q3_k
    case .q3_k_m: .q4_k
    default: type.dataType
    }
  }
}

/// What a tensor does in its model, as far as it matters for how many bits it needs.
private enum Role {
  case embedding, output, value, key, down, attentionOutput, other

  init(_ name: String) {
    func has(_ part: String) -> Bool { name.contains(part) }
    self =
      switch name {
      case "output.weight": .output
      case "token_embd.weight", "per_layer_token_embd.weight": .embedding
      case _ where has("attn_v.weight") || has("attn_qkv.weight") || has("attn_kv_b.weight"): .value
      case _ where has("attn_k.weight"): .key
      case _ where has("ffn_down"): .down
      case _ where has("attn_output.weight"): .attentionOutput
      default: .other
      }
  }
}

extension QuantizationTensor {
  /// Parts that are small, or that are no factors of a product: they keep their format.
  private static let kept = [
    "_norm.weight", "ffn_gate_inp.weight", "altup", "laurel", "per_layer_model_proj", "ssm_conv1d", "shortconv.conv",
    "position_embd", "token_types", "attn_rel_b.weight", "time_mix_first", "time_mix_w", "time_mix_v", "time_mix_a",
    "time_mix_g", "time_mix_decay_w", "time_mix_lerp_fused",
  ]

  /// Whether it is quantized at all.
  var isMatrix: Bool {
    shape.count >= 2 && shape.dropFirst().contains { $0 > 1 } && name.hasSuffix("weight")
      && !Self.kept.contains { name.contains($0) }
  }
}
