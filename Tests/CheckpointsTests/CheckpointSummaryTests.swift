// What `malmoi show` tells must be what the file says.
import Checkpoints
import Foundation
import Testing

@Suite struct CheckpointSummaryTests {
  @Test("A small model is described from its metadata and tensors")
  func describes() throws {
    var writer = GGUFWriter(path: "x.gguf")
    let pairs: [(String, GGUFValue)] = [
      ("general.architecture", .string("llama")), ("general.name", .string("Tiny")),
      ("general.organization", .string("Malmoi")), ("general.license", .string("apache-2.0")),
      ("general.languages", .strings(["ko", "en"])), ("general.tags", .strings(["tiny"])),
      ("general.base_model.0.name", .string("Larger")), ("general.file_type", .uint32(15)),
      ("llama.context_length", .uint32(128)), ("llama.embedding_length", .uint32(64)),
      ("llama.block_count", .uint32(2)), ("llama.attention.head_count", .array(GGUFArray([4, 8] as [Int32]))),
      ("llama.attention.head_count_kv", .uint32(2)), ("llama.feed_forward_length", .uint64(256)),
      ("tokenizer.ggml.model", .string("gpt2")), ("tokenizer.ggml.pre", .string("smollm")),
      ("tokenizer.ggml.tokens", .strings(["a", "b", "c"])), ("tokenizer.chat_template", .string("{{ messages }}")),
    ]
    for (key, value) in pairs { writer.metadata.set(key, value) }
    try writer.addTensor("a", dataType: .f32, shape: [32], bytes: [UInt8](repeating: 0, count: 128))
    try writer.addTensor("b", dataType: .q8_0, shape: [32, 4], bytes: [UInt8](repeating: 0, count: 136))
    try writer.addTensor("c", dataType: .q8_0, shape: [32], bytes: [UInt8](repeating: 0, count: 34))
    let bytes = try writer.encoded()
    let summary = CheckpointSummary(try GGUFFile(data: bytes, name: "x.gguf"))

    #expect(summary.architecture == "llama" && summary.name == "Tiny" && summary.author == "Malmoi")
    #expect(summary.licence == "apache-2.0" && summary.baseModel == "Larger")
    #expect(summary.languages == ["ko", "en"] && summary.tags == ["tiny"])
    #expect(summary.parameterCount == 192 && summary.byteCount == bytes.count)
    #expect(summary.quantization == "Q4_K_M")
    #expect(summary.formats.map(\.format) == ["Q8_0", "F32"])
    #expect(summary.formats.map(\.tensorCount) == [2, 1])
    #expect(summary.formats.map(\.parameterCount) == [160, 32])
    #expect(summary.formats.map(\.byteCount) == [170, 128])
    #expect(summary.bitsPerWeight == 298.0 * 8 / 192)
    #expect(summary.contextLength == 128 && summary.width == 64 && summary.layerCount == 2)
    #expect(summary.headCount == 8 && summary.keyValueHeadCount == 2 && summary.headWidth == 8)
    #expect(summary.feedForwardWidth == 256 && summary.vocabularySize == 3)
    #expect(summary.tokenizer == "gpt2" && summary.preTokenizer == "smollm" && summary.hasChatTemplate)
    let copy = try JSONDecoder().decode(CheckpointSummary.self, from: JSONEncoder().encode(summary))
    #expect(copy == summary)
  }

  @Test("A file that says nothing of itself is described without inventing anything")
  func silent() throws {
    let summary = CheckpointSummary(try GGUFFile(data: RawGGUF().bytes, name: "x.gguf"))
    #expect(summary.architecture == nil && summary.name == nil && summary.width == nil && summary.headWidth == nil)
    #expect(summary.formats.isEmpty && summary.parameterCount == 0 && summary.bitsPerWeight == 0)
    #expect(summary.vocabularySize == nil && !summary.hasChatTemplate)
  }

  @Test("Values that no model has do not break the description")
  func absurd() throws {
    var writer = GGUFWriter(path: "x.gguf")
    writer.metadata.set("general.architecture", .string("llama"))
    writer.metadata.set("general.name", .uint8(1))
    writer.metadata.set("llama.embedding_length", .int64(.min))
    writer.metadata.set("llama.attention.head_count", .int32(-1))
    let summary = CheckpointSummary(try GGUFFile(data: try writer.encoded(), name: "x.gguf"))
    #expect(summary.name == nil && summary.headWidth == nil)
  }
}
