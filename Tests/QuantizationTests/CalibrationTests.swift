// What is measured while models read: importance, and how far one model is from another.
import Checkpoints
import Foundation
import Generation
import Layers
import Models
import Quantization
import Tensors
import TestSupport
import Testing

@Suite struct CalibrationTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private func path(_ name: String) -> String { folder.path(name) }

  private func tiny(
    _ architecture: TinyModel.Architecture = .llama, _ dataType: DataType = .f32, isTied: Bool = false
  ) throws -> Decoder {
    let url = folder.file("tiny-\(UUID().uuidString).gguf")
    try TinyModel.write(to: url, architecture: architecture, dataType: dataType, isTied: isTied)
    return try Decoder(GGUFFile(path: url.path))
  }

  private func text(_ windows: Int) throws -> TextWindows {
    try TextWindows((0..<Int32(windows * 64)).map { $0 * 7 % 200 }, window: 64, first: nil, most: windows)
  }

  @Test(arguments: TinyModel.Architecture.allCases, [false, true])
  func `importance is the mean square of what each matrix is given`(
    architecture: TinyModel.Architecture, isTied: Bool
  ) throws {
    let model = try tiny(architecture, isTied: isTied), text = try text(2)
    let measured = try ImportanceMatrix.measured(on: model, reading: text, dataset: "numbers")
    #expect(measured.entries.count == 2 * 7 + 1)
    #expect(measured.windows == 2 && measured.windowTokens == 64)
    // The first layer's queries see normed embeddings, the head normed states.
    var queries = [Double](repeating: 0, count: 64), head = queries
    for tokens in text.windows {
      var embedded = model.embedding(tokens)
      if model.configuration.embeddingScale != 1 {
        embedded = Tensor(
          embedded.values.map { $0 * model.configuration.embeddingScale }, shape: embedded.shape,
          backend: embedded.backend)
      }
      let cache = KeyValueCache(model.configuration.pageLayout(.i16))
      let norm = try #require(model.layers[0].attentionNorms.before), normed = norm(embedded)
      let states = model.norm(model(tokens, PagedContext([(cache, tokens.count)])))
      for (index, value) in normed.values.enumerated() { queries[index % 64] += Double(value * value) }
      for (index, value) in states.values.enumerated() { head[index % 64] += Double(value * value) }
    }
    func expect(_ name: String, _ sums: [Double]) throws {
      let entry = try #require(measured.entries[name])
      #expect(entry.counts == [128] && entry.squares.count == sums.count)
      for (found, sum) in zip(entry.squares, sums) { #expect(abs(Double(found) - sum) <= 1e-5 * sum, "\(name)") }
    }
    try expect("blk.0.attn_q.weight", queries)
    try expect("blk.0.attn_v.weight", queries)
    try expect(isTied ? "token_embd.weight" : "output.weight", head)
    let down = try #require(measured.entries["blk.1.ffn_down.weight"])
    #expect(down.squares.count == 96 && down.squares.allSatisfy({ $0 > 0 }))
  }

  @Test func `importance comes back from its file`() throws {
    let measured = try ImportanceMatrix.measured(on: tiny(), reading: text(1), dataset: "numbers.txt")
    try measured.write(to: path("importance.gguf"))
    let read = try ImportanceMatrix(GGUFFile(path: path("importance.gguf")))
    #expect(read.entries.mapValues(\.squares) == measured.entries.mapValues(\.squares))
    #expect(read.entries.mapValues(\.counts) == measured.entries.mapValues(\.counts))
    #expect(read.dataset == "numbers.txt" && read.windows == 1 && read.windowTokens == 64)
  }

  @Test func `a file of importance that makes no sense is refused`() throws {
    func refused(_ fill: (inout GGUFWriter) throws -> Void) throws -> CheckpointError? {
      var writer = GGUFWriter(path: path("odd.gguf"))
      try fill(&writer)
      try writer.write()
      return #expect(throws: CheckpointError.self) { try ImportanceMatrix(GGUFFile(path: path("odd.gguf"))) }
    }
    func add(_ writer: inout GGUFWriter, _ name: String, _ values: [Float], _ type: DataType = .f32) throws {
      writer.metadata.set("general.type", .string("imatrix"))
      try writer.addTensor(name, dataType: type, shape: [values.count], bytes: try #require(type.quantized(values)))
    }
    #expect(try refused { try add(&$0, "a.in_sum2", [1]); $0.metadata.set("general.type", .string("model")) }?.field
      == "key general.type")
    let empty = try refused { $0.metadata.set("general.type", .string("imatrix")) }
    #expect(empty?.message.contains("no importance") == true)
    #expect(try refused { try add(&$0, "a.in_sum2", [1]) }?.field == "tensor a.counts")
    for odd in [Float.nan, .infinity, -1] {
      let error = try refused {
        try add(&$0, "a.in_sum2", [1, odd])
        try add(&$0, "a.counts", [1])
      }
      #expect(error?.field == "tensor a.in_sum2")
    }
    #expect(try refused {
      try add(&$0, "a.in_sum2", [1, 2], .f16)
      try add(&$0, "a.counts", [1])
    }?.message == "is not F32")
  }

  @Test func `windows are spread over a text and begin as sequences do`() throws {
    let tokens = (0..<Int32(100)).map { $0 }
    let windows = try TextWindows(tokens, window: 10, first: -1, most: 3).windows
    #expect(windows.map { $0[1] } == [1, 31, 61])
    #expect(windows.allSatisfy({ $0.count == 10 && $0[0] == -1 }))
    #expect(throws: QuantizationError.self) { try TextWindows([1, 2], window: 3, first: nil, most: 1) }
  }

  @Test func `a model does not differ from itself`() throws {
    let model = try tiny(), text = try text(3)
    let same = try Divergence.measured(of: model, from: model, reading: text, pool: ThreadPool())
    #expect(same.mean == 0 && same.percentile99 == 0 && same.agreement == 1 && same.tokens == 3 * 31)
    let expected = try model.perplexity(of: text.windows.flatMap { $0 }, context: 64, first: nil)
    #expect(abs(same.originalPerplexity / expected.value - 1) < 1e-6)
    #expect(same.quantizedPerplexity == same.originalPerplexity)
  }

  @Test func `fewer bits differ more`() throws {
    let url = folder.file("model.gguf")
    try TinyModel.write(to: url, dataType: .f32)
    let source = try GGUFFile(path: url.path), original = try Decoder(source), text = try text(3)
    var means: [Double] = []
    for type in [QuantizationType.q8_0, .q5_0, .q4_0] {
      try Quantizer(GGUFSource(source), options: QuantizationOptions(type: type)).write(to: path("out.gguf"))
      let divergence = try Divergence.measured(
        of: Decoder(GGUFFile(path: path("out.gguf"))), from: original, reading: text, pool: ThreadPool())
      means.append(divergence.mean)
      #expect(divergence.percentile99 >= divergence.mean && divergence.agreement <= 1)
    }
    #expect(means == means.sorted() && means[0] > 0)
  }
}
