// A file's numbers for rotary positions are used in divisions and powers; its words end up in messages.
import Checkpoints
import Models
import Tensors
import Testing

@Suite struct HostileMetadataTests {
  /// What is said of a model whose metadata has these entries, and perhaps divisors for its frequencies.
  private func complaint(_ entries: [String: GGUFValue], divisors: [Float]? = nil) throws -> String? {
    var writer = GGUFWriter(path: "model.gguf")
    let sound: [String: GGUFValue] = [
      "general.architecture": .string("llama"), "llama.embedding_length": .uint32(32), "llama.block_count": .uint32(1),
      "llama.attention.head_count": .uint32(2), "llama.feed_forward_length": .uint32(32),
      "llama.context_length": .uint32(64), "llama.attention.layer_norm_rms_epsilon": .float32(1e-5),
    ]
    for (key, value) in sound.merging(entries, uniquingKeysWith: { $1 }) { writer.metadata.set(key, value) }
    let zeros = [Float](repeating: 0, count: 32)
    for (name, numbers) in [
      ("token_embd.weight", zeros), ("blk.0.attn_norm.weight", zeros), ("rope_freqs.weight", divisors),
    ] {
      guard let numbers else { continue }
      try writer.addTensor(
        name, dataType: .f32, shape: [numbers.count], bytes: #require(DataType.f32.quantized(numbers)))
    }
    let file = try GGUFFile(data: writer.encoded(), name: "model.gguf")
    do {
      _ = try ModelRegistry.configuration(file)
      return nil
    } catch {
      return "\(error)"
    }
  }

  @Test func `bases and factors that are not positive and finite are refused by name`() throws {
    #expect(try complaint(["llama.rope.freq_base": .float32(500_000)]) == nil)
    for number in [Float.nan, .infinity, 0, -1] {
      for (key, type) in [("freq_base", "none"), ("scaling.factor", "linear"), ("scaling.attn_factor", "yarn")] {
        let found = try complaint(["llama.rope." + key: .float32(number), "llama.rope.scaling.type": .string(type)])
        #expect(found == "model.gguf: key llama.rope.\(key): expected a positive number, found \(Double(number))")
      }
    }
  }

  @Test func `there is one divisor for each pair of columns that turns`() throws {
    #expect(try complaint([:], divisors: Array(repeating: 1, count: 8)) == nil)
    for count in [1, 7, 9, 4096] {
      #expect(
        try complaint([:], divisors: Array(repeating: 1, count: count))
          == "model.gguf: tensor rope_freqs.weight: has \(count) divisors, where 8 pairs of columns turn")
    }
    #expect(try complaint([:], divisors: Array(repeating: 0, count: 8))?.contains("not positive") == true)
  }

  @Test func `what a file says is quoted on one line that moves no cursor`() throws {
    for key in ["general.architecture", "llama.rope.scaling.type"] {
      let found = try complaint([key: .string("a\nb\u{1b}[2J" + String(repeating: "x", count: 10_000))])
      #expect(found?.contains("\"a\\u{a}b\\u{1b}[2Jxxx") == true)
      #expect((found?.count ?? 0) < 600)
    }
  }
}
