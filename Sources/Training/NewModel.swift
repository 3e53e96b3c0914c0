// A model that has learnt nothing yet: sizes become a checkpoint whose numbers are drawn by a seed, so that it is loaded
// and written like any other.
import Checkpoints
import Foundation
import Randomness
import Tensors

/// The sizes of a model that is to be pretrained.
public struct ModelSizes: Sendable, Equatable {
  public enum Family: String, Sendable, CaseIterable {
    /// Decoder (Touvron et al. 2023).
    case llama
    /// Decoder (Radford et al. 2019).
    case gpt2
    /// Encoder (Devlin et al. 2019).
    case bert
    /// Encoder–decoder (Raffel et al. 2020; gated, as its version 1.1).
    case t5
  }

  public var family: Family
  public var vocabulary: Int
  public var contextLength: Int
  /// Numbers in a token's vector.
  public var width: Int
  public var layers: Int
  public var heads: Int
  public var keyValueHeads: Int
  /// Numbers between the two maps of a feed-forward layer.
  public var hiddenWidth: Int
  /// Whether the output head is the embedding matrix.
  public var isTied: Bool

  public init(
    family: Family, vocabulary: Int, contextLength: Int, width: Int, layers: Int, heads: Int,
    keyValueHeads: Int? = nil, hiddenWidth: Int? = nil, isTied: Bool = true
  ) {
    self.family = family
    self.vocabulary = vocabulary
    self.contextLength = contextLength
    self.width = width
    self.layers = layers
    self.heads = heads
    self.keyValueHeads = keyValueHeads ?? heads
    // Gated layers have three maps, so two thirds of the width that others have.
    let isGated = family == .llama || family == .t5
    self.hiddenWidth = hiddenWidth ?? (isGated ? (width * 8 / 3 + 31) / 32 * 32 : width * 4)
    self.isTied = isTied
  }

  public var headWidth: Int { heads > 0 ? width / heads : 0 }

  /// - Throws: ``TrainingError`` that names the size which cannot be.
  public func check() throws(TrainingError) {
    for (name, value, limit) in [
      ("vocabulary", vocabulary, 1 << 24), ("contextLength", contextLength, 1 << 24), ("width", width, 1 << 16),
      ("layers", layers, 1 << 10), ("heads", heads, 1 << 10), ("keyValueHeads", keyValueHeads, 1 << 10),
      ("hiddenWidth", hiddenWidth, 1 << 20),
    ] where !(1...limit).contains(value) {
      throw TrainingError(field: "model.\(name)", message: "\(value) is not in 1 ... \(limit)")
    }
    guard width % heads == 0, headWidth % 16 == 0 else {
      throw TrainingError(
        field: "model.heads", message: "\(heads) heads of a width of \(width): a head's share must be a multiple of 16")
    }
    guard heads % keyValueHeads == 0 else {
      throw TrainingError(field: "model.keyValueHeads", message: "\(keyValueHeads) cannot be shared by \(heads) heads")
    }
    guard keyValueHeads == heads || family == .llama else {
      throw TrainingError(field: "model.keyValueHeads", message: "\(family.rawValue) has as many as it has heads")
    }
  }

  /// Metadata and tensors of a model of these sizes, with numbers that `seed` decides: normal with a deviation of 0.02,
  /// for what is added to the residual stream smaller with the depth (Radford et al. 2019); T5's as its authors draw them.
  /// - Throws: ``TrainingError`` for sizes that cannot be.
  public func checkpoint(seed: UInt64) throws(TrainingError) -> any Checkpoint {
    try check()
    var made = RandomCheckpoint(path: "a new \(family.rawValue) model", architecture: family.rawValue, seed: seed)
    made.set("block_count", layers)
    made.set("context_length", contextLength)
    made.set("embedding_length", width)
    made.set("feed_forward_length", hiddenWidth)
    made.set("attention.head_count", heads)
    switch family {
    case .llama: describeLlama(&made)
    case .gpt2: describeGPT2(&made)
    case .bert: describeBERT(&made)
    case .t5: describeT5(&made)
    }
    return made
  }

  /// The deviation of maps whose results are added up over layers.
  private var residual: Double { 0.02 / Double(2 * layers).squareRoot() }

  private func describeLlama(_ made: inout RandomCheckpoint) {
    made.set("attention.head_count_kv", keyValueHeads)
    made.set("attention.layer_norm_rms_epsilon", .float32(1e-5))
    made.set("rope.freq_base", .float32(10_000))
    made.set("rope.dimension_count", headWidth)
    made.set("vocab_size", vocabulary)
    made.matrix("token_embd", vocabulary, width)
    for layer in 0..<layers {
      let block = "blk.\(layer)."
      made.norm(block + "attn_norm", width)
      made.matrix(block + "attn_q", width, width)
      made.matrix(block + "attn_k", keyValueHeads * headWidth, width)
      made.matrix(block + "attn_v", keyValueHeads * headWidth, width)
      made.matrix(block + "attn_output", width, width, deviation: residual)
      made.norm(block + "ffn_norm", width)
      made.matrix(block + "ffn_gate", hiddenWidth, width)
      made.matrix(block + "ffn_up", hiddenWidth, width)
      made.matrix(block + "ffn_down", width, hiddenWidth, deviation: residual)
    }
    made.norm("output_norm", width)
    if !isTied { made.matrix("output", vocabulary, width) }
  }

  private func describeGPT2(_ made: inout RandomCheckpoint) {
    made.set("attention.layer_norm_epsilon", .float32(1e-5))
    made.matrix("token_embd", vocabulary, width)
    made.matrix("position_embd", contextLength, width)
    for layer in 0..<layers {
      let block = "blk.\(layer)."
      made.norm(block + "attn_norm", width, hasBias: true)
      made.matrix(block + "attn_qkv", 3 * width, width, hasBias: true)
      made.matrix(block + "attn_output", width, width, deviation: residual, hasBias: true)
      made.norm(block + "ffn_norm", width, hasBias: true)
      made.matrix(block + "ffn_up", hiddenWidth, width, hasBias: true)
      made.matrix(block + "ffn_down", width, hiddenWidth, deviation: residual, hasBias: true)
    }
    made.norm("output_norm", width, hasBias: true)
    if !isTied { made.matrix("output", vocabulary, width) }
  }

  private func describeBERT(_ made: inout RandomCheckpoint) {
    made.set("attention.layer_norm_epsilon", .float32(1e-12))
    made.set("attention.causal", .bool(false))
    made.set("pooling_type", 1)
    made.matrix("token_embd", vocabulary, width)
    made.matrix("position_embd", contextLength, width)
    made.matrix("token_types", 2, width)
    made.norm("token_embd_norm", width, hasBias: true)
    for layer in 0..<layers {
      let block = "blk.\(layer)."
      for name in ["attn_q", "attn_k", "attn_v", "attn_output"] { made.matrix(block + name, width, width, hasBias: true) }
      made.norm(block + "attn_output_norm", width, hasBias: true)
      made.matrix(block + "ffn_up", hiddenWidth, width, hasBias: true)
      made.matrix(block + "ffn_down", width, hiddenWidth, hasBias: true)
      made.norm(block + "layer_output_norm", width, hasBias: true)
    }
    made.matrix("mlm.dense", width, width, hasBias: true)
    made.norm("mlm.norm", width, hasBias: true)
    if !isTied { made.matrix("output", vocabulary, width) }
    made.vector("output.bias", vocabulary, 0)
  }

  private func describeT5(_ made: inout RandomCheckpoint) {
    made.set("attention.head_count_kv", heads)
    made.set("attention.key_length", headWidth)
    made.set("attention.value_length", headWidth)
    made.set("attention.layer_norm_rms_epsilon", .float32(1e-6))
    made.set("attention.relative_buckets_count", 32)
    made.set("decoder_start_token_id", 0)
    let (inner, outer) = (Double(width), Double(hiddenWidth))
    made.matrix("token_embd", vocabulary, width, deviation: 1)
    for (side, crosses) in [("enc", false), ("dec", true)] {
      for layer in 0..<layers {
        let block = "\(side).blk.\(layer)."
        for kind in crosses ? ["attn", "cross_attn"] : ["attn"] {
          made.norm(block + kind + "_norm", width)
          made.matrix(block + kind + "_q", width, width, deviation: 1 / (inner * Double(headWidth)).squareRoot())
          for part in ["_k", "_v", "_o"] { made.matrix(block + kind + part, width, width, deviation: 1 / inner.squareRoot()) }
        }
        if layer == 0 { made.matrix(block + "attn_rel_b", 32, heads, deviation: 1 / inner.squareRoot()) }
        made.norm(block + "ffn_norm", width)
        made.matrix(block + "ffn_gate", hiddenWidth, width, deviation: 1 / inner.squareRoot())
        made.matrix(block + "ffn_up", hiddenWidth, width, deviation: 1 / inner.squareRoot())
        made.matrix(block + "ffn_down", width, hiddenWidth, deviation: 1 / outer.squareRoot())
      }
      made.norm(side + ".output_norm", width)
    }
    if !isTied { made.matrix("output", vocabulary, width, deviation: 1 / inner.squareRoot()) }
  }
}

/// Tensors of which only sizes and deviations are kept; their numbers are drawn whenever they are asked for.
private struct RandomCheckpoint: Checkpoint {
  private struct Entry {
    var shape: [Int]
    var mean: Float
    var deviation: Double
  }

  let path: String
  private let architecture: String
  private let seed: UInt64
  private(set) var metadata: GGUFMetadata
  private(set) var tensorNames: [String] = []
  private var entries: [String: Entry] = [:]

  init(path: String, architecture: String, seed: UInt64) {
    self.path = path
    self.architecture = architecture
    self.seed = seed
    metadata = GGUFMetadata(path: path)
    metadata.set("general.architecture", .string(architecture))
    metadata.set("general.name", .string("malmoi"))
  }

  mutating func set(_ key: String, _ value: GGUFValue) { metadata.set("\(architecture).\(key)", value) }

  mutating func set(_ key: String, _ value: Int) { set(key, .uint32(UInt32(value))) }

  private mutating func add(_ name: String, _ shape: [Int], mean: Float = 0, deviation: Double = 0) {
    tensorNames.append(name)
    entries[name] = Entry(shape: shape, mean: mean, deviation: deviation)
  }

  mutating func matrix(_ name: String, _ rows: Int, _ columns: Int, deviation: Double = 0.02, hasBias: Bool = false) {
    add(name + ".weight", [columns, rows], deviation: deviation)
    if hasBias { add(name + ".bias", [rows]) }
  }

  mutating func norm(_ name: String, _ width: Int, hasBias: Bool = false) {
    add(name + ".weight", [width], mean: 1)
    if hasBias { add(name + ".bias", [width]) }
  }

  mutating func vector(_ name: String, _ count: Int, _ value: Float) { add(name, [count], mean: value) }

  var sizes: [TensorSize] {
    entries.values.map {
      let count = $0.shape.reduce(1, *)
      return TensorSize(dataType: .f32, elementCount: count, byteCount: count * 4)
    }
  }

  var byteCount: Int { sizes.reduce(0) { $0 + $1.byteCount } }

  func contains(_ name: String) -> Bool { entries[name] != nil }

  func partCount(of name: String) -> Int? { entries[name].map { _ in 1 } }

  func part(_ index: Int, of name: String) throws(CheckpointError) -> GGUFTensor? { index == 0 ? try tensor(name) : nil }

  func tensor(_ name: String) throws(CheckpointError) -> GGUFTensor? {
    guard let entry = entries[name] else { return nil }
    var values = [Float](repeating: entry.mean, count: entry.shape.reduce(1, *))
    if entry.deviation > 0 {
      var random = SeededGenerator(seed: seed, stream: SeededGenerator.stream(of: name), index: 0)
      for index in values.indices { values[index] = Float(random.normal() * entry.deviation) }
    }
    return GGUFTensor(name: name, dataType: .f32, shape: entry.shape, bytes: values.withUnsafeBytes { Array($0) })
  }
}

extension SeededGenerator {
  /// A number of the normal distribution (Box and Muller 1958).
  mutating func normal() -> Double {
    let radius = (-2 * log(1 - uniform())).squareRoot()
    return radius * cos(2 * .pi * uniform())
  }
}
