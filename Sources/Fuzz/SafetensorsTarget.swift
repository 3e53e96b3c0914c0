// Weights from a stranger's Hugging Face folder: the head of a safetensors file, and the index of several.
import Checkpoints
import Tensors

struct SafetensorsTarget: Target {
  /// Bytes of tensors in every seed.
  private static let dataCount = 64

  private let headers: TextMutator
  private let indices: TextMutator
  private let backend = CPUBackend(threads: 1)

  init() throws {
    var writer = SafetensorsWriter(path: "fuzz.safetensors")
    for (name, type, shape, count) in [
      ("a.weight", SafetensorsElementType.f32, [2, 2], 16), ("b.weight", .bf16, [3, 1, 4], 24), ("c", .f16, [4], 8),
      ("말", .i64, [], 8), ("e", .f8e4m3, [2, 0, 3], 0), ("f", .bool, [8], 8),
    ] {
      try writer.addTensor(name, elementType: type, shape: shape, bytes: [UInt8](repeating: 0x3C, count: count))
    }
    let seed = try writer.encoded()
    headers = TextMutator(
      corpus: [
        String(decoding: seed.dropFirst(8).dropLast(Self.dataCount), as: UTF8.self),
        #"{"a":{"dtype":"F32","shape":[4,4],"data_offsets":[0,64]}}"#,
        #"{"a":{"dtype":"U8","shape":[32],"data_offsets":[0,32]},"#
          + #""b":{"dtype":"I8","shape":[32],"data_offsets":[32,64]}}"#,
      ],
      dictionary: [
        "{", "}", "[", "]", ",", ":", "\"", "\\u0061", "\"a\"", "\"b\"", "\"\"", "\"__metadata__\"", "\"dtype\"",
        "\"shape\"", "\"data_offsets\"", "null", "true", "0", "1", "2", "4", "16", "32", "64", "65", "-1", "0.5", "1e3",
      ] + SafetensorsElementType.allCases.map { "\"\($0.rawValue)\"" },
      signs: ["[0,", "\\u", "\\\""])
    indices = TextMutator(
      corpus: [
        #"{"metadata":{"total_size":64},"weight_map":{"a":"model-00001-of-00002.safetensors","b":"m.safetensors"}}"#
      ],
      dictionary: [
        "{", "}", "\"", ",", ":", "\"weight_map\"", "\"a\"", "\"\"", "..", "/", "../", "\\u002e", "\\u0000", "\\/",
        "\".safetensors\"", "\"/etc/passwd\"", "\"a/b.safetensors\"", "null", "1", "\u{202E}",
      ],
      signs: [".safetensors", "\\u"])
    try use(seed)
  }

  func input(_ random: inout SeededGenerator) -> [UInt8] {
    if random.chance(4) { return indices.input(&random) }
    let text = headers.input(&random)
    var bytes = [UInt8](repeating: 0, count: 8) + text + [UInt8](repeating: 0x3C, count: Self.dataCount)
    bytes.overwrite(at: 0, with: random.chance(32) ? random.pick(edgeNumbers) : UInt64(text.count), width: 8)
    if random.chance(16) { bytes.damage(&random) }
    return bytes
  }

  func use(_ input: [UInt8]) throws {
    if input.first == UInt8(ascii: "{") {
      let index = try SafetensorsIndex(parsing: input, path: "fuzz.index.json")
      for file in index.files { promise(!file.contains("/") && !file.hasPrefix("."), "\(file) is in the folder") }
    } else {
      try use(SafetensorsFile(data: input, name: "fuzz.safetensors"), byteCount: input.count)
    }
  }

  private func use(_ file: SafetensorsFile, byteCount: Int) throws {
    var end = file.tensors.first?.byteRange.lowerBound ?? byteCount
    var writer = SafetensorsWriter(path: "fuzz.safetensors")
    writer.metadata = file.metadata
    for tensor in file.tensors {
      promise(tensor.byteRange.lowerBound == end, "\(tensor.name) follows the one before")
      end = tensor.byteRange.upperBound
      try writer.addTensor(
        tensor.name, elementType: tensor.elementType, shape: tensor.shape, bytes: Array(tensor.bytes))
    }
    promise(end == byteCount, "the tensors are all that is in the file")
    let copy = try SafetensorsFile(data: writer.encoded(), name: "copy.safetensors")
    promise(copy.metadata == file.metadata, "what is written is what was read")
    for tensor in file.tensors {
      guard let twin = copy.tensor(tensor.name) else { return promise(false, "\(tensor.name) is written") }
      promise(twin.shape == tensor.shape && twin.bytes.elementsEqual(tensor.bytes), "\(tensor.name) is the same")
    }
    for tensor in file.tensors where tensor.dataType != nil {
      let loaded = try backend.floats(Tensor(tensor, backend: backend))
      promise(loaded.values.count == tensor.elementCount, "\(tensor.name) has all its numbers")
    }
  }
}
