// One file for each thing that a stranger's file may get wrong, and the line that must be said about it.
import Checkpoints
import Tensors
import Testing

@Suite struct GGUFHostileTests {
  struct Case: CustomTestStringConvertible, Sendable {
    let testDescription: String
    let bytes: [UInt8]
    let expected: String

    init(_ what: String, _ expected: String, _ change: (inout RawGGUF) -> Void) {
      var file = RawGGUF.valid()
      change(&file)
      (testDescription, bytes, self.expected) = (what, file.bytes, expected)
    }
  }

  private static func failure(_ bytes: [UInt8]) -> String? {
    do throws(CheckpointError) {
      _ = try GGUFFile(data: bytes, name: "x.gguf")
      return nil
    } catch {
      return error.description
    }
  }

  @Test("The file that the others are made from is valid")
  func valid() throws {
    let file = try GGUFFile(data: RawGGUF.valid().bytes, name: "x.gguf")
    #expect(file.tensors.map(\.shape) == [[8]])
  }

  @Test("Version 2 is read as version 3 is")
  func version2() throws {
    var raw = RawGGUF.valid()
    raw.version = 2
    #expect(try GGUFFile(data: raw.bytes, name: "x.gguf").version == 2)
  }

  @Test("What is wrong is told in one line", arguments: header + metadata + tensors)
  func refused(hostile: Case) {
    #expect(Self.failure(hostile.bytes) == "x.gguf: " + hostile.expected)
  }

  @Test("A file that ends anywhere before its end is refused")
  func truncated() {
    let bytes = RawGGUF.valid().bytes
    for count in 0..<bytes.count {
      #expect(Self.failure(Array(bytes.prefix(count))) != nil, "\(count) bytes")
    }
  }

  @Test("Every known type that is not supported is refused by name, every unknown one by number")
  func unsupportedTypes() {
    let names: [UInt32: String] = [16: "IQ2_XXS", 34: "TQ1_0", 39: "MXFP4", 26: "I32", 43: "number 43"]
    for (number, name) in names {
      var file = RawGGUF.valid()
      file.tensors = [RawGGUF.tensor("a", type: number)]
      #expect(Self.failure(file.bytes) == "x.gguf: tensor a: its type, \(name), is not supported")
    }
  }

  @Test("Every supported type is read under its number", arguments: DataType.allCases)
  func supportedTypes(type: DataType) throws {
    var writer = GGUFWriter(path: "x.gguf")
    let bytes = [UInt8](repeating: 1, count: type.bytesPerBlock)
    try writer.addTensor("a", dataType: type, shape: [type.elementsPerBlock], bytes: bytes)
    let tensor = try GGUFFile(data: try writer.encoded(), name: "x.gguf").tensor(required: "a")
    #expect(tensor.dataType == type && Array(tensor.bytes) == bytes)
  }

  static let header = [
    Case("wrong magic", "header: not a GGUF file: it does not begin with the letters GGUF") { $0.magic[3] = 0x47 },
    Case("version 1", "header: GGUF version 1 is not supported; convert the model again to version 3") {
      $0.version = 1
    },
    Case("version 4", "header: GGUF version 4 is not supported; expected 2 or 3") { $0.version = 4 },
    Case("big-endian", "header: a big-endian file; only little-endian ones are supported") {
      $0.version = UInt32(3).byteSwapped
    },
    Case("too many tensors", "header: announces 18446744073709551615 tensors, but 144 bytes are left in the file") {
      $0.tensorCount = .max
    },
    Case("too many pairs", "header: announces 10000000 metadata pairs, but 136 bytes are left in the file") {
      $0.pairCount = 10_000_000
    },
  ]

  static let metadata = [
    Case("key twice", "key a: appears twice") {
      $0.pairs = Array(repeating: RawGGUF.pair("a", type: 0, [1]), count: 2)
    },
    Case("empty key", "metadata pair 0: its key is empty or not printable: “”") {
      $0.pairs = [RawGGUF.pair("", type: 0, [1])]
    },
    Case("key with control characters", #"metadata pair 0: its key is empty or not printable: “a\u{1b}[2J”"#) {
      $0.pairs = [RawGGUF.pair("a\u{1b}[2J", type: 0, [1])]
    },
    Case("key that is not UTF-8", "metadata pair 0: its key is not UTF-8") {
      $0.pairs = [RawGGUF.number(UInt64(2)) + [0xC3, 0x28] + RawGGUF.number(UInt32(0)) + [1]]
    },
    Case("long key", "metadata pair 0: its key has 65536 bytes, more than 65535") {
      $0.pairs = [RawGGUF.pair(String(repeating: "k", count: 65_536), type: 0, [1])]
    },
    Case("unknown value type", "key a: value type 13 is not one of 0 to 12") {
      $0.pairs = [RawGGUF.pair("a", type: 13, [1])]
    },
    Case("bool of 2", "key a: a bool must be 0 or 1, found 2") { $0.pairs = [RawGGUF.pair("a", type: 7, [2])] },
    Case("bool of 2 in an array", "key a: a bool must be 0 or 1, found 2") {
      $0.pairs = [RawGGUF.arrayPair("a", of: 7, count: 3, [0, 1, 2])]
    },
    Case("long string", "key a: a string of 4294967296 bytes is announced where 83 are left in the file") {
      $0.pairs = [RawGGUF.pair("a", type: 8, RawGGUF.string("b", length: 1 << 32))]
    },
    Case("long length", "key a: a string of 18446744073709551615 bytes is announced where 83 are left in the file") {
      $0.pairs = [RawGGUF.pair("a", type: 8, RawGGUF.string("b", length: .max))]
    },
    Case("long array", "key a: announces 4611686018427387904 elements, but 79 bytes are left in the file") {
      $0.pairs = [RawGGUF.arrayPair("a", of: 6, count: 1 << 62, [1, 2, 3, 4])]
    },
    Case("long array of strings", "key a: announces 1000 elements, but 79 bytes are left in the file") {
      $0.pairs = [RawGGUF.arrayPair("a", of: 8, count: 1000, [])]
    },
    Case("string beyond the end", "key a: a string of 1000 bytes is announced where 94 are left in the file") {
      let second = RawGGUF.number(UInt64(1000))
      $0.pairs = [RawGGUF.arrayPair("a", of: 8, count: 2, RawGGUF.string("b") + second)]
    },
    Case("deep nesting", "key a: arrays nest deeper than 4") {
      let innermost = RawGGUF.array(of: 0, count: 1, [1])
      let nested = (0..<3).reduce(innermost) { array, _ in RawGGUF.array(of: 9, count: 1, array) }
      $0.pairs = [RawGGUF.arrayPair("a", of: 9, count: 1, nested)]
    },
    Case("alignment 48", "key general.alignment: expected a power of two, found 48") {
      $0.pairs = [RawGGUF.pair("general.alignment", type: 4, RawGGUF.number(UInt32(48)))]
    },
    Case("alignment 0", "key general.alignment: expected an integer from 8 to 65536, found 0") {
      $0.pairs = [RawGGUF.pair("general.alignment", type: 4, RawGGUF.number(UInt32(0)))]
    },
    Case("alignment 2³¹", "key general.alignment: expected an integer from 8 to 65536, found 2147483648") {
      $0.pairs = [RawGGUF.pair("general.alignment", type: 4, RawGGUF.number(UInt32(1 << 31)))]
    },
    Case("alignment in words", "key general.alignment: expected an integer, found string") {
      $0.pairs = [RawGGUF.pair("general.alignment", type: 8, RawGGUF.string("32"))]
    },
    Case("split count", "key split.count: this is one of 3 parts, which can only be opened from a folder") {
      $0.pairs = [
        RawGGUF.pair("split.count", type: 2, RawGGUF.number(UInt16(3))),
        RawGGUF.pair("split.no", type: 2, RawGGUF.number(UInt16(0))),
      ]
    },
    Case("split number beyond the count", "key split.no: expected an integer from 0 to 2, found 3") {
      $0.pairs = [
        RawGGUF.pair("split.count", type: 2, RawGGUF.number(UInt16(3))),
        RawGGUF.pair("split.no", type: 2, RawGGUF.number(UInt16(3))),
      ]
    },
  ]

  static let tensors = [
    Case("tensor twice", "tensor a: appears twice") {
      $0.tensors = [RawGGUF.tensor("a"), RawGGUF.tensor("a", offset: 32)]
      $0.data = [UInt8](repeating: 0, count: 64)
    },
    Case("tensor without a name", "tensor 0: its name is empty or not printable: “”") {
      $0.tensors = [RawGGUF.tensor("")]
    },
    Case("tensor with a long name", "tensor 0: its name has 65 bytes, more than 64") {
      $0.tensors = [RawGGUF.tensor(String(repeating: "n", count: 65))]
    },
    Case("5 axes", "tensor a: has 5 axes; at most 4 are possible") {
      $0.tensors = [RawGGUF.tensor("a", shape: [1, 1, 1, 1, 8])]
    },
    Case("axis of no length", "tensor a: axis 1 has length 0") { $0.tensors = [RawGGUF.tensor("a", shape: [8, 0])] },
    Case("axis of negative length", "tensor a: axis 0 has length 18446744073709551615") {
      $0.tensors = [RawGGUF.tensor("a", shape: [.max])]
    },
    Case("too many elements", "tensor a: the product of its axes is too large") {
      $0.tensors = [RawGGUF.tensor("a", shape: [1 << 32, 1 << 31])]
    },
    Case("too many bytes", "tensor a: 4611686018427387904 elements of F32 are too many bytes to count") {
      $0.tensors = [RawGGUF.tensor("a", shape: [1 << 31, 1 << 31])]
    },
    Case("row that ends inside a block", "tensor a: Q4_0 packs 32 elements of a row, but a row has 16") {
      $0.tensors = [RawGGUF.tensor("a", shape: [16, 2], type: 2)]
    },
    Case("single number in a block format", "tensor a: Q8_0 packs 32 elements of a row, but a row has 1") {
      $0.tensors = [RawGGUF.tensor("a", shape: [], type: 8)]
    },
    Case("offset between alignments", "tensor a: its offset 16 is not a multiple of the alignment 32") {
      $0.tensors = [RawGGUF.tensor("a", offset: 16)]
      $0.data = [UInt8](repeating: 0, count: 64)
    },
    Case(
      "offset beyond the end",
      "tensor a: its 32 bytes at offset 18446744073709551584 reach beyond the end of the file, "
        + "which has 160 bytes; the file is truncated or damaged"
    ) { $0.tensors = [RawGGUF.tensor("a", offset: .max - 31)] },
    Case(
      "tensor that ends beyond the end",
      "tensor a: its 36 bytes at offset 0 reach beyond the end of the file, "
        + "which has 160 bytes; the file is truncated or damaged"
    ) { $0.tensors = [RawGGUF.tensor("a", shape: [9])] },
    Case("tensors over each other", "tensor b: shares bytes with tensor a") {
      $0.tensors = [RawGGUF.tensor("a", shape: [16]), RawGGUF.tensor("b", offset: 32)]
      $0.data = [UInt8](repeating: 0, count: 64)
    },
    Case("tensors in one place", "tensor b: shares bytes with tensor a") {
      $0.tensors = [RawGGUF.tensor("a"), RawGGUF.tensor("b")]
    },
  ]
}
