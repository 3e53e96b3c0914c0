// Models in several files: whichever part is named, the whole model is found, or what is wrong with a part is told.
import Checkpoints
import Foundation
import Tensors
import TestSupport
import Testing

@Suite struct GGUFSplitTests {
  /// Three parts of a model; the first has no tensors, as `llama-gguf-split --no-tensor-first-split` leaves it.
  struct Parts {
    var names = ["model-00001-of-00003.gguf", "model-00002-of-00003.gguf", "model-00003-of-00003.gguf"]
    var numbers = [0, 1, 2]
    var tensors: [[String]] = [[], ["a", "b"], ["c"]]
    var announced: Int32 = 3

    func write(to folder: TemporaryFolder) throws {
      for (part, name) in names.enumerated() {
        var writer = GGUFWriter(path: folder.path(name))
        if part == 0 { writer.metadata.set("general.architecture", .string("llama")) }
        writer.metadata.set("split.no", .uint16(UInt16(numbers[part])))
        writer.metadata.set("split.count", .uint16(3))
        writer.metadata.set("split.tensors.count", .int32(announced))
        for tensor in tensors[part] {
          try writer.addTensor(tensor, dataType: .f32, shape: [4], bytes: [UInt8](repeating: 0, count: 16))
        }
        try writer.write()
      }
    }

    /// What opening the second part says.
    func failure() throws -> String? {
      let folder = try TemporaryFolder()
      try write(to: folder)
      let error = #expect(throws: CheckpointError.self) {
        try GGUFFile(path: folder.path("model-00002-of-00003.gguf"))
      }
      return error?.description.replacingOccurrences(of: folder.path(""), with: "").trimmingPrefix("/").description
    }
  }

  @Test("Opening any part opens all", arguments: 0..<3)
  func opensAll(part: Int) throws {
    let folder = try TemporaryFolder()
    let parts = Parts()
    try parts.write(to: folder)
    let file = try GGUFFile(path: folder.path(parts.names[part]))
    #expect(file.tensors.map(\.name) == ["a", "b", "c"])
    #expect(try file.metadata.string(required: "general.architecture") == "llama")
    let sizes = try parts.names.map { try Data(contentsOf: folder.url.appendingPathComponent($0)).count }
    #expect(file.byteCount == sizes.reduce(0, +))
    #expect(try file.tensor(required: "c").bytes.count == 16)
  }

  @Test("A missing part is named")
  func missing() throws {
    let folder = try TemporaryFolder()
    try Parts().write(to: folder)
    try FileManager.default.removeItem(atPath: folder.path("model-00003-of-00003.gguf"))
    let error = #expect(throws: CheckpointError.self) { try GGUFFile(path: folder.path("model-00001-of-00003.gguf")) }
    #expect(error?.description == folder.path("model-00003-of-00003.gguf") + ": No such file or directory")
  }

  @Test("A part under a wrong name is refused")
  func renamed() throws {
    let folder = try TemporaryFolder()
    try Parts().write(to: folder)
    try FileManager.default.moveItem(
      atPath: folder.path("model-00001-of-00003.gguf"), toPath: folder.path("model.gguf"))
    let error = #expect(throws: CheckpointError.self) { try GGUFFile(path: folder.path("model.gguf")) }
    #expect(error?.message == "this is part 1 of 3, so its name should end in -00001-of-00003.gguf")
  }

  @Test("A file in another's place is refused")
  func swapped() throws {
    var parts = Parts()
    parts.numbers = [0, 1, 1]
    #expect(
      try parts.failure() == "model-00003-of-00003.gguf: key split.no: the file does not say that it is part 3 of 3")
  }

  @Test("A tensor in two parts is refused")
  func duplicate() throws {
    var parts = Parts()
    parts.tensors = [[], ["a", "b"], ["b"]]
    #expect(
      try parts.failure() == "model-00003-of-00003.gguf: tensor b: is in an earlier part of the split file too")
  }

  @Test("A number of tensors that does not add up is refused")
  func count() throws {
    var parts = Parts()
    parts.announced = 4
    #expect(
      try parts.failure()
        == "model-00001-of-00003.gguf: key split.tensors.count: announces 4 tensors, but the 3 parts hold 3")
  }

  @Test("A part in memory cannot find the others and says so")
  func memory() throws {
    var writer = GGUFWriter(path: "part")
    writer.metadata.set("split.no", .uint16(0))
    writer.metadata.set("split.count", .uint16(2))
    let bytes = try writer.encoded()
    let error = #expect(throws: CheckpointError.self) { try GGUFFile(data: bytes, name: "part") }
    #expect(error?.message == "this is one of 2 parts, which can only be opened from a folder")
  }
}
