// From file to file: what is written, what is kept, and what is left when something goes wrong.
import Checkpoints
import Foundation
import Generation
import Layers
import Models
import Quantization
import Tensors
import TestSupport
import Testing

@Suite struct QuantizerTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private func path(_ name: String) -> String { folder.path(name) }

  private func tiny(_ architecture: TinyModel.Architecture = .llama, isTied: Bool = false) throws -> GGUFFile {
    let url = folder.file("tiny-\(UUID().uuidString).gguf")
    try TinyModel.write(to: url, architecture: architecture, dataType: .f32, isTied: isTied)
    return try GGUFFile(path: url.path)
  }

  private func floats(_ tensor: GGUFTensor) throws -> [Float] {
    try #require(tensor.dataType.dequantized(tensor.bytes))
  }

  @Test(arguments: QuantizationType.allCases)
  func `a file of every type opens, says what it is, and holds nearly the same numbers`(type: QuantizationType) throws {
    let source = try tiny()
    let quantizer = try Quantizer(GGUFSource(source), options: QuantizationOptions(type: type))
    try quantizer.write(to: path("out.gguf"))
    let made = try GGUFFile(path: path("out.gguf"))
    #expect(try made.metadata.int("general.file_type") == Int(type.fileType))
    #expect(try made.metadata.int("general.quantization_version") == (type.dataType.isQuantized ? 2 : nil))
    for key in source.metadata.keys { #expect(made.metadata[key] != nil, "\(key)") }
    #expect(made.tensors.map(\.name) == source.tensors.map(\.name))
    #expect(made.tensors.reduce(0) { $0 + $1.byteRange.count } == quantizer.byteCount)
    for (new, old) in zip(made.tensors, source.tensors) {
      #expect(new.shape == old.shape)
      let values = try floats(new), original = try floats(old)
      if old.shape.count == 1 {
        #expect(new.dataType == .f32 && values == original)
        continue
      }
      let off = zip(values, original).reduce(0) { $0 + Double(($1.0 - $1.1) * ($1.0 - $1.1)) }
      let all = original.reduce(0) { $0 + Double($1 * $1) }
      #expect((off / all).squareRoot() < 0.15, "\(new.name) as \(new.dataType.name)")
    }
    _ = try Decoder(made)
  }

  @Test func `the bytes do not depend on the number of threads`() throws {
    let source = GGUFSource(try tiny())
    let quantizer = try Quantizer(source, options: QuantizationOptions(type: .q4_k_m))
    try quantizer.write(to: path("one"), pool: ThreadPool(threadCount: 1))
    try quantizer.write(to: path("two"), pool: ThreadPool(threadCount: 2))
    let files = try ["one", "two"].map { try Data(contentsOf: folder.file($0)) }
    #expect(files[0] == files[1])
  }

  @Test func `what has its format already is copied`() throws {
    let first = try Quantizer(GGUFSource(try tiny()), options: QuantizationOptions(type: .q4_0))
    try first.write(to: path("first.gguf"))
    let source = try GGUFFile(path: path("first.gguf"))
    try Quantizer(GGUFSource(source), options: QuantizationOptions(type: .q4_0)).write(to: path("second.gguf"))
    let second = try GGUFFile(path: path("second.gguf"))
    for (new, old) in zip(second.tensors, source.tensors) {
      #expect(new.dataType == old.dataType && new.bytes.elementsEqual(old.bytes))
    }
  }

  /// A source of one matrix.
  private struct Single: QuantizationSource {
    let path = "single"
    var metadata = GGUFMetadata(path: "single")
    var tensors: [QuantizationTensor]

    init(shape: [Int], _ value: @escaping @Sendable (_ row: Int, _ column: Int) -> Float) {
      let name = "blk.0.ffn_up.weight"
      tensors = [QuantizationTensor(name: name, shape: shape, dataType: .f32, readRows: { rows, floats in
        for row in rows {
          for column in 0..<shape[0] { floats[(row - rows.lowerBound) * shape[0] + column] = value(row, column) }
        }
      })]
    }
  }

  private var leftovers: [String] {
    get throws { try folder.contents.filter { !$0.hasPrefix("tiny-") } }
  }

  @Test(arguments: [(Float.nan, QuantizationType.q4_0), (.infinity, .f32), (-.infinity, .q8_0), (1e6, .f16)])
  func `a number that cannot be kept is named, and no file is left`(odd: Float, type: QuantizationType) throws {
    let source = Single(shape: [64, 5000]) { $0 == 4321 && $1 == 17 ? odd : 0.5 }
    let error = #expect(throws: CheckpointError.self) {
      try Quantizer(source, options: QuantizationOptions(type: type)).write(to: path("out.gguf"))
    }
    #expect(error?.field == "tensor blk.0.ffn_up.weight")
    #expect(error?.message.hasPrefix("row 4321, column 17 is ") == true, "\(error?.message ?? "")")
    #expect(try leftovers == [])
  }

  @Test func `who stops the work finds no file`() throws {
    struct Stop: Error {}
    let quantizer = try Quantizer(GGUFSource(try tiny()), options: QuantizationOptions(type: .q8_0))
    #expect(throws: Stop.self) {
      try quantizer.write(to: path("out.gguf")) { if $0.doneElements > $0.allElements / 2 { throw Stop() } }
    }
    #expect(try leftovers == [])
  }

  @Test func `progress reaches the end`() throws {
    var last = (done: 0, all: 1)
    let quantizer = try Quantizer(GGUFSource(try tiny()), options: QuantizationOptions(type: .q8_0))
    try quantizer.write(to: path("out.gguf")) {
      #expect($0.doneElements > last.done)
      last = ($0.doneElements, $0.allElements)
    }
    #expect(last.done == last.all)
  }

  @Test func `each expert has its own importance`() throws {
    let number: @Sendable (Int, Int) -> Float = { row, column in
      let level = (row * 37 + column * 11) % 29
      return Float(level - 14)
    }
    let source = Single(shape: [32, 4, 2], number)
    let weights: [[Float]] = [(0..<32).map { $0 == 3 ? 100 : 1 }, (0..<32).map { $0 == 20 ? 100 : 1 }]
    var options = QuantizationOptions(type: .q4_0)
    options.importance = ImportanceMatrix(
      entries: ["blk.0.ffn_up.weight": .init(squares: weights[0] + weights[1].map { $0 * 5 }, counts: [1, 5])],
      dataset: "", windows: 1, windowTokens: 1)
    try Quantizer(source, options: options).write(to: path("out.gguf"))
    let made = try GGUFFile(path: path("out.gguf")), bytes = Array(made.tensors[0].bytes)
    let values = (0..<8).map { row in (0..<32).map { number(row, $0) } }
    let expected = zip(values, [0, 0, 0, 0, 1, 1, 1, 1]).flatMap { row, expert in
      DataType.q4_0.quantized(row, importance: weights[expert]) ?? []
    }
    #expect(bytes == expected && made.tensors.count == 1)
  }
}
