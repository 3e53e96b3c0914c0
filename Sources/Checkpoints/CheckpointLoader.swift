// From a checkpoint's tensors to a model's parameters: the one place that knows how GGUF spells the parts of a layer.
import Layers
import Tensors

/// Fills a model's parameters from a checkpoint.
public final class CheckpointLoader: ModuleVisitor {
  private let checkpoint: any Checkpoint
  private let backend: any Backend

  public init(_ checkpoint: any Checkpoint, backend: any Backend) {
    self.checkpoint = checkpoint
    self.backend = backend
  }

  private static let names = [
    "embedding": "token_embd", "positionEmbedding": "position_embd", "typeEmbedding": "token_types",
    "embeddingNorm": "token_embd_norm", "norm": "output_norm", "head": "output",
    "maskHead.dense": "mlm.dense", "maskHead.norm": "mlm.norm", "maskHead": "output",
    "classifier.dense": "cls", "classifier.norm": "cls.norm", "classifier.output": "cls.output",
    "attentionNorm.before": "attn_norm", "attentionNorm.after": "post_attention_norm",
    "attentionNorm.afterSum": "attn_output_norm",
    "attention.query": "attn_q", "attention.key": "attn_k", "attention.value": "attn_v",
    "attention.output": "attn_output", "attention.queryNorm": "attn_q_norm", "attention.keyNorm": "attn_k_norm",
    "crossNorm.before": "cross_attn_norm", "crossNorm.afterSum": "cross_attn_output_norm",
    "crossAttention.query": "cross_attn_q", "crossAttention.key": "cross_attn_k",
    "crossAttention.value": "cross_attn_v", "crossAttention.output": "cross_attn_output",
    "relativeBias": "attn_rel_b",
    "feedForwardNorm.before": "ffn_norm", "feedForwardNorm.after": "post_ffw_norm",
    "feedForwardNorm.afterSum": "layer_output_norm",
    "feedForward.gate": "ffn_gate", "feedForward.up": "ffn_up", "feedForward.down": "ffn_down",
    "feedForward.router": "ffn_gate_inp", "feedForward.experts.gate": "ffn_gate_exps",
    "feedForward.experts.up": "ffn_up_exps", "feedForward.experts.down": "ffn_down_exps",
  ]

  /// Tensors that GGUF may keep as rows of a larger one: the rows' place there, counted in the part's own size.
  private static let fusions: [String: (whole: String, place: @Sendable (_ own: Int, _ all: Int) -> Int)] = [
    "attn_q": ("attn_qkv", { _, _ in 0 }),
    "attn_k": ("attn_qkv", { own, all in all - 2 * own }),
    "attn_v": ("attn_qkv", { own, all in all - own }),
    "ffn_gate": ("ffn_up", { _, _ in 0 }),
    // The second half, where the first is the gate.
    "ffn_up": ("ffn_up", { own, all in all - own }),
  ]

  /// Where a part of a model lies in a checkpoint.
  private struct Place {
    /// Before the part's own name, such as `blk.3.`.
    var prefix = ""
    var name: String
    var suffix = ".weight"
    /// Which of the experts that share a tensor.
    var expert: Int?

    var description: String { prefix + name + suffix }

    /// `layers.3.attention.query` → `blk.3.attn_q.weight`, `encoder.layers.3.…` → `enc.blk.3.…`
    init(_ path: ModulePath) {
      var parts = path.parts[...]
      if parts.last == "bias" {
        suffix = ".bias"
        parts.removeLast()
      }
      if let side = parts.first, side == "encoder" || side == "decoder" {
        prefix = side.prefix(3) + "."
        parts.removeFirst()
      }
      if parts.first == "layers", parts.count > 2 {
        prefix += "blk.\(parts[parts.startIndex + 1])."
        parts.removeFirst(2)
      }
      if let index = parts.firstIndex(of: "experts"), index + 1 < parts.endIndex {
        expert = Int(parts[index + 1])
        parts.remove(at: index + 1)
      }
      let local = parts.joined(separator: ".")
      name = CheckpointLoader.names[local] ?? local
      // GGUF shortens this one name in models of two halves.
      if prefix.first == "e" || prefix.first == "d", name.hasSuffix("attn_output") { name.removeLast(5) }
    }
  }

  /// `layers.3.attention.query` → `blk.3.attn_q.weight`
  package static func name(of path: ModulePath) -> String { Place(path).description }

  /// - Throws: ``CheckpointError`` when the tensor is missing or has another shape than the model.
  public func visit(_ parameter: inout Tensor, role: ParameterRole, at path: ModulePath) throws {
    // What was added to a model is in no checkpoint.
    guard role != .adapter else { return }
    let expected = parameter.shape, tensor = try Self.find(path, expected, in: checkpoint).tensor
    guard tensor.elementCount == expected.count, tensor.rowLength == expected.columns else {
      let found = tensor.shape.reversed().map(String.init).joined(separator: ", ")
      throw CheckpointError(
        path: checkpoint.path, field: "tensor \(tensor.name)",
        message: "has the shape [\(found)], where the model's sizes ask for \(expected)")
    }
    let loaded = Tensor(tensor, shape: expected, backend: backend)
    switch role {
    case .matrix: parameter = try backend.prepare(loaded)
    case .lookup: parameter = loaded
    case .vector: parameter = try backend.floats(loaded.copied())
    case .adapter: break
    }
  }

  /// A part of a model in a checkpoint: a tensor, or some of the rows of one.
  package struct Location {
    /// The part alone; it has the name of the whole.
    package var tensor: GGUFTensor
    /// Its first row in the whole, or its first number in a vector.
    package var first = 0
    /// Which of the experts that share a tensor.
    package var expert: Int?
  }

  /// Where a parameter of this shape lies; its own shape may be another in a checkpoint that is at fault.
  /// - Throws: ``CheckpointError`` when the tensor is missing.
  package static func find(
    _ path: ModulePath, _ expected: Shape, in checkpoint: any Checkpoint
  ) throws(CheckpointError) -> Location {
    let place = Place(path)
    // Falcon's first norm is the feed-forward layer's where there is a second.
    let second = place.prefix + "attn_norm_2" + place.suffix
    if place.name.hasSuffix("_norm"), checkpoint.contains(second) {
      if place.name == "attn_norm" { return Location(tensor: try checkpoint.tensor(required: second)) }
      if place.name == "ffn_norm" {
        return Location(tensor: try checkpoint.tensor(required: place.prefix + "attn_norm" + place.suffix))
      }
    }
    // A vector is cut into numbers, a matrix into rows.
    let own = expected.rank == 1 ? expected.columns : expected.rows
    if let expert = place.expert, let tensor = try checkpoint.part(expert, of: place.description) {
      return Location(tensor: tensor, first: expert * own, expert: expert)
    }
    if let tensor = try checkpoint.tensor(place.description) {
      let rows = tensor.shape.count == 1 ? tensor.rowLength : tensor.rowCount
      let isFused = rows == 2 * own && !checkpoint.contains(place.prefix + "ffn_gate" + place.suffix)
      guard place.name == "ffn_up", isFused else { return Location(tensor: tensor) }
    }
    guard let fusion = fusions[place.name],
      let whole = try checkpoint.tensor(place.prefix + fusion.whole + place.suffix)
    else { throw CheckpointError(path: checkpoint.path, field: "tensor \(place.description)", message: "missing") }
    let all = whole.shape.count == 1 ? whole.rowLength : whole.rowCount, first = fusion.place(own, all)
    return Location(tensor: whole.rows(first..<first + own) ?? whole, first: first)
  }
}

extension GGUFTensor {
  /// These rows alone, or these numbers of a vector; nil where it has not so many.
  package func rows(_ range: Range<Int>) -> GGUFTensor? {
    let isVector = shape.count == 1, all = isVector ? rowLength : rowCount
    guard range.lowerBound >= 0, range.upperBound <= all,
      let bytes = dataType.bytes(forElements: isVector ? 1 : rowLength)
    else { return nil }
    let first = byteRange.lowerBound + range.lowerBound * bytes
    return GGUFTensor(
      name: name, dataType: dataType, shape: isVector ? [range.count] : [rowLength, range.count],
      elementCount: range.count * (isVector ? 1 : rowLength), source: source,
      byteRange: first..<first + range.count * bytes)
  }
}

extension Tensor {
  /// A file's tensor, used in place, slowest axis first.
  public init(_ tensor: GGUFTensor, shape: Shape? = nil, backend: any Backend) {
    self.init(
      source: tensor.source, range: tensor.byteRange, shape: shape ?? Shape(tensor.shape.reversed()),
      dataType: tensor.dataType, backend: backend)
  }
}
