// Safetensors files that Python made, read here; their folders, whole and in parts.
import Checkpoints
import Foundation
import Tensors
import TestSupport
import Testing

@Suite struct SafetensorsFileTests {
  private static func made() throws -> SafetensorsFile {
    try SafetensorsFile(path: fixtureURL("safetensors-made.bin").path)
  }

  @Test("A file that Python made is read: notes, names, types, shapes and places")
  func structure() throws {
    let file = try Self.made()
    #expect(file.metadata == ["format": "pt"])
    #expect(file.byteCount == 1641)
    #expect(file.names.prefix(4) == ["ramp.int64", "ramp.float64", "none", "number"])
    let types = Dictionary(uniqueKeysWithValues: file.tensors.map { ($0.name, $0.elementType.rawValue) })
    #expect(
      types == [
        "ramp.int64": "I64", "ramp.float64": "F64", "none": "F32", "number": "F32", "ramp.float32": "F32",
        "말모이 \"🌾\"": "F32", "ramp.int32": "I32", "ramp.bfloat16": "BF16", "ramp.float16": "F16", "ramp.int16": "I16",
        "ramp.float8_e4m3fn": "F8_E4M3", "ramp.float8_e5m2": "F8_E5M2", "ramp.int8": "I8", "ramp.uint8": "U8",
        "ramp.bool": "BOOL",
      ])
    #expect(file.tensor("ramp.float16")?.shape == [3, 5] && file.tensor("ramp.float16")?.elementCount == 15)
    #expect(file.tensor("number")?.shape == [] && file.tensor("number")?.elementCount == 1)
    #expect(file.tensor("none")?.shape == [0, 4] && file.tensor("none")?.bytes.count == 0)
    #expect(file.tensor("말모이 \"🌾\"")?.shape == [2, 1, 3])
    #expect(file.tensor("nothing") == nil)
    let error = #expect(throws: CheckpointError.self) { try file.tensor(required: "nothing") }
    #expect(error?.description == file.path + ": tensor nothing: missing")
  }

  @Test("The numbers of every type that can be computed with are the ones that Python stored")
  func numbers() throws {
    let file = try Self.made(), backend = CPUBackend(threads: 1)
    for name in ["ramp.float32", "ramp.float16", "ramp.bfloat16"] {
      let tensor = try Tensor(file.tensor(required: name), backend: backend)
      #expect(tensor.shape == [3, 5])
      #expect(backend.floats(tensor).values == (0..<15).map(Float.init), "\(name)")
    }
    let reshaped = try Tensor(file.tensor(required: "말모이 \"🌾\""), shape: [3, 2], backend: backend)
    #expect(reshaped.shape == [3, 2] && reshaped.values == [0, 1, 2, 3, 4, 5])
    #expect(try Array(file.tensor(required: "ramp.int8").bytes) == Array(0..<15))
  }

  @Test("A tensor that cannot be computed with, or has another shape, is refused when it is used", arguments: [
    ("ramp.float8_e4m3fn", nil, "its type, F8_E4M3, is not one to compute with; expected F32, F16 or BF16"),
    ("ramp.int64", nil, "its type, I64, is not one to compute with; expected F32, F16 or BF16"),
    ("ramp.float32", [5, 4], "has the shape [3, 5], expected [5, 4]"),
    ("none", [0, 4], "has the shape [0, 4], and so no elements"),
  ] as [(String, [Int]?, String)])
  func unusable(name: String, shape: [Int]?, expected: String) throws {
    let tensor = try Self.made().tensor(required: name)
    let error = #expect(throws: CheckpointError.self) {
      try Tensor(tensor, shape: shape.map { Shape($0) }, backend: CPUBackend(threads: 1))
    }
    #expect(error?.field == "tensor \(name)")
    #expect(error?.message == expected)
  }

  @Test("Elements that are not aligned in the file are aligned in memory")
  func alignment() throws {
    let folder = try TemporaryFolder()
    let floats = [1, 2.5, -3, 4e9] as [Float]
    for offset in 0..<8 {
      // Spaces move the data by a byte at a time.
      let json = #"{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}"# + String(repeating: " ", count: offset)
      let bytes = RawSafetensors.head(json) + floats.withUnsafeBytes(Array.init)
      let url = folder.url.appendingPathComponent("a.safetensors")
      try Data(bytes).write(to: url)
      for file in [try SafetensorsFile(path: url.path), try SafetensorsFile(data: bytes, name: "a")] {
        let tensor = try Tensor(file.tensor(required: "a"), backend: CPUBackend(threads: 1))
        #expect(tensor.address % 4 == 0)
        #expect(tensor.values == floats)
      }
    }
  }

  @Test("A sharded folder that Python made is read as one set of tensors")
  func sharded() throws {
    let folder = try SafetensorsFolder(path: fixtureURL("safetensors-sharded").path)
    #expect(folder.files.count == 3)
    #expect(folder.byteCount == 376 + 376 + 208)
    #expect(folder.names.sorted() == (0..<5).map { "layers.\($0).weight" })
    for index in 0..<5 {
      let tensor = try Tensor(folder.tensor(required: "layers.\(index).weight"), backend: CPUBackend(threads: 1))
      #expect(tensor.values == (0..<24).map { Float($0 + index) })
    }
    let error = #expect(throws: CheckpointError.self) { try folder.tensor(required: "lm_head.weight") }
    #expect(error?.description == folder.path + ": tensor lm_head.weight: missing")
  }

  @Test("A folder with one file is that file, which is preferred to an index")
  func single() throws {
    let folder = try TemporaryFolder()
    let made = fixtureURL("safetensors-made.bin")
    try FileManager.default.copyItem(at: made, to: folder.url.appendingPathComponent("model.safetensors"))
    try Data("no JSON".utf8).write(to: folder.url.appendingPathComponent("model.safetensors.index.json"))
    #expect(try SafetensorsFolder(path: folder.url.path + "/").names == Self.made().names)
  }

  @Test("A file that is a link to another place, as in the Hugging Face cache, is followed")
  func link() throws {
    let folder = try TemporaryFolder()
    try FileManager.default.createSymbolicLink(
      atPath: folder.path("model.safetensors"), withDestinationPath: fixtureURL("safetensors-made.bin").path)
    #expect(try SafetensorsFolder(path: folder.url.path).tensors.count == 15)
  }
}

extension Tensor {
  fileprivate var address: UInt { UInt(bitPattern: storage.bytes.baseAddress) }
}
