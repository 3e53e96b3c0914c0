// What Malmoi writes must be what every other reader of GGUF expects, and must never be left half written.
import Checkpoints
import Foundation
import Tensors
import TestSupport
import Testing

@Suite struct GGUFWriterTests {
  /// What Fixtures/gguf_file.py writes.
  static func likeGGUFPy(path: String = "made.gguf") throws -> GGUFWriter {
    var writer = GGUFWriter(path: path)
    let pairs: [(String, GGUFValue)] = [
      ("general.architecture", .string("llama")), ("general.alignment", .uint32(64)),
      ("malmoi.u8", .uint8(200)), ("malmoi.i8", .int8(-100)), ("malmoi.u16", .uint16(60_000)),
      ("malmoi.i16", .int16(-30_000)), ("malmoi.u32", .uint32(4_000_000_000)), ("malmoi.i32", .int32(-2_000_000_000)),
      ("malmoi.u64", .uint64(.max)), ("malmoi.i64", .int64(.min)), ("malmoi.f32", .float32(0.1)),
      ("malmoi.f64", .float64(0.1)), ("malmoi.yes", .bool(true)), ("malmoi.no", .bool(false)),
      ("malmoi.text", .string("말모이 🌾\n")), ("malmoi.empty", .string("")),
      ("malmoi.words", .strings(["a", "", "말", "🌾"])),
      ("malmoi.scores", .array(GGUFArray([0.5, -1, 3e38] as [Float]))),
      ("malmoi.kinds", .array(GGUFArray([1, -2, 3] as [Int32]))),
      ("malmoi.flags", .array(GGUFArray([true, false, true]))),
    ]
    for (key, value) in pairs { writer.metadata.set(key, value) }
    let ramp = (0..<96).map(Float.init)
    for (name, type, shape, bytes) in [
      ("norm.weight", DataType.f32, [5], DataType.f32.quantized(Array(ramp.prefix(5)))),
      ("blk.0.attn_q.weight", .q8_0, [32, 3], (0..<102).map { UInt8($0) }),
      ("token_embd.weight", .f16, [32, 3], DataType.f16.quantized(ramp)),
    ] {
      try writer.addTensor(name, dataType: type, shape: shape, bytes: #require(bytes))
    }
    return writer
  }

  @Test("A file has the same bytes as the one that gguf-py makes of the same content")
  func sameBytes() throws {
    #expect(try Self.likeGGUFPy().encoded() == Array(try fixture("gguf-py-made.bin")))
  }

  @Test("A file on the disk is the file in memory, and nothing else is left in its folder")
  func disk() throws {
    let folder = try TemporaryFolder()
    try Self.likeGGUFPy(path: folder.path("made.gguf")).write()
    #expect(try Data(contentsOf: folder.url.appendingPathComponent("made.gguf")) == fixture("gguf-py-made.bin"))
    #expect(try folder.contents == ["made.gguf"])
  }

  @Test("Numbers of every width and nested arrays come back as they were")
  func arrays() throws {
    var writer = GGUFWriter(path: "x.gguf")
    writer.metadata.set("u8", .array(GGUFArray([0, 255] as [UInt8])))
    writer.metadata.set("i8", .array(GGUFArray([-128, 127] as [Int8])))
    writer.metadata.set("u16", .array(GGUFArray([0, 65_535] as [UInt16])))
    writer.metadata.set("i16", .array(GGUFArray([-32_768, 32_767] as [Int16])))
    writer.metadata.set("u32", .array(GGUFArray([0, .max] as [UInt32])))
    writer.metadata.set("u64", .array(GGUFArray([1, .max] as [UInt64])))
    writer.metadata.set("i64", .array(GGUFArray([.min, .max] as [Int64])))
    writer.metadata.set("f64", .array(GGUFArray([0.1, -.infinity] as [Double])))
    writer.metadata.set("none", .array(GGUFArray([] as [Float])))
    writer.metadata.set("nested", .array(GGUFArray([GGUFArray([1, 2] as [UInt8]), GGUFArray([true])])))
    let metadata = try GGUFFile(data: try writer.encoded(), name: "x").metadata
    #expect(try metadata.ints("u8") == [0, 255])
    #expect(try metadata.ints("i8") == [-128, 127])
    #expect(try metadata.ints("u16") == [0, 65_535])
    #expect(try metadata.ints("i16") == [-32_768, 32_767])
    #expect(try metadata.ints("u32") == [0, 4_294_967_295])
    #expect(metadata["u64"]?.array?.numbers(as: UInt64.self) == [1, .max])
    #expect(metadata["u64"]?.array?.integers == nil, "not every element fits an Int")
    #expect(try metadata.ints("i64") == [.min, .max])
    #expect(metadata["f64"]?.array?.numbers(as: Double.self) == [0.1, -.infinity])
    #expect(try metadata.floats("f64") == [0.1, -.infinity])
    #expect(try metadata.floats("none") == [])
    let nested = try #require(metadata["nested"]?.array?.arrays)
    #expect(nested.count == 2)
    #expect(nested.first?.integers == [1, 2] && nested.last?.bools == [true])
  }

  @Test("A tensor may deliver its bytes in pieces, larger than any buffer too")
  func streamed() throws {
    let folder = try TemporaryFolder()
    var writer = GGUFWriter(path: folder.path("large.gguf"))
    let piece = (0..<300_000).map { UInt8(truncatingIfNeeded: $0 / 7) }
    try writer.addTensor("a", dataType: .f32, shape: [75_000, 30]) { append in
      for _ in 0..<20 { try piece.withUnsafeBytes(append) }
      try [piece, piece, piece, piece, piece].flatMap(\.self).withUnsafeBytes(append)
      for _ in 0..<5 { try piece.withUnsafeBytes(append) }
    }
    try writer.write()
    let tensor = try GGUFFile(path: folder.path("large.gguf")).tensor(required: "a")
    #expect(Array(tensor.bytes) == (0..<30).flatMap { _ in piece })
  }

  @Test("When a tensor's content fails, the older file stays and nothing else is left behind")
  func failedContent() throws {
    struct Interrupted: Error {}
    let folder = try TemporaryFolder()
    let old = Data("the older file".utf8)
    try old.write(to: folder.url.appendingPathComponent("model.gguf"))
    var writer = GGUFWriter(path: folder.path("model.gguf"))
    try writer.addTensor("a", dataType: .f32, shape: [4]) { _ in throw Interrupted() }
    #expect(throws: Interrupted.self) { try writer.write() }
    #expect(try Data(contentsOf: folder.url.appendingPathComponent("model.gguf")) == old)
    #expect(try folder.contents == ["model.gguf"])
  }

  @Test("A tensor that delivers too few or too many bytes is refused", arguments: [12, 20])
  func wrongSize(delivered: Int) throws {
    var writer = GGUFWriter(path: "x.gguf")
    try writer.addTensor("a", dataType: .f32, shape: [4], bytes: [UInt8](repeating: 0, count: delivered))
    let error = #expect(throws: CheckpointError.self) { try writer.encoded() }
    #expect(error?.description == "x.gguf: tensor a: [4] of F32 takes 16 bytes, but \(delivered) were delivered")
  }

  @Test("Tensors that a file cannot have are refused when they are added")
  func impossible() throws {
    var writer = GGUFWriter(path: "x.gguf")
    try writer.addTensor("a", dataType: .f32, shape: [4], bytes: [])
    let attempts: [(String, DataType, [Int])] = [
      ("a", .f32, [4]), ("", .f32, [4]), ("b\n", .f32, [4]), (String(repeating: "b", count: 65), .f32, [4]),
      ("b", .q8_0, [33]), ("b", .f32, [1, 1, 1, 1, 1]), ("b", .f32, [0]), ("b", .f32, [.max, 2]), ("b", .f32, [-1]),
    ]
    for (name, type, shape) in attempts {
      #expect(throws: CheckpointError.self, "\(name) \(shape)") {
        try writer.addTensor(name, dataType: type, shape: shape, bytes: [])
      }
    }
  }

  @Test("A folder that cannot be written to is told with the system's reason")
  func unwritable() {
    let error = #expect(throws: CheckpointError.self) { try GGUFWriter(path: "/nowhere/x.gguf").write() }
    #expect(error?.description == "/nowhere/x.gguf: cannot be written: No such file or directory")
  }

  @Test(
    "Python's gguf reads what is written",
    .enabled(if: PythonGGUF.isAvailable, "needs a python3 with the gguf package; MALMOI_PYTHON may name one"))
  func python() throws {
    let folder = try TemporaryFolder()
    try Self.likeGGUFPy(path: folder.path("made.gguf")).write()
    let output = try PythonGGUF.run(
      """
      import sys
      from gguf import GGUFReader
      from gguf.quants import dequantize
      reader = GGUFReader(sys.argv[1])
      print(reader.fields["malmoi.words"].contents(), reader.fields["malmoi.i64"].contents(), reader.alignment)
      for tensor in reader.tensors:
          values = dequantize(tensor.data, tensor.tensor_type).reshape(-1)
          print(tensor.name, tensor.tensor_type.name, tensor.shape.tolist(), round(float(values.sum()), 1))
      """, argument: folder.path("made.gguf"))
    #expect(
      output == """
        ['a', '', '말', '🌾'] -9223372036854775808 64
        norm.weight F32 [5] 10.0
        blk.0.attn_q.weight Q8_0 [32, 3] 14429.7
        token_embd.weight F16 [32, 3] 4560.0

        """)
  }
}

/// A Python that has the gguf package, if the machine has one.
enum PythonGGUF {
  static let isAvailable = (try? run("import gguf, numpy", argument: "")) != nil

  struct Failure: Error {}

  static func run(_ script: String, argument: String) throws -> String {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    let python = ProcessInfo.processInfo.environment["MALMOI_PYTHON"] ?? "python3"
    process.arguments = [python, "-c", script, argument]
    let output = Pipe()
    process.standardOutput = output
    process.standardError = FileHandle.nullDevice
    try process.run()
    let data = output.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    guard process.terminationStatus == 0 else { throw Failure() }
    return String(decoding: data, as: UTF8.self)
  }
}
