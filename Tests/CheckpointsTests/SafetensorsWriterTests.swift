// What Malmoi writes must be what every other reader of safetensors expects, and must never be left half written.
import Checkpoints
import Foundation
import Tensors
import TestSupport
import Testing

@Suite struct SafetensorsWriterTests {
  /// What Fixtures/safetensors_file.py writes, as far as Swift needs no help with the numbers.
  private static func likePython(path: String = "made.safetensors") throws -> SafetensorsWriter {
    let made = try SafetensorsFile(path: fixtureURL("safetensors-made.bin").path)
    var writer = SafetensorsWriter(path: path)
    for tensor in made.tensors.shuffled() {
      try writer.addTensor(
        tensor.name, elementType: tensor.elementType, shape: tensor.shape, bytes: Array(tensor.bytes))
    }
    return writer
  }

  private static func bytes(_ floats: some Sequence<Float>) -> [UInt8] {
    Array(floats).withUnsafeBytes { Array($0) }
  }

  /// What Fixtures/safetensors_file.py writes in parts.
  private static func layers(path: String) throws -> SafetensorsWriter {
    var writer = SafetensorsWriter(path: path)
    for index in 0..<5 {
      try writer.addTensor(
        "layers.\(index).weight", elementType: .f32, shape: [4, 6], bytes: bytes((0..<24).map { Float($0 + index) }))
    }
    return writer
  }

  @Test("A file has the same bytes as the one that Python makes of the same content")
  func sameBytes() throws {
    #expect(try Self.likePython().encoded() == Array(try fixture("safetensors-made.bin")))
  }

  @Test("A file on the disk is the file in memory, and nothing else is left in its folder")
  func disk() throws {
    let folder = try TemporaryFolder()
    try Self.likePython(path: folder.path("model.safetensors")).write()
    #expect(
      try Data(contentsOf: folder.url.appendingPathComponent("model.safetensors")) == fixture("safetensors-made.bin"))
    #expect(try folder.contents == ["model.safetensors"])
  }

  @Test("Files in parts and their index have the same bytes as those that Python makes; a single file goes away")
  func sharded() throws {
    let folder = try TemporaryFolder()
    try Data("the older file".utf8).write(to: folder.url.appendingPathComponent("model.safetensors"))
    try Self.layers(path: folder.path("model.safetensors")).write(mostBytes: 200)
    let names = (1...3).map { "model-0000\($0)-of-00003.safetensors" } + ["model.safetensors.index.json"]
    #expect(try folder.contents == names)
    for name in names {
      let written = try Data(contentsOf: folder.url.appendingPathComponent(name))
      // An index ends a line, as transformers has it; the one of huggingface_hub does not.
      let end = Data((name.hasSuffix(".json") ? "\n" : "").utf8)
      #expect(try written == fixture("safetensors-sharded/" + name) + end, "\(name)")
    }
    #expect(try SafetensorsFolder(path: folder.url.path).names == (0..<5).map { "layers.\($0).weight" })
  }

  @Test("A tensor larger than a file may be has one of its own, and what fits one file is one")
  func limits() throws {
    let folder = try TemporaryFolder()
    try Self.layers(path: folder.path("model.safetensors")).write(mostBytes: 10)
    #expect(try SafetensorsFolder(path: folder.url.path).files.map(\.tensors.count) == [1, 1, 1, 1, 1])
    try Self.layers(path: folder.path("one.safetensors")).write(mostBytes: 480)
    #expect(try SafetensorsFile(path: folder.path("one.safetensors")).tensors.count == 5)
  }

  @Test("A tensor may deliver its bytes in pieces, larger than any buffer too")
  func streamed() throws {
    let folder = try TemporaryFolder()
    var writer = SafetensorsWriter(path: folder.path("large.safetensors"))
    let piece = (0..<300_000).map { UInt8(truncatingIfNeeded: $0 / 7) }
    try writer.addTensor("a", elementType: .bf16, shape: [10, 150_000]) { append in
      for _ in 0..<4 { try piece.withUnsafeBytes(append) }
      try [piece, piece, piece, piece, piece].flatMap(\.self).withUnsafeBytes(append)
      try piece.withUnsafeBytes(append)
    }
    try writer.write()
    let tensor = try SafetensorsFile(path: folder.path("large.safetensors")).tensor(required: "a")
    #expect(Array(tensor.bytes) == (0..<10).flatMap { _ in piece })
  }

  @Test("When a tensor's content fails, the older file stays and nothing else is left behind")
  func failedContent() throws {
    struct Interrupted: Error {}
    let folder = try TemporaryFolder()
    let old = Data("the older file".utf8)
    try old.write(to: folder.url.appendingPathComponent("model.safetensors"))
    var writer = SafetensorsWriter(path: folder.path("model.safetensors"))
    try writer.addTensor("a", elementType: .f32, shape: [4]) { _ in throw Interrupted() }
    #expect(throws: Interrupted.self) { try writer.write() }
    #expect(try Data(contentsOf: folder.url.appendingPathComponent("model.safetensors")) == old)
    #expect(try folder.contents == ["model.safetensors"])
  }

  @Test("A tensor that delivers too few or too many bytes is refused", arguments: [12, 20])
  func wrongSize(delivered: Int) throws {
    var writer = SafetensorsWriter(path: "x.safetensors")
    try writer.addTensor("a", elementType: .f32, shape: [4], bytes: [UInt8](repeating: 0, count: delivered))
    let error = #expect(throws: CheckpointError.self) { try writer.encoded() }
    #expect(error?.description == "x.safetensors: tensor a: [4] of F32 takes 16 bytes, but \(delivered) were delivered")
  }

  @Test("Tensors that a file cannot have are refused when they are added")
  func impossible() throws {
    var writer = SafetensorsWriter(path: "x.safetensors")
    try writer.addTensor("a", elementType: .f32, shape: [4], bytes: [])
    let attempts: [(String, [Int])] = [
      ("a", [4]), ("", [4]), ("b\n", [4]), ("__metadata__", [4]), ("b", [Int](repeating: 1, count: 17)),
      ("b", [.max, 2]), ("b", [-1]), ("b", [0, -1]),
    ]
    for (name, shape) in attempts {
      #expect(throws: CheckpointError.self, "\(name) \(shape)") {
        try writer.addTensor(name, elementType: .f32, shape: shape, bytes: [])
      }
    }
  }

  @Test("Notes are written in the order of their names; without any there is no entry for them")
  func notes() throws {
    var writer = SafetensorsWriter(path: "x.safetensors")
    writer.metadata = ["z": "\"1\"\n", "a": "말모이"]
    let file = try SafetensorsFile(data: try writer.encoded(), name: "x")
    #expect(file.metadata == writer.metadata)
    writer.metadata = [:]
    #expect(try writer.encoded() == [8, 0, 0, 0, 0, 0, 0, 0] + Array("{}      ".utf8))
  }

  @Test(
    "Python's safetensors reads what is written, whole and in parts, with numpy and torch",
    .enabled(
      if: PythonSafetensors.isAvailable,
      "needs a python3 with safetensors, numpy and torch; MALMOI_PYTHON may name one"))
  func python() throws {
    let folder = try TemporaryFolder()
    try Self.likePython(path: folder.path("made.safetensors")).write()
    try Self.layers(path: folder.path("model.safetensors")).write(mostBytes: 200)
    let output = try PythonGGUF.run(
      """
      import glob, os, sys
      from safetensors import safe_open
      from safetensors.torch import load_file
      made = os.path.join(sys.argv[1], "made.safetensors")
      print(safe_open(made, "numpy").metadata())
      for name, tensor in sorted(load_file(made).items()):
          print(name, tensor.dtype, list(tensor.shape), float(tensor.float().sum()))
      for path in sorted(glob.glob(os.path.join(sys.argv[1], "model-*"))):
          with safe_open(path, "numpy") as file:
              print([(name, float(file.get_tensor(name).sum())) for name in file.keys()])
      """, argument: folder.url.path)
    #expect(
      output == """
        {'format': 'pt'}
        none torch.float32 [0, 4] 0.0
        number torch.float32 [] 1.5
        ramp.bfloat16 torch.bfloat16 [3, 5] 105.0
        ramp.bool torch.bool [3, 5] 14.0
        ramp.float16 torch.float16 [3, 5] 105.0
        ramp.float32 torch.float32 [3, 5] 105.0
        ramp.float64 torch.float64 [3, 5] 105.0
        ramp.float8_e4m3fn torch.float8_e4m3fn [3, 5] 105.0
        ramp.float8_e5m2 torch.float8_e5m2 [3, 5] 104.0
        ramp.int16 torch.int16 [3, 5] 105.0
        ramp.int32 torch.int32 [3, 5] 105.0
        ramp.int64 torch.int64 [3, 5] 105.0
        ramp.int8 torch.int8 [3, 5] 105.0
        ramp.uint8 torch.uint8 [3, 5] 105.0
        말모이 "🌾" torch.float32 [2, 1, 3] 15.0
        [('layers.0.weight', 276.0), ('layers.1.weight', 300.0)]
        [('layers.2.weight', 324.0), ('layers.3.weight', 348.0)]
        [('layers.4.weight', 372.0)]

        """)
  }
}

/// A Python that has safetensors, numpy and torch, if the machine has one.
private enum PythonSafetensors {
  static let isAvailable =
    (try? PythonGGUF.run("import numpy, safetensors.numpy, safetensors.torch", argument: "")) != nil
}
