// Writes safetensors, so that what Malmoi trains or merges can be used by all that read Hugging Face folders.
import Foundation
import JSON
import OrderedCollections
import Tensors
import Tokenization

/// A safetensors file in the making, or several of them and their index.
///
/// Tensors are described first and deliver their bytes when the file is written, one after the other, so that a model
/// never needs to be in memory as a whole.
public struct SafetensorsWriter {
  /// Delivers a tensor's bytes by calling `append` as often as it likes.
  public typealias Content = (_ append: (UnsafeRawBufferPointer) throws -> Void) throws -> Void

  private struct Entry {
    let name: String
    let elementType: SafetensorsElementType
    let shape: [Int]
    let byteCount: Int
    let content: Content
  }

  /// Where the file will be.
  public let path: String
  /// Notes in the file; transformers wants to know a `format`, which without another is `pt`.
  public var metadata: [String: String] = ["format": "pt"]
  private var entries: [Entry] = []
  private var names: Set<String> = []

  public init(path: String) {
    self.path = path
  }

  /// Announces a tensor.
  /// - Parameters:
  ///   - shape: elements along each axis, slowest first
  ///   - content: delivers exactly the bytes of that many elements
  /// - Throws: ``CheckpointError`` for a name or shape that a file cannot have.
  public mutating func addTensor(
    _ name: String, elementType: SafetensorsElementType, shape: [Int], content: @escaping Content
  ) throws(CheckpointError) {
    func error(_ message: String) -> CheckpointError {
      CheckpointError(path: path, field: "tensor \(name.printable)", message: message)
    }
    guard name.isName, name != SafetensorsLimits.metadataKey else { throw error("its name is not possible") }
    guard names.insert(name).inserted else { throw error("is added twice") }
    guard shape.count <= SafetensorsLimits.axes, let byteCount = elementType.byteCount(of: shape) else {
      throw error("the shape \(shape) is not possible for \(elementType.rawValue)")
    }
    entries.append(Entry(name: name, elementType: elementType, shape: shape, byteCount: byteCount, content: content))
  }

  /// Announces a tensor whose bytes are in memory.
  public mutating func addTensor(
    _ name: String, elementType: SafetensorsElementType, shape: [Int], bytes: [UInt8]
  ) throws(CheckpointError) {
    try addTensor(name, elementType: elementType, shape: shape) { append in try bytes.withUnsafeBytes(append) }
  }

  /// Writes the file; it takes its name only when it is complete and on the disk.
  ///
  /// If the tensors are more than `mostBytes`, several files are written instead, `model-00001-of-00003.safetensors`
  /// and so on for `model.safetensors`, and `model.safetensors.index.json`, which says what is where. A tensor is never
  /// divided. A single file that was at ``path`` before goes away when the others are complete.
  /// - Throws: ``CheckpointError``, or what a tensor's content threw; then no unfinished file is left behind.
  public func write(mostBytes: Int = .max) throws {
    let shards = shards(mostBytes: mostBytes)
    guard shards.count > 1 else { return try write(entries, to: path) }
    let stem = path.hasSuffix(".safetensors") ? String(path.dropLast(".safetensors".count)) : path
    var places: [String: String] = [:]
    for (number, shard) in shards.enumerated() {
      let shardPath = "\(stem)-\(fiveDigits(number + 1))-of-\(fiveDigits(shards.count)).safetensors"
      try write(shard, to: shardPath)
      let fileName = shardPath.split(separator: "/").last.map(String.init) ?? shardPath
      for entry in shard { places[entry.name] = fileName }
    }
    let index: JSONValue = [
      "metadata": ["total_size": .int(entries.reduce(0) { $0 + $1.byteCount })],
      "weight_map": .object(
        OrderedDictionary(uniqueKeysWithValues: places.sorted { $0.key < $1.key }.map { ($0, .string($1)) })),
    ]
    let file = try AtomicFile(path: path + ".index.json")
    try Array((index.text(indent: 2) + "\n").utf8).withUnsafeBytes { try file.append($0) }
    try file.commit()
    // A single file is what readers look for first.
    if FileManager.default.fileExists(atPath: path) { try FileManager.default.removeItem(atPath: path) }
  }

  /// The whole file in memory.
  package func encoded() throws -> [UInt8] {
    var bytes: [UInt8] = []
    try emit(entries) { bytes.append(contentsOf: $0) }
    return bytes
  }

  /// The tensors in the order of their announcement, cut before one that would make a file larger than `mostBytes`.
  private func shards(mostBytes: Int) -> [[Entry]] {
    var shards: [[Entry]] = [[]], size = 0
    for entry in entries {
      let (sum, overflow) = size.addingReportingOverflow(entry.byteCount)
      let fits = !overflow && sum <= mostBytes
      if !fits, shards[shards.count - 1].isEmpty == false { shards.append([]) }
      size = fits ? sum : entry.byteCount
      shards[shards.count - 1].append(entry)
    }
    return shards
  }

  private func fiveDigits(_ number: Int) -> String {
    let digits = String(number)
    return String(repeating: "0", count: max(0, 5 - digits.count)) + digits
  }

  private func write(_ entries: [Entry], to path: String) throws {
    let file = try AtomicFile(path: path)
    try emit(entries) { try file.append($0) }
    try file.commit()
  }

  private func emit(_ entries: [Entry], _ append: (UnsafeRawBufferPointer) throws -> Void) throws {
    // As the safetensors library has it: large elements first, so that all of them are aligned.
    let order = Dictionary(uniqueKeysWithValues: SafetensorsElementType.allCases.enumerated().map { ($1, $0) })
    let sorted = entries.sorted {
      let (left, right) = (order[$0.elementType] ?? 0, order[$1.elementType] ?? 0)
      return left == right ? $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) : left > right
    }
    try head(sorted).withUnsafeBytes(append)
    for entry in sorted {
      var delivered = 0
      try entry.content { bytes in
        delivered += bytes.count
        guard delivered <= entry.byteCount else { throw wrongSize(entry, delivered) }
        try append(bytes)
      }
      guard delivered == entry.byteCount else { throw wrongSize(entry, delivered) }
    }
  }

  private func wrongSize(_ entry: Entry, _ delivered: Int) -> CheckpointError {
    CheckpointError(
      path: path, field: "tensor \(entry.name)",
      message: "\(entry.shape) of \(entry.elementType.rawValue) takes \(entry.byteCount) bytes, "
        + "but \(delivered) were delivered")
  }

  /// Everything before the tensors' bytes: the length of the JSON text, and the text with spaces up to 8 bytes.
  private func head(_ entries: [Entry]) throws(CheckpointError) -> [UInt8] {
    var fields: OrderedDictionary<String, JSONValue> = [:]
    if !metadata.isEmpty {
      fields[SafetensorsLimits.metadataKey] = .object(
        OrderedDictionary(uniqueKeysWithValues: metadata.sorted { $0.key < $1.key }.map { ($0, .string($1)) }))
    }
    var offset = 0
    for entry in entries {
      let (end, overflow) = offset.addingReportingOverflow(entry.byteCount)
      guard !overflow else { throw CheckpointError(path: path, message: "the tensors are too many bytes for one file") }
      fields[entry.name] = [
        "dtype": .string(entry.elementType.rawValue), "shape": .array(entry.shape.map(JSONValue.int)),
        "data_offsets": [.int(offset), .int(end)],
      ]
      offset = end
    }
    var text = Array(JSONValue.object(fields).text().utf8)
    text.append(contentsOf: repeatElement(UInt8(ascii: " "), count: (8 - text.count % 8) % 8))
    guard text.count <= SafetensorsLimits.headerBytes else {
      throw CheckpointError(path: path, message: "the names and shapes of the tensors take more than 100 million bytes")
    }
    return withUnsafeBytes(of: UInt64(text.count).littleEndian) { Array($0) } + text
  }
}
