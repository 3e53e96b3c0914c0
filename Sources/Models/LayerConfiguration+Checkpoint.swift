// What a checkpoint says of its layers: sizes by its metadata, parts by the tensors that it has.
import Checkpoints
import Layers
import Tensors
import Tokenization

extension LayerConfiguration {
  /// Reads what families share. Whether there are biases, gates, and which norms, the first layer's tensors tell.
  /// - Parameters:
  ///   - architecture: GGUF's name of the family, with which its keys begin.
  ///   - block: the beginning of the first layer's tensor names.
  /// - Throws: `CheckpointError` that names the key which is missing, out of range, or contradicts another.
  init(_ checkpoint: any Checkpoint, architecture: String, block: String = "blk.0.") throws {
    let metadata = checkpoint.metadata, key = { (name: String) in "\(architecture).\(name)" }
    let width = try metadata.int(required: key("embedding_length"), in: 1...1 << 20)
    let heads = try metadata.int(required: key("attention.head_count"), in: 1...1 << 12)
    let keyValueHeads = try metadata.int(key("attention.head_count_kv"), in: 1...1 << 12) ?? heads
    guard heads % keyValueHeads == 0 else {
      throw metadata.error(
        key("attention.head_count_kv"), "\(keyValueHeads) key-value heads cannot be shared by \(heads) heads")
    }
    let headWidth: Int
    if let given = try metadata.int(key("attention.key_length"), in: 1...1 << 12) {
      headWidth = given
    } else {
      guard width % heads == 0 else {
        throw metadata.error(key("attention.head_count"), "\(heads) heads do not divide the width \(width)")
      }
      headWidth = width / heads
    }
    guard headWidth % 16 == 0 else {
      throw metadata.error(key("attention.key_length"), "a head width of \(headWidth) is no multiple of 16")
    }
    if let values = try metadata.int(key("attention.value_length")), values != headWidth {
      throw metadata.error(key("attention.value_length"), "\(values), where keys have \(headWidth): not supported")
    }
    // A gate may lie in one tensor with the other map.
    let up = try checkpoint.tensor(block + "ffn_up.weight")?.rowCount
    let hiddenWidth: Int
    if let given = try metadata.int(key("feed_forward_length"), in: 1...1 << 24) {
      hiddenWidth = given
    } else {
      hiddenWidth = up ?? 4 * width
    }
    let root = key("attention.layer_norm_rms_epsilon"), deviation = key("attention.layer_norm_epsilon")
    let epsilonKey = metadata[root] == nil && metadata[deviation] != nil ? deviation : root
    let epsilon = Float(try metadata.float(required: epsilonKey))
    guard epsilon >= 0, epsilon < 1 else { throw metadata.error(epsilonKey, "\(epsilon) is no epsilon") }
    self.init(
      width: width, heads: heads, keyValueHeads: keyValueHeads, headWidth: headWidth, hiddenWidth: hiddenWidth,
      normEpsilon: epsilon)
    normKind = epsilonKey == root ? .rms : .layer

    activation = try checkpoint.activation(architecture) ?? .silu
    let has = { (name: String) in checkpoint.contains(block + name) }
    hasAttentionBias = has("attn_q.bias") || has("attn_qkv.bias")
    hasAttentionOutputBias = has("attn_output.bias") || has("attn_o.bias")
    hasFeedForwardBias = has("ffn_up.bias")
    isGated = has("ffn_gate.weight") || up == 2 * hiddenWidth || has("ffn_gate_inp.weight")
    normHasBias = has("attn_norm.bias") || has("attn_output_norm.bias") || checkpoint.contains("output_norm.bias")
    if has("attn_output_norm.weight") {
      normPlacement = .afterSum
    } else if has("post_attention_norm.weight") {
      normPlacement = has("attn_norm.weight") ? .around : .after
    }
    if let norm = try checkpoint.tensor(block + "attn_q_norm.weight") {
      headNorm = norm.elementCount == headWidth ? .shared : norm.rowLength == headWidth ? .separate : .whole
    }
    isParallel = try metadata.bool(key("use_parallel_residual")) ?? false
    hasParallelNorm = has("ffn_norm.weight") || has("attn_norm_2.weight")
    if let scale = try metadata.positive(key("attention.scale")) { attentionScale = Float(scale) }
    attentionSoftCap = try metadata.positive(key("attn_logit_softcapping")).map { Float($0) }
    if let count = try metadata.int(key("expert_count"), in: 0...1 << 12), count > 0 {
      let used = try metadata.int(required: key("expert_used_count"), in: 1...count)
      experts = ExpertsConfiguration(
        count: count, used: used,
        hiddenWidth: try metadata.int(key("expert_feed_forward_length"), in: 1...1 << 24) ?? hiddenWidth,
        normalizesWeights: try metadata.bool(key("expert_weights_norm")) ?? true)
    }
  }
}

extension Checkpoint {
  /// The activation that a Hugging Face folder names; GGUF leaves it to the family.
  func activation(_ architecture: String, key: String = "hidden_act") throws -> Activation? {
    let key = "\(architecture).\(key)"
    guard let name = try metadata.string(key) else { return nil }
    switch name {
    case "silu", "swish": return .silu
    case "gelu": return .gelu
    case "gelu_new", "gelu_pytorch_tanh", "gelu_fast", "gelu_python_tanh": return .geluTanh
    case "relu": return .relu
    case "tanh": return .tanh
    default:
      throw metadata.error(key, "\"\(name.printable)\" is not one of silu, gelu, gelu_new, gelu_pytorch_tanh, relu, tanh")
    }
  }

  /// A count of layers is believed when the checkpoint has the last of them.
  func check(layers: Int, key: String, block: String = "blk.") throws {
    let last = "\(block)\(layers - 1)."
    guard tensorNames.contains(where: { $0.hasPrefix(last) }) else {
      throw metadata.error(key, "\(layers) layers, where no tensor's name begins with \(last)")
    }
  }

  /// How the layers of a family encode positions: a rotation, and which of them see a window.
  func positions(
    architecture: String, layers: Int, headWidth: Int, contextLength: Int, pairing: Rotation.Pairing
  ) throws -> [LayerPositions] {
    let key = { (name: String) in "\(architecture).\(name)" }
    let turning = try metadata.int(key("rope.dimension_count"), in: 2...headWidth) ?? headWidth
    guard turning % 2 == 0 else { throw metadata.error(key("rope.dimension_count"), "\(turning) columns are no pairs") }
    let rotation = try RotationScaling(self, architecture: architecture, pairs: turning / 2).rotation(
      base: try metadata.positive(key("rope.freq_base")) ?? 10_000, width: turning, pairing: pairing,
      contextLength: contextLength)
    let window = try metadata.int(key("attention.sliding_window"), in: 0...1 << 30).flatMap { $0 > 0 ? $0 : nil }
    return (0..<layers).map { _ in LayerPositions(rotation: rotation, window: window) }
  }
}
