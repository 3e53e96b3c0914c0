// Writes GGUF version 3, so that what Malmoi trains, converts or quantizes can be run by every program that reads it.
import Tensors
import Tokenization

/// A GGUF file in the making: its metadata and the tensors it will hold.
///
/// Tensors are described first and deliver their bytes when the file is written, one after the other, so that a model
/// never needs to be in memory as a whole.
public struct GGUFWriter {
  /// Delivers a tensor's bytes by calling `append` as often as it likes.
  public typealias Content = (_ append: (UnsafeRawBufferPointer) throws -> Void) throws -> Void

  private struct Entry {
    let name: String
    let dataType: DataType
    let shape: [Int]
    let byteCount: Int
    let content: Content
  }

  /// Where the file will be.
  public let path: String
  /// The key–value pairs to write; `general.alignment` decides how tensors are aligned (32 bytes without it).
  public var metadata: GGUFMetadata
  private var entries: [Entry] = []
  private var names: Set<String> = []

  public init(path: String) {
    self.path = path
    metadata = GGUFMetadata(path: path)
  }

  /// Announces a tensor.
  /// - Parameters:
  ///   - shape: elements along each axis, row length first, as in ``GGUFTensor/shape``
  ///   - content: delivers exactly the bytes of that many elements of `dataType`
  /// - Throws: ``CheckpointError`` for a name or shape that a GGUF file cannot have.
  public mutating func addTensor(
    _ name: String, dataType: DataType, shape: [Int], content: @escaping Content
  ) throws(CheckpointError) {
    func error(_ message: String) -> CheckpointError {
      CheckpointError(path: path, field: "tensor \(name.printable)", message: message)
    }
    guard name.isName, name.utf8.count <= GGUFLimits.tensorNameBytes else {
      throw error("its name must have 1 to \(GGUFLimits.tensorNameBytes) printable bytes")
    }
    guard names.insert(name).inserted else { throw error("is added twice") }
    guard shape.count <= GGUFLimits.axes, shape.allSatisfy({ $0 > 0 }), let elements = shape.product,
      (shape.first ?? 1) % dataType.elementsPerBlock == 0, let byteCount = dataType.bytes(forElements: elements)
    else { throw error("the shape \(shape) is not possible for \(dataType.name)") }
    entries.append(Entry(name: name, dataType: dataType, shape: shape, byteCount: byteCount, content: content))
  }

  /// Announces a tensor whose bytes are in memory.
  public mutating func addTensor(
    _ name: String, dataType: DataType, shape: [Int], bytes: [UInt8]
  ) throws(CheckpointError) {
    try addTensor(name, dataType: dataType, shape: shape) { append in try bytes.withUnsafeBytes(append) }
  }

  /// Writes the file; it takes its name only when it is complete and on the disk.
  /// - Throws: ``CheckpointError``, or what a tensor's content threw; then no file is left behind.
  public func write() throws {
    let file = try AtomicFile(path: path)
    try emit { try file.append($0) }
    try file.commit()
  }

  /// The whole file in memory.
  package func encoded() throws -> [UInt8] {
    var bytes: [UInt8] = []
    try emit { bytes.append(contentsOf: $0) }
    return bytes
  }

  private func emit(_ append: (UnsafeRawBufferPointer) throws -> Void) throws {
    let alignment = try metadata.alignment()
    var head = try head(alignment: alignment)
    if !entries.isEmpty { head.append(zeros: padding(after: head.count, to: alignment)) }
    try head.withUnsafeBytes(append)
    for entry in entries {
      var delivered = 0
      try entry.content { bytes in
        delivered += bytes.count
        guard delivered <= entry.byteCount else { throw wrongSize(entry, delivered) }
        try append(bytes)
      }
      guard delivered == entry.byteCount else { throw wrongSize(entry, delivered) }
      try [UInt8](repeating: 0, count: padding(after: delivered, to: alignment)).withUnsafeBytes(append)
    }
  }

  private func wrongSize(_ entry: Entry, _ delivered: Int) -> CheckpointError {
    CheckpointError(
      path: path, field: "tensor \(entry.name)",
      message: "\(entry.shape) of \(entry.dataType.name) takes \(entry.byteCount) bytes, "
        + "but \(delivered) were delivered")
  }

  /// Everything before the tensors' bytes.
  private func head(alignment: Int) throws(CheckpointError) -> [UInt8] {
    var head = Array("GGUF".utf8)
    head.append(number: UInt32(3))
    head.append(number: UInt64(entries.count))
    head.append(number: UInt64(metadata.keys.count))
    for key in metadata.keys {
      guard key.isName, key.utf8.count <= GGUFLimits.keyBytes else {
        throw CheckpointError(path: path, field: "key \(key.printable)", message: "is empty, too long or not printable")
      }
      guard let value = metadata[key] else { continue }
      head.append(string: key.utf8)
      head.append(number: value.type.rawValue)
      head.append(value)
    }
    var offset = 0
    for entry in entries {
      head.append(string: entry.name.utf8)
      head.append(number: UInt32(entry.shape.count))
      for length in entry.shape { head.append(number: UInt64(length)) }
      head.append(number: GGUFTensorType(entry.dataType).number)
      head.append(number: UInt64(offset))
      // A sum of sizes that fit; only their total may not.
      let (end, overflow) = offset.addingReportingOverflow(entry.byteCount)
      guard !overflow, end <= Int.max - alignment else {
        throw CheckpointError(path: path, message: "the tensors are too many bytes for one file")
      }
      offset = end + padding(after: end, to: alignment)
    }
    return head
  }

  private func padding(after count: Int, to alignment: Int) -> Int {
    (alignment - count % alignment) % alignment
  }
}

extension [Int] {
  /// The product of the elements, or nil if it does not fit.
  fileprivate var product: Int? {
    reduce(1) { product, factor in
      guard let (result, overflow) = product?.multipliedReportingOverflow(by: factor), !overflow else { return nil }
      return result
    }
  }
}

extension [UInt8] {
  fileprivate mutating func append(number: some FixedWidthInteger) {
    Swift.withUnsafeBytes(of: number.littleEndian) { append(contentsOf: $0) }
  }

  fileprivate mutating func append(string: some Collection<UInt8>) {
    append(number: UInt64(string.count))
    append(contentsOf: string)
  }

  fileprivate mutating func append(zeros count: Int) {
    append(contentsOf: repeatElement(0, count: count))
  }

  fileprivate mutating func append(_ value: GGUFValue) {
    switch value {
    case .uint8(let number): append(number)
    case .int8(let number): append(number: number)
    case .uint16(let number): append(number: number)
    case .int16(let number): append(number: number)
    case .uint32(let number): append(number: number)
    case .int32(let number): append(number: number)
    case .uint64(let number): append(number: number)
    case .int64(let number): append(number: number)
    case .float32(let number): append(number: number.bitPattern)
    case .float64(let number): append(number: number.bitPattern)
    case .bool(let flag): append(flag ? 1 : 0)
    case .string(let string): append(string: string.utf8)
    case .array(let array): append(array)
    }
  }

  private mutating func append(_ array: GGUFArray) {
    append(number: array.elementType.rawValue)
    append(number: UInt64(array.count))
    switch array.storage {
    case .packed(let bytes): append(contentsOf: bytes)
    case .strings(let strings): for string in strings { append(string: string) }
    case .arrays(let arrays): for array in arrays { append(array) }
    }
  }
}
