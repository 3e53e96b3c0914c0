// Reading well-formed files: one that gguf-py made, and ones in several parts.
import Checkpoints
import Foundation
import Tensors
import TestSupport
import Testing

@Suite struct GGUFFileTests {
  @Test("A file by gguf-py is read with a value of every type")
  func metadata() throws {
    let file = try GGUFFile(path: fixtureURL("gguf-py-made.bin").path)
    let metadata = file.metadata
    #expect(file.version == 3)
    #expect(file.alignment == 64)
    #expect(metadata.keys.count == 20)
    #expect(metadata.keys.first == "general.architecture")
    #expect(try metadata.string("general.architecture") == "llama")
    #expect(try metadata.int("malmoi.u8") == 200)
    #expect(try metadata.int("malmoi.i8") == -100)
    #expect(try metadata.int("malmoi.u16") == 60_000)
    #expect(try metadata.int("malmoi.i16") == -30_000)
    #expect(try metadata.int("malmoi.u32") == 4_000_000_000)
    #expect(try metadata.int("malmoi.i32") == -2_000_000_000)
    #expect(try metadata.int("malmoi.i64") == .min)
    #expect(try metadata.float("malmoi.f32") == Double(Float(0.1)))
    #expect(try metadata.float("malmoi.f64") == 0.1)
    #expect(try metadata.bool("malmoi.yes") == true)
    #expect(try metadata.bool("malmoi.no") == false)
    #expect(try metadata.string("malmoi.text") == "말모이 🌾\n")
    #expect(try metadata.string("malmoi.empty") == "")
    let words = try metadata.strings(required: "malmoi.words")
    #expect(words.indices.map(words.string(at:)) == ["a", "", "말", "🌾"])
    #expect(try metadata.floats("malmoi.scores") == [0.5, -1, 3e38])
    #expect(try metadata.ints("malmoi.kinds") == [1, -2, 3])
    #expect(try metadata.bools("malmoi.flags") == [true, false, true])
  }

  @Test("Tensors have their shape with the row length first, and their bytes")
  func tensors() throws {
    let file = try GGUFFile(path: fixtureURL("gguf-py-made.bin").path)
    #expect(file.tensors.map(\.name) == ["norm.weight", "blk.0.attn_q.weight", "token_embd.weight"])
    #expect(file.tensors.map(\.dataType) == [.f32, .q8_0, .f16])
    #expect(file.tensors.map(\.shape) == [[5], [32, 3], [32, 3]])
    #expect(file.tensors.allSatisfy { $0.byteRange.lowerBound % 64 == 0 })
    let embedding = try file.tensor(required: "token_embd.weight")
    #expect(embedding.dataType.dequantized(embedding.bytes) == (0..<96).map(Float.init))
    #expect(embedding.rowLength == 32 && embedding.rowCount == 3)
    let norm = try #require(file.tensor("norm.weight"))
    #expect(norm.dataType.dequantized(norm.bytes) == [0, 1, 2, 3, 4])
  }

  @Test("A tensor keeps its file mapped")
  func lifetime() throws {
    let tensor = try GGUFFile(path: fixtureURL("gguf-py-made.bin").path).tensor(required: "norm.weight")
    #expect(tensor.dataType.dequantized(tensor.bytes) == [0, 1, 2, 3, 4])
  }

  @Test("What is missing or has another type is named, with what was expected")
  func accessErrors() throws {
    let path = fixtureURL("gguf-py-made.bin").path
    let file = try GGUFFile(path: path)
    let metadata = file.metadata
    #expect(try metadata.int("absent") == nil)
    #expect(message { try metadata.int(required: "absent") } == "key absent: missing; expected an integer")
    #expect(message { try metadata.string("malmoi.u8") } == "key malmoi.u8: expected a string, found u8")
    #expect(message { try metadata.int("malmoi.f32") } == "key malmoi.f32: expected an integer, found f32")
    #expect(
      message { try metadata.int("malmoi.u64") } == "key malmoi.u64: expected an integer, found u64",
      "a number beyond Int")
    #expect(
      message { try metadata.strings("malmoi.kinds") }
        == "key malmoi.kinds: expected an array of strings, found array of i32")
    #expect(
      message { try metadata.int("malmoi.u8", in: 1...100) }
        == "key malmoi.u8: expected an integer from 1 to 100, found 200")
    #expect(message { try file.tensor(required: "output.weight") } == "tensor output.weight: missing")

    func message(_ body: () throws -> some Any) -> String? {
      do {
        _ = try body()
        return nil
      } catch let error as CheckpointError {
        return error.path == path ? error.description.replacingOccurrences(of: path + ": ", with: "") : "wrong path"
      } catch {
        return "\(error)"
      }
    }
  }

  @Test("A number for each layer may be stated once for all")
  func perLayer() throws {
    var metadata = GGUFMetadata(path: "x.gguf")
    metadata.set("same", .uint32(8))
    metadata.set("each", .array(GGUFArray([4, 2, 4] as [Int32])))
    #expect(try metadata.ints("same", perLayer: 3) == [8, 8, 8])
    #expect(try metadata.ints("each", perLayer: 3) == [4, 2, 4])
    #expect(try metadata.ints("absent", perLayer: 3) == nil)
    #expect(throws: CheckpointError.self) { try metadata.ints("each", perLayer: 4) }
  }

  @Test("A path that holds no file is told with the system's reason")
  func noFile() {
    let error = #expect(throws: CheckpointError.self) { try GGUFFile(path: "/nowhere/model.gguf") }
    #expect(error?.description == "/nowhere/model.gguf: No such file or directory")
  }
}
