// Reads the head of one GGUF file, believing no number in it before checking it against what the file can hold.
//
// Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
import Tensors
import Tokenization

/// What one file says: its own metadata and the tensors whose bytes it holds.
struct GGUFContents {
  let version: Int
  let alignment: Int
  let metadata: GGUFMetadata
  let tensors: [GGUFTensor]
}

enum GGUFLimits {
  static let keyBytes = 65_535
  static let tensorNameBytes = 64
  static let axes = 4
  /// Arrays inside arrays; no known file has any.
  static let arrayDepth = 4
  static let alignments = 8...65_536
  static let defaultAlignment = 32
  static let alignmentKey = "general.alignment"
}

struct GGUFParser {
  private let path: String
  private let source: any ByteSource
  private let bytes: UnsafeRawBufferPointer
  private var offset = 0
  /// What is being read, for error messages.
  private var field = "header"

  static func parse(_ source: any ByteSource, path: String) throws(CheckpointError) -> GGUFContents {
    var parser = GGUFParser(source: source, path: path)
    return try parser.contents()
  }

  private init(source: any ByteSource, path: String) {
    self.path = path
    self.source = source
    bytes = source.bytes
  }

  private mutating func contents() throws(CheckpointError) -> GGUFContents {
    let version = try self.version()
    // The shortest tensor: a name of 1 byte, the number of axes, the type, the offset. The shortest pair: a key of
    // 1 byte, the type, a value of 1 byte.
    let tensorCount = try count("tensors", eachAtLeast: 8 + 1 + 4 + 4 + 8)
    let pairCount = try count("metadata pairs", eachAtLeast: 8 + 1 + 4 + 1)
    let metadata = try self.metadata(pairCount)
    let alignment = try metadata.alignment()
    let described = try tensorDescriptions(tensorCount)
    let tensors = try place(described, alignment: alignment)
    return GGUFContents(version: version, alignment: alignment, metadata: metadata, tensors: tensors)
  }

  // MARK: Header

  private mutating func version() throws(CheckpointError) -> Int {
    guard bytes.count >= 4, bytes.prefix(4).elementsEqual("GGUF".utf8) else {
      throw error("not a GGUF file: it does not begin with the letters GGUF")
    }
    offset = 4
    let version = try integer(UInt32.self)
    switch version {
    case 2, 3: return Int(version)
    case 1: throw error("GGUF version 1 is not supported; convert the model again to version 3")
    case 1 << 24, 2 << 24, 3 << 24: throw error("a big-endian file; only little-endian ones are supported")
    default: throw error("GGUF version \(version) is not supported; expected 2 or 3")
    }
  }

  /// A count of things that take at least `size` bytes each, and so cannot be more than the rest of the file holds.
  private mutating func count(_ what: String, eachAtLeast size: Int) throws(CheckpointError) -> Int {
    let count = try integer(UInt64.self)
    guard count <= UInt64(remaining / size) else {
      throw error("announces \(count) \(what), but \(remaining) bytes are left in the file")
    }
    return Int(count)
  }

  // MARK: Metadata

  private mutating func metadata(_ pairCount: Int) throws(CheckpointError) -> GGUFMetadata {
    var metadata = GGUFMetadata(path: path)
    for index in 0..<pairCount {
      field = "metadata pair \(index)"
      let key = try name("key", atMost: GGUFLimits.keyBytes)
      field = "key \(key.printable)"
      guard metadata[key] == nil else { throw error("appears twice") }
      metadata.set(key, try value(try type()))
    }
    return metadata
  }

  private mutating func type() throws(CheckpointError) -> GGUFType {
    let number = try integer(UInt32.self)
    guard let type = GGUFType(rawValue: number) else { throw error("value type \(number) is not one of 0 to 12") }
    return type
  }

  private mutating func value(_ type: GGUFType) throws(CheckpointError) -> GGUFValue {
    switch type {
    case .uint8: .uint8(try integer())
    case .int8: .int8(try integer())
    case .uint16: .uint16(try integer())
    case .int16: .int16(try integer())
    case .uint32: .uint32(try integer())
    case .int32: .int32(try integer())
    case .uint64: .uint64(try integer())
    case .int64: .int64(try integer())
    case .float32: .float32(Float(bitPattern: try integer()))
    case .float64: .float64(Double(bitPattern: try integer()))
    case .bool: .bool(try flag(try integer()))
    case .string: .string(String(decoding: try string(), as: UTF8.self))
    case .array: .array(try array(depth: 1))
    }
  }

  private func flag(_ byte: UInt8) throws(CheckpointError) -> Bool {
    guard byte <= 1 else { throw error("a bool must be 0 or 1, found \(byte)") }
    return byte == 1
  }

  private mutating func array(depth: Int) throws(CheckpointError) -> GGUFArray {
    guard depth <= GGUFLimits.arrayDepth else { throw error("arrays nest deeper than \(GGUFLimits.arrayDepth)") }
    let type = try self.type()
    let count = try count("elements", eachAtLeast: type.smallestByteCount)
    switch type {
    case .string:
      return GGUFArray(try strings(count))
    case .array:
      var arrays: [GGUFArray] = []
      for _ in 0..<count { arrays.append(try array(depth: depth + 1)) }
      return GGUFArray(arrays)
    default:
      let packed = [UInt8](try take(count * type.smallestByteCount))
      if type == .bool { for byte in packed { _ = try flag(byte) } }
      return GGUFArray(packed: packed, of: type, count: count)
    }
  }

  /// Walks the strings once to check them and to learn their size, then copies them into one buffer.
  private mutating func strings(_ count: Int) throws(CheckpointError) -> PackedStrings {
    let start = offset
    var offsets = [0]
    offsets.reserveCapacity(count + 1)
    var total = 0
    for _ in 0..<count {
      total += try string().count
      offsets.append(total)
    }
    let packed = [UInt8](unsafeUninitializedCapacity: total) { buffer, initialized in
      var place = start
      for (first, end) in zip(offsets, offsets.dropFirst()) {
        place += MemoryLayout<UInt64>.size
        UnsafeMutableRawBufferPointer(rebasing: UnsafeMutableRawBufferPointer(buffer)[first..<end])
          .copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[place..<(place + end - first)]))
        place += end - first
      }
      initialized = total
    }
    guard let strings = PackedStrings(bytes: packed, offsets: offsets) else { throw error("its strings are damaged") }
    return strings
  }

  // MARK: Tensors

  private struct Description {
    let name: String
    let dataType: DataType
    let shape: [Int]
    let elementCount: Int
    let byteCount: Int
    /// From the start of the data section.
    let offset: UInt64
  }

  private mutating func tensorDescriptions(_ count: Int) throws(CheckpointError) -> [Description] {
    var descriptions: [Description] = []
    descriptions.reserveCapacity(count)
    var names = Set<String>(minimumCapacity: count)
    for index in 0..<count {
      field = "tensor \(index)"
      let name = try name("name", atMost: GGUFLimits.tensorNameBytes)
      field = "tensor \(name.printable)"
      guard names.insert(name).inserted else { throw error("appears twice") }
      descriptions.append(try description(name))
    }
    return descriptions
  }

  private mutating func description(_ name: String) throws(CheckpointError) -> Description {
    let (shape, elementCount) = try shape()
    let type = GGUFTensorType(number: try integer())
    guard let dataType = type.dataType else { throw error("its type, \(type.name), is not supported") }
    let block = dataType.elementsPerBlock
    guard (shape.first ?? 1) % block == 0 else {
      throw error("\(dataType.name) packs \(block) elements of a row, but a row has \(shape.first ?? 1)")
    }
    guard let byteCount = dataType.bytes(forElements: elementCount) else {
      throw error("\(elementCount) elements of \(dataType.name) are too many bytes to count")
    }
    return Description(
      name: name, dataType: dataType, shape: shape, elementCount: elementCount, byteCount: byteCount,
      offset: try integer())
  }

  private mutating func shape() throws(CheckpointError) -> (shape: [Int], elementCount: Int) {
    let axes = try integer(UInt32.self)
    guard axes <= GGUFLimits.axes else { throw error("has \(axes) axes; at most \(GGUFLimits.axes) are possible") }
    var shape: [Int] = []
    var elementCount = 1
    for axis in 0..<axes {
      let length = try integer(UInt64.self)
      guard let length = Int(exactly: length), length > 0 else { throw error("axis \(axis) has length \(length)") }
      let (product, overflow) = elementCount.multipliedReportingOverflow(by: length)
      guard !overflow else { throw error("the product of its axes is too large") }
      elementCount = product
      shape.append(length)
    }
    return (shape, elementCount)
  }

  /// Turns offsets into ranges of the file, none outside it and none over another.
  private mutating func place(
    _ described: [Description], alignment: Int
  ) throws(CheckpointError) -> [GGUFTensor] {
    // The data section begins at the next multiple of the alignment.
    let start = (offset + alignment - 1) / alignment * alignment
    var tensors: [GGUFTensor] = []
    tensors.reserveCapacity(described.count)
    for tensor in described {
      field = "tensor \(tensor.name.printable)"
      guard tensor.offset % UInt64(alignment) == 0 else {
        throw error("its offset \(tensor.offset) is not a multiple of the alignment \(alignment)")
      }
      guard start <= bytes.count, tensor.offset <= UInt64(bytes.count - start),
        tensor.byteCount <= bytes.count - start - Int(tensor.offset)
      else {
        throw error(
          "its \(tensor.byteCount) bytes at offset \(tensor.offset) reach beyond the end of the file, "
            + "which has \(bytes.count) bytes; the file is truncated or damaged")
      }
      let first = start + Int(tensor.offset)
      tensors.append(
        GGUFTensor(
          name: tensor.name, dataType: tensor.dataType, shape: tensor.shape, elementCount: tensor.elementCount,
          source: source, byteRange: first..<(first + tensor.byteCount)))
    }
    try checkOverlaps(tensors)
    return tensors
  }

  private mutating func checkOverlaps(_ tensors: [GGUFTensor]) throws(CheckpointError) {
    let byPlace = tensors.sorted { $0.byteRange.lowerBound < $1.byteRange.lowerBound }
    for (before, after) in zip(byPlace, byPlace.dropFirst())
    where before.byteRange.upperBound > after.byteRange.lowerBound {
      field = "tensor \(after.name.printable)"
      throw error("shares bytes with tensor \(before.name.printable)")
    }
  }

  // MARK: Bytes

  private var remaining: Int { bytes.count - offset }

  private mutating func take(_ count: Int) throws(CheckpointError) -> UnsafeRawBufferPointer {
    guard count <= remaining else {
      throw error("the file ends at byte \(bytes.count), in the middle of this; it is truncated or damaged")
    }
    defer { offset += count }
    return UnsafeRawBufferPointer(rebasing: bytes[offset..<(offset + count)])
  }

  private mutating func integer<T: FixedWidthInteger & BitwiseCopyable>(
    _ type: T.Type = T.self
  ) throws(CheckpointError) -> T {
    T(littleEndian: try take(MemoryLayout<T>.size).loadUnaligned(as: type))
  }

  private mutating func string() throws(CheckpointError) -> UnsafeRawBufferPointer {
    let length = try integer(UInt64.self)
    guard length <= UInt64(remaining) else {
      throw error("a string of \(length) bytes is announced where \(remaining) are left in the file")
    }
    return try take(Int(length))
  }

  private mutating func name(_ what: String, atMost limit: Int) throws(CheckpointError) -> String {
    let bytes = try string()
    guard bytes.count <= limit else { throw error("its \(what) has \(bytes.count) bytes, more than \(limit)") }
    guard let name = String(validating: bytes, as: UTF8.self) else { throw error("its \(what) is not UTF-8") }
    guard name.isName else { throw error("its \(what) is empty or not printable: “\(name.printable)”") }
    return name
  }

  private func error(_ message: String) -> CheckpointError {
    CheckpointError(path: path, field: field, message: message)
  }
}

extension GGUFMetadata {
  /// Tensors begin at multiples of this many bytes.
  func alignment() throws(CheckpointError) -> Int {
    guard let alignment = try int(GGUFLimits.alignmentKey, in: GGUFLimits.alignments) else {
      return GGUFLimits.defaultAlignment
    }
    guard alignment & (alignment - 1) == 0 else {
      throw error(GGUFLimits.alignmentKey, "expected a power of two, found \(alignment)")
    }
    return alignment
  }
}
