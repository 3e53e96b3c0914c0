// A whole model of a few kilobytes that the command can run, and ways to spoil it.
import Checkpoints
import Foundation
import Tensors

/// A decoder of one layer with a vocabulary of single bytes.
struct HostileInputModel {
  static let key = "tokenizer.ggml."
  private static let width = 32, hidden = 32

  var metadata: [String: GGUFValue] = [
    "general.architecture": .string("llama"), "llama.embedding_length": .uint32(32), "llama.block_count": .uint32(1),
    "llama.attention.head_count": .uint32(2), "llama.feed_forward_length": .uint32(32),
    "llama.context_length": .uint32(64), "llama.attention.layer_norm_rms_epsilon": .float32(1e-5),
  ]
  /// Shapes by name, row length first.
  var tensors: [(name: String, shape: [Int])]

  init() {
    let bytes = (0..<256).map { byte in
      let digits = String(byte, radix: 16, uppercase: true)
      return "<0x" + (digits.count < 2 ? "0" : "") + digits + ">"
    }
    let pieces = ["<unk>", "<s>", "</s>"] + bytes
    let kinds: [Int32] = [2, 3, 3] + bytes.map { _ in 6 }
    metadata[Self.key + "model"] = .string("llama")
    metadata[Self.key + "tokens"] = .strings(pieces)
    metadata[Self.key + "token_type"] = .array(GGUFArray(kinds))
    metadata[Self.key + "scores"] = .array(GGUFArray([Float](repeating: 0, count: pieces.count)))
    let (width, hidden) = (Self.width, Self.hidden)
    tensors = [
      ("token_embd", [width, pieces.count]), ("output_norm", [width]), ("blk.0.attn_norm", [width]),
      ("blk.0.ffn_norm", [width]), ("blk.0.attn_q", [width, width]), ("blk.0.attn_k", [width, width]),
      ("blk.0.attn_v", [width, width]), ("blk.0.attn_output", [width, width]), ("blk.0.ffn_gate", [width, hidden]),
      ("blk.0.ffn_up", [width, hidden]), ("blk.0.ffn_down", [hidden, width]),
    ].map { ($0.0 + ".weight", $0.1) }
  }

  func encoded() throws -> [UInt8] {
    var writer = GGUFWriter(path: "model.gguf")
    for (key, value) in metadata.sorted(by: { $0.key < $1.key }) { writer.metadata.set(key, value) }
    for (name, shape) in tensors {
      let values = (0..<shape.reduce(1, *)).map { Float($0 % 7) / 8 - 0.375 }
      try writer.addTensor(name, dataType: .f32, shape: shape, bytes: DataType.f32.quantized(values) ?? [])
    }
    return try writer.encoded()
  }
}

extension [UInt8] {
  /// Where `text` first stands.
  func place(of text: String) -> Int? {
    let wanted = Array(text.utf8)
    return indices.first { self[$0...].starts(with: wanted) }
  }

  /// The bytes with a little-endian number written over them.
  func writing(_ number: UInt64, width: Int = 8, at place: Int) -> [UInt8] {
    var changed = self
    for index in 0..<width { changed[place + index] = UInt8(truncatingIfNeeded: number >> UInt64(8 * index)) }
    return changed
  }
}
