// A model file before it is written, so that what it says can be changed while the file stays well-formed.
import Checkpoints
import Tensors
import Tokenization

struct ModelSketch {
  struct Part {
    var name: String
    var dataType: DataType
    var shape: [Int]
  }
  var metadata: [(key: String, value: GGUFValue)]
  var parts: [Part] = []

  /// The file, or nil where the writer refuses it.
  func encoded(noise: [UInt8], from start: Int = 0) -> [UInt8]? {
    var writer = GGUFWriter(path: "fuzz.gguf")
    for (key, value) in metadata { writer.metadata.set(key, value) }
    for part in parts {
      let count = part.shape.reduce(1) { $0.multipliedReportingOverflow(by: $1).partialValue }
      guard let size = part.dataType.bytes(forElements: count), size <= 1 << 20 else { return nil }
      let content = (0..<(size + noise.count - 1) / noise.count).flatMap { _ in noise }
      let from = min(start, content.count - size)
      guard (try? writer.addTensor(
        part.name, dataType: part.dataType, shape: part.shape, bytes: Array(content[from..<from + size]))) != nil
      else { return nil }
    }
    return try? writer.encoded()
  }

  /// Changes what the file says.
  mutating func change(_ random: inout SeededGenerator) {
    let index = random.below(metadata.count), tensor = random.below(parts.count)
    switch random.below(parts.isEmpty ? 4 : 8) {
    case 0: metadata.remove(at: index)
    case 1, 2: metadata[index].value = Self.changed(metadata[index].value, &random)
    case 3: metadata[index].value = metadata[random.below(metadata.count)].value
    case 4: parts.remove(at: tensor)
    case 5: parts[tensor].dataType = random.pick(DataType.allCases)
    case 6: parts[tensor].shape = random.pick(parts).shape
    default:
      if random.chance(3) {
        parts[tensor].name = random.pick(["output.weight", "rope_freqs.weight", "x", "blk.0.attn_q.weight"])
      }
      var shape = parts[tensor].shape
      if shape.isEmpty || random.chance(4) { shape.append(1 + random.below(3)) }
      shape[random.below(shape.count)] = 1 + random.below(random.pick([4, 40, 300]))
      parts[tensor].shape = shape
    }
    if metadata.isEmpty { metadata.append(("general.architecture", .string("llama"))) }
  }

  /// Another value, mostly of the same type.
  private static func changed(_ value: GGUFValue, _ random: inout SeededGenerator) -> GGUFValue {
    let number = random.chance(2) ? random.pick(edgeNumbers) : UInt64(random.below(80))
    if random.chance(8) {
      return random.pick([
        .uint8(UInt8(truncatingIfNeeded: number)), .int32(Int32(truncatingIfNeeded: number)), .uint64(number),
        .int64(Int64(truncatingIfNeeded: number)), .float64(Double(bitPattern: number)), .bool(true), .string(""),
        .array(GGUFArray([Int32]())), .strings(["a", ""]), .array(GGUFArray([GGUFArray([UInt64.max])])),
        .array(GGUFArray([Float.nan, .infinity, 1e38])), .array(GGUFArray([number, number])),
      ])
    }
    switch value {
    case .float32, .float64:
      return .float32(
        random.pick([0, -0.0, 1, -1, 1e-5, 1e38, -1e38, .nan, .infinity, -.infinity, .leastNonzeroMagnitude, 3]))
    case .bool(let flag): return .bool(!flag)
    case .string(let text):
      var bytes = Array(text.utf8)
      bytes.damage(&random)
      return .string(random.chance(2) ? random.pick(Self.words) : String(decoding: bytes, as: UTF8.self))
    case .array(let array): return .array(changed(array, &random))
    default: return .uint32(UInt32(truncatingIfNeeded: number))
    }
  }

  private static let words = [
    "llama", "gemma3", "gpt2", "smollm", "llama3", "tekken", "default", "deepseek-llm", "deepseek-v3", "bloom",
    "qwen35", "gpt-4o", "yarn", "linear", "none", "",
  ]

  private static func changed(_ array: GGUFArray, _ random: inout SeededGenerator) -> GGUFArray {
    if let strings = array.strings {
      var pieces = Array(strings.map(Array.init))
      for _ in 0...random.below(6) where !pieces.isEmpty {
        let place = random.below(pieces.count)
        switch random.below(7) {
        case 0: pieces[place].damage(&random)
        case 1: pieces[place] = pieces[random.below(pieces.count)]
        case 2: pieces[place] = []
        case 3: pieces.remove(at: place)
        case 4: pieces.append(pieces[place] + pieces[random.below(pieces.count)])
        case 5:
          let times = 1 + random.below(random.chance(8) ? 3000 : 8)
          pieces[place] = Array(repeating: pieces[place], count: times).flatMap(\.self)
        default: pieces.swapAt(place, random.below(pieces.count))
        }
      }
      var packed = PackedStrings()
      for piece in pieces { packed.append(piece) }
      return GGUFArray(packed)
    }
    if var numbers = array.numbers(as: Int32.self), !numbers.isEmpty {
      for _ in 0...random.below(8) {
        numbers[random.below(numbers.count)] = Int32(random.below(8)) - (random.chance(9) ? 1 : 0)
      }
      if random.chance(6) { numbers.removeLast() }
      return GGUFArray(numbers)
    }
    if var numbers = array.numbers(as: Float.self), !numbers.isEmpty {
      for _ in 0...random.below(8) {
        let edges: [Float] = [0, -0.0, 1, -1, -1e9, .infinity, -.infinity, random.chance(9) ? .nan : 2]
        numbers[random.below(numbers.count)] = random.pick(edges)
      }
      if random.chance(6) { numbers.removeLast() }
      return GGUFArray(numbers)
    }
    return array
  }
}
