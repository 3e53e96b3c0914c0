// One file for each thing that a stranger's safetensors may get wrong, and the line that must be said about it.
import Checkpoints
import Foundation
import TestSupport
import Testing

/// Puts safetensors files together from JSON text, whatever it says.
enum RawSafetensors {
  static func head(_ json: String, length: UInt64? = nil) -> [UInt8] {
    withUnsafeBytes(of: (length ?? UInt64(json.utf8.count)).littleEndian, Array.init) + Array(json.utf8)
  }

  static func bytes(_ json: String, length: UInt64? = nil, data: Int) -> [UInt8] {
    head(json, length: length) + [UInt8](repeating: 0, count: data)
  }
}

@Suite struct SafetensorsHostileTests {
  struct Case: CustomTestStringConvertible, Sendable {
    let testDescription: String
    let bytes: [UInt8]
    let expected: String

    /// A file of 16 bytes of data.
    init(_ what: String, _ json: String, length: UInt64? = nil, data: Int = 16, _ expected: String) {
      (testDescription, self.expected) = (what, expected)
      bytes = RawSafetensors.bytes(json, length: length, data: data)
    }

    /// A file with one tensor, "a", of one field that is not as it should be.
    init(
      field what: String, type: String = #""F32""#, shape: String = "[4]", offsets: String = "[0,16]", data: Int = 16,
      _ expected: String
    ) {
      self.init(
        what, #"{"a":{"dtype":\#(type),"shape":\#(shape),"data_offsets":\#(offsets)}}"#, data: data,
        "tensor a" + expected)
    }
  }

  private static func failure(_ read: () throws -> Void) -> String? {
    do {
      try read()
      return nil
    } catch {
      return "\(error)"
    }
  }

  private static func failure(_ bytes: [UInt8]) -> String? {
    failure { _ = try SafetensorsFile(data: bytes, name: "x.safetensors") }
  }

  private static func entry(_ name: String, _ begin: Int, _ end: Int) -> String {
    #""\#(name)":{"dtype":"U8","shape":[\#(end - begin)],"data_offsets":[\#(begin),\#(end)]}"#
  }

  private static let whole = "{" + entry("a", 0, 8) + "," + entry("b", 8, 16) + "}"

  @Test("The file that the others are made from is valid, and so is one without tensors")
  func valid() throws {
    let bytes = RawSafetensors.bytes(Self.whole, data: 16)
    #expect(try SafetensorsFile(data: bytes, name: "x").names == ["a", "b"])
    #expect(try SafetensorsFile(data: RawSafetensors.bytes("{}", data: 0), name: "x").names.isEmpty)
  }

  @Test("What is wrong is told in one line", arguments: heads + fields + places)
  func refused(hostile: Case) {
    #expect(Self.failure(hostile.bytes) == "x.safetensors: " + hostile.expected)
  }

  @Test("A file that ends anywhere before its end is refused, and so is one that goes on")
  func truncated() {
    let bytes = RawSafetensors.bytes(Self.whole, data: 16)
    for count in 0..<bytes.count {
      #expect(Self.failure(Array(bytes.prefix(count))) != nil, "\(count) bytes")
    }
    #expect(Self.failure(bytes + [0]) == "x.safetensors: the last bytes, 1 after tensor b, are no tensor's")
  }

  static let heads = [
    Case("an empty header", "", data: 0, "header: not a safetensors file: its header does not begin with '{'"),
    Case(
      "a GGUF file", "GGUF\u{3}\0\0\0", length: 0x3_4655_4747,
      "header: not a safetensors file: a header of 14064895815 bytes is announced, more than 100 million"),
    Case(
      "a header of nearly all numbers", "{}", length: .max,
      "header: not a safetensors file: a header of 18446744073709551615 bytes is announced, more than 100 million"),
    Case(
      "a header longer than the file", "{}", length: 19,
      "header: 19 bytes are announced, but 18 are left in the file; it is truncated or damaged"),
    Case("a list", "[]", data: 0, "header: not a safetensors file: its header does not begin with '{'"),
    Case("no JSON", "{a}", data: 0, "header: expected a name in quotes at byte 1"),
    Case("more than an object", "{}{}", data: 0, "header: expected the end of the text at byte 2"),
    Case(
      "deep nesting", #"{"a":"# + String(repeating: "[", count: 200_000),
      "header: nested deeper than 100 at byte 104"),
    Case("the same name twice", "{" + entry("a", 0, 16) + "," + entry("a", 0, 16) + "}", "tensor a: appears twice"),
    Case(
      "the same name twice, spelt differently",
      "{" + entry("b", 0, 8) + "," + entry(#"a\""#, 0, 8) + "," + entry(#"\u0061\u0022"#, 8, 16) + "}",
      #"tensor a": appears twice"#),
    Case(
      "notes that are no object", #"{"__metadata__":"pt"}"#, data: 0,
      "__metadata__: expected an object, found a string"),
    Case(
      "a note that is no string", #"{"__metadata__":{"a\nb":1}}"#, data: 0,
      #"__metadata__.a\u{a}b: expected a string, found an integer"#),
    Case("two sets of notes", #"{"__metadata__":{},"__metadata__":{}}"#, data: 0, "tensor __metadata__: appears twice"),
  ]

  static let fields = [
    Case("a tensor that is no object", #"{"a":[1]}"#, "tensor a: expected an object, found an array"),
    Case("no type", #"{"a":{"shape":[4],"data_offsets":[0,16]}}"#, "tensor a.dtype: missing"),
    Case("no shape", #"{"a":{"dtype":"F32","data_offsets":[0,16]}}"#, "tensor a.shape: missing"),
    Case("no place", #"{"a":{"dtype":"F32","shape":[4]}}"#, "tensor a.data_offsets: missing"),
    Case(field: "a type that is a number", type: "32", ".dtype: expected a string, found an integer"),
    Case(field: "an unknown type", type: #""Q4\u001b[2J""#, #": its type, Q4\u{1b}[2J, is not supported"#),
    Case(field: "a type in parts of bytes", type: #""F4""#, ": its type, F4, is not supported"),
    Case(field: "a shape that is no list", shape: "4", ".shape: expected an array, found an integer"),
    Case(
      field: "a negative length", shape: "[-4]",
      ".shape.0: expected an integer from 0 to 9223372036854775807, found -4"),
    Case(field: "half a length", shape: "[2,1.5]", ".shape.1: expected an integer, found a number"),
    Case(field: "a shape too large to count", shape: "[4294967296,4294967296]",
      ": [4294967296, 4294967296] of F32 are too many bytes to count"),
    Case(
      field: "a shape too large but for a 0", shape: "[9223372036854775807,2,0]",
      ": [9223372036854775807, 2, 0] of F32 are too many bytes to count"),
    Case(
      field: "many axes", shape: "[" + [String](repeating: "1", count: 17).joined(separator: ",") + "]",
      ": has 17 axes; at most 16 are possible"),
    Case(field: "one end", offsets: "[16]", ".data_offsets: expected a beginning and an end, found [16]"),
    Case(field: "three ends", offsets: "[0,8,16]", ".data_offsets: expected a beginning and an end, found [0, 8, 16]"),
    Case(field: "an end before the beginning", offsets: "[16,0]",
      ".data_offsets: expected a beginning and an end, found [16, 0]"),
    Case(
      field: "a negative beginning", offsets: "[-8,8]",
      ".data_offsets.0: expected an integer from 0 to 9223372036854775807, found -8"),
    Case(
      field: "an end beyond the file", shape: "[5]", offsets: "[0,20]",
      ".data_offsets: 20 is beyond the end of the data, which has 16 bytes; the file is truncated or damaged"),
    Case(
      field: "an end beyond all numbers", offsets: "[0,9223372036854775807]",
      ".data_offsets: 9223372036854775807 is beyond the end of the data, which has 16 bytes; the file is truncated or "
        + "damaged"),
    Case(field: "a place that is too small", offsets: "[0,12]", ".data_offsets: [4] of F32 takes 16 bytes, found 12"),
  ]

  static let places = [
    Case(
      "tensors over one another", "{" + entry("a", 0, 12) + "," + entry("b", 8, 16) + "}",
      "tensor b: shares bytes with tensor a"),
    Case(
      "tensors at the same place", "{" + entry("a", 0, 16) + "," + entry("b", 0, 16) + "}",
      "tensor b: shares bytes with tensor a"),
    Case(
      "a gap", "{" + entry("b", 12, 16) + "," + entry("a", 0, 8) + "}",
      "tensor b: 4 bytes between tensor a and this are no tensor's"),
    Case(
      "a gap at the beginning", "{" + entry("a", 4, 16) + "}",
      "tensor a: 4 bytes between the header and this are no tensor's"),
    Case(
      "bytes at the end", "{" + entry("a", 0, 10) + "}", "the last bytes, 6 after tensor a, are no tensor's"),
    Case("no tensors, but bytes", "{}", "the last bytes, 16 after the header, are no tensor's"),
  ]

  @Test("A header that is not UTF-8 is refused")
  func encoding() {
    let bytes: [UInt8] = [8, 0, 0, 0, 0, 0, 0, 0] + Array(#"{"a"#.utf8) + [0xFF] + Array(#"":0}"#.utf8)
    #expect(Self.failure(bytes) == "x.safetensors: header: is not UTF-8")
  }

  @Test("An index is refused for what is wrong with it", arguments: [
    ("[]", "expected an object, found an array"),
    ("{", "expected a name in quotes at byte 1"),
    ("{}", "weight_map: missing"),
    (#"{"weight_map":[]}"#, "weight_map: expected an object, found an array"),
    (#"{"weight_map":{}}"#, "weight_map: is empty"),
    (#"{"weight_map":{"a":1}}"#, "weight_map.a: expected a string, found an integer"),
  ] + ["../b.safetensors", "/b.safetensors", "..", ".safetensors", "sub/b.safetensors", "b.bin", ""].map {
    (
      #"{"weight_map":{"a":"\#($0)"}}"#,
      "weight_map.a: expected the name of a safetensors file in the same folder, found “\($0)”"
    )
  })
  func index(json: String, expected: String) throws {
    let folder = try TemporaryFolder()
    let url = folder.url.appendingPathComponent("model.safetensors.index.json")
    try Data(json.utf8).write(to: url)
    #expect(Self.failure { _ = try SafetensorsFolder(path: folder.url.path) } == "\(url.path): \(expected)")
  }

  @Test("A sharded folder must have what its index names")
  func shards() throws {
    let folder = try TemporaryFolder()
    let index = folder.path("model.safetensors.index.json")
    func write(_ bytes: [UInt8], _ name: String) throws {
      try Data(bytes).write(to: folder.url.appendingPathComponent(name))
    }
    func failure() -> String? { Self.failure { _ = try SafetensorsFolder(path: folder.url.path) } }
    try write(Array(#"{"weight_map":{"a":"1.safetensors","b":"2.safetensors"}}"#.utf8), "model.safetensors.index.json")
    try write(RawSafetensors.bytes("{" + Self.entry("a", 0, 8) + "}", data: 8), "1.safetensors")
    #expect(failure() == folder.path("2.safetensors") + ": No such file or directory")
    try write(RawSafetensors.bytes("{" + Self.entry("c", 0, 8) + "}", data: 8), "2.safetensors")
    #expect(failure() == index + ": weight_map.b: 2.safetensors has no such tensor")
    // Both tensors are in both files: the index decides.
    for name in ["1.safetensors", "2.safetensors"] { try write(RawSafetensors.bytes(Self.whole, data: 16), name) }
    let paths = ["1.safetensors", "2.safetensors"].map(folder.path)
    #expect(try SafetensorsFolder(path: folder.url.path).tensors.map(\.path) == paths)
  }

  @Test("A folder without safetensors says what it has")
  func nothing() throws {
    let folder = try TemporaryFolder()
    let path = folder.url.path
    #expect(
      Self.failure { _ = try SafetensorsFolder(path: path) }
        == path + ": holds neither model.safetensors nor model.safetensors.index.json")
    try Data().write(to: folder.url.appendingPathComponent("pytorch_model.bin"))
    #expect(
      Self.failure { _ = try SafetensorsFolder(path: path) }
        == path + ": holds pytorch_model.bin and no safetensors; such files can run code when they are read, so "
        + "convert the model to safetensors (save_pretrained of transformers does)")
    try Data().write(to: folder.url.appendingPathComponent("model.safetensors"))
    #expect(Self.failure { _ = try SafetensorsFolder(path: path) } == path + "/model.safetensors: the file is empty")
  }
}
