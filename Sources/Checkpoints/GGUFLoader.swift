// From a file's tensors to a model's parameters: the one place that knows how GGUF spells their names.
import Layers
import Tensors

/// Fills a model's parameters from a GGUF file.
public final class GGUFLoader: ModuleVisitor {
  private let file: GGUFFile
  private let backend: any Backend

  public init(_ file: GGUFFile, backend: any Backend) {
    self.file = file
    self.backend = backend
  }

  private static let names = [
    "embedding": "token_embd", "norm": "output_norm", "head": "output",
    "attentionNorm": "attn_norm", "attention.query": "attn_q", "attention.key": "attn_k", "attention.value": "attn_v",
    "attention.output": "attn_output", "attention.queryNorm": "attn_q_norm", "attention.keyNorm": "attn_k_norm",
    "postAttentionNorm": "post_attention_norm", "feedForwardNorm": "ffn_norm", "feedForward.gate": "ffn_gate",
    "feedForward.up": "ffn_up", "feedForward.down": "ffn_down", "postFeedForwardNorm": "post_ffw_norm",
  ]

  /// `layers.3.attention.query` → `blk.3.attn_q.weight`
  package static func name(of path: ModulePath) -> String {
    let isLayer = path.parts.first == "layers" && path.parts.count > 2
    let local = path.parts.dropFirst(isLayer ? 2 : 0).joined(separator: ".")
    return (isLayer ? "blk.\(path.parts[1])." : "") + (names[local] ?? local) + ".weight"
  }

  /// - Throws: ``CheckpointError`` when the tensor is missing or has another shape than the model.
  public func visit(_ parameter: inout Tensor, role: ParameterRole, at path: ModulePath) throws {
    let tensor = try file.tensor(required: Self.name(of: path))
    let expected = parameter.shape
    guard tensor.elementCount == expected.count, tensor.rowLength == expected.columns else {
      let found = tensor.shape.reversed().map(String.init).joined(separator: ", ")
      throw CheckpointError(
        path: file.path, field: "tensor \(tensor.name)",
        message: "has the shape [\(found)], where the model's sizes ask for \(expected)")
    }
    let loaded = Tensor(tensor, shape: expected, backend: backend)
    switch role {
    case .matrix: parameter = try backend.prepare(loaded)
    case .lookup: parameter = loaded
    case .vector: parameter = try backend.floats(loaded.copied())
    }
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
