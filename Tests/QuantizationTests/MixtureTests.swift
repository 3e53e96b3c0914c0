// Which tensor gets which format: as llama-quantize chooses, and as the user asks.
import Checkpoints
import Foundation
import Quantization
import Tensors
import TestSupport
import Testing

@Suite struct MixtureTests {
  /// A model as Fixtures/quantization.py wrote it down.
  struct Model: Decodable {
    var architecture: String
    var metadata: [String: Int]
    var tensors: [Tensor]
    /// The formats of the tensors in order, each with how many tensors in a row have it.
    var types: [String: [Run]]

    struct Tensor: Decodable {
      var name: String
      var shape: [Int]

      init(from decoder: any Decoder) throws {
        var values = try decoder.unkeyedContainer()
        name = try values.decode(String.self)
        shape = try values.decode([Int].self)
      }
    }

    struct Run: Decodable {
      var type: String
      var count: Int

      init(from decoder: any Decoder) throws {
        var values = try decoder.unkeyedContainer()
        type = try values.decode(String.self)
        count = try values.decode(Int.self)
      }
    }
  }

  /// A source that knows names and shapes alone.
  struct Outline: QuantizationSource {
    let path = "outline"
    var metadata = GGUFMetadata(path: "outline")
    var tensors: [QuantizationTensor]

    init(_ model: Model) {
      metadata.set("general.architecture", .string(model.architecture))
      for (key, value) in model.metadata { metadata.set("\(model.architecture).\(key)", .uint32(UInt32(value))) }
      tensors = model.tensors.map { Self.tensor($0.name, $0.shape) }
    }

    init(_ tensors: [(String, [Int])], _ numbers: [String: Int] = [:]) {
      metadata.set("general.architecture", .string("llama"))
      for (key, value) in numbers { metadata.set("llama.\(key)", .uint32(UInt32(value))) }
      self.tensors = tensors.map { Self.tensor($0.0, $0.1) }
    }

    private static func tensor(_ name: String, _ shape: [Int]) -> QuantizationTensor {
      QuantizationTensor(name: name, shape: shape, dataType: shape.count > 1 ? .f16 : .f32, readRows: { _, _ in })
    }
  }

  static let importance = ImportanceMatrix(entries: [:], dataset: "", windows: 1, windowTokens: 1)

  @Test(arguments: QuantizationType.allCases, [false, true])
  func `every tensor gets the format that llama-quantize gives it`(type: QuantizationType, calibrated: Bool) throws {
    for model in try JSONDecoder().decode([Model].self, from: fixture("mixtures.json")) {
      var options = QuantizationOptions(type: type)
      if calibrated { options.importance = Self.importance }
      let plans = try Quantizer(Outline(model), options: options).plans
      let runs = try #require(model.types[type.rawValue + (calibrated ? " calibrated" : "")])
      let expected = runs.flatMap { Array(repeating: $0.type, count: $0.count) }
      for (plan, format) in zip(plans, expected) {
        #expect(plan.dataType.name == format, "\(model.architecture) \(type): \(plan.tensor.name)")
      }
      #expect(plans.count == expected.count)
    }
  }

  private func formats(_ outline: Outline, _ options: QuantizationOptions) throws -> [String: DataType] {
    let plans = try Quantizer(outline, options: options).plans
    return Dictionary(uniqueKeysWithValues: plans.map { ($0.tensor.name, $0.dataType) })
  }

  @Test func `rows that do not fill blocks get the next smaller ones, and the plan says so`() throws {
    let outline = Outline([("blk.0.attn_q.weight", [96, 8]), ("blk.0.attn_k.weight", [40, 8])])
    let plans = try Quantizer(outline, options: QuantizationOptions(type: .q4_k_m)).plans
    #expect(plans.map(\.dataType) == [.q5_0, .f16])
    #expect(plans.map(\.wanted) == [.q4_k, .q4_k])
  }

  @Test func `the user's formats come first`() throws {
    let outline = Outline([
      ("token_embd.weight", [256, 8]), ("output.weight", [256, 8]), ("blk.0.ffn_up.weight", [256, 8]),
      ("blk.1.ffn_up.weight", [256, 8]), ("blk.1.attn_q.weight", [256, 8]), ("blk.1.ffn_norm.weight", [256]),
    ])
    var options = QuantizationOptions(type: .q4_k_s)
    options.outputType = .q8_0
    options.embeddingType = .q2_k
    options.overrides = [
      try TensorOverride(pattern: #"blk\.1\..*up"#, dataType: .q6_k),
      try TensorOverride(pattern: "ffn", dataType: .f16),
    ]
    #expect(try formats(outline, options) == [
      "token_embd.weight": .q2_k, "output.weight": .q8_0, "blk.0.ffn_up.weight": .f16, "blk.1.ffn_up.weight": .q6_k,
      "blk.1.attn_q.weight": .q4_k, "blk.1.ffn_norm.weight": .f32,
    ])
    let tied = Outline([("token_embd.weight", [256, 8])])
    options.overrides = []
    #expect(try formats(tied, options) == ["token_embd.weight": .q2_k])
    options.embeddingType = nil
    #expect(try formats(tied, options) == ["token_embd.weight": .q8_0])
  }

  @Test func `a pattern that is none, or that nothing matches, is an error`() throws {
    #expect(throws: QuantizationError.self) { try TensorOverride(pattern: "(", dataType: .f16) }
    var options = QuantizationOptions(type: .q8_0)
    options.overrides = [try TensorOverride(pattern: "norm", dataType: .f16)]
    let outline = Outline([("blk.0.attn_q.weight", [32, 8]), ("blk.0.attn_norm.weight", [32])])
    let error = #expect(throws: QuantizationError.self) { try Quantizer(outline, options: options) }
    #expect(error?.description.contains("norm") == true)
  }

  @Test func `eight experts share better attention, and their router is left alone`() throws {
    let outline = Outline([
      ("blk.0.attn_v.weight", [256, 8]), ("blk.0.attn_k.weight", [256, 8]), ("blk.0.attn_output.weight", [256, 8]),
      ("blk.0.ffn_gate_inp.weight", [256, 8]), ("blk.0.ffn_up_exps.weight", [256, 4, 8]),
    ], ["expert_count": 8, "block_count": 1])
    #expect(try formats(outline, QuantizationOptions(type: .q4_k_m)) == [
      "blk.0.attn_v.weight": .q8_0, "blk.0.attn_k.weight": .q8_0, "blk.0.attn_output.weight": .q5_k,
      "blk.0.ffn_gate_inp.weight": .f16, "blk.0.ffn_up_exps.weight": .q4_k,
    ])
  }

  @Test(arguments: [[0, 4], [4, 0], [-1, 4], [1 << 40, 1 << 40]])
  func `a shape that cannot be is refused`(shape: [Int]) {
    #expect(throws: QuantizationError.self) {
      try Quantizer(Outline([("blk.0.attn_q.weight", shape)]), options: QuantizationOptions(type: .q8_0))
    }
  }

  @Test func `importance of another model is refused`() throws {
    let outline = Outline([("blk.0.attn_q.weight", [256, 8])])
    var options = QuantizationOptions(type: .q8_0)
    for entry in [
      ImportanceMatrix.Entry(squares: [1, 2, 3], counts: [1]), .init(squares: [], counts: []),
      .init(squares: [Float](repeating: 1, count: 768), counts: [1, 1, 1]),
    ] {
      options.importance = ImportanceMatrix(
        entries: ["blk.0.attn_q.weight": entry], dataset: "", windows: 1, windowTokens: 1)
      #expect(throws: QuantizationError.self) { try Quantizer(outline, options: options) }
    }
  }
}
