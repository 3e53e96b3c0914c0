// Quantizes a model tensor by tensor, with a few rows of one of them in memory.
import Checkpoints
import Synchronization
import Tensors

/// How a model is quantized.
public struct QuantizationOptions: Sendable {
  public var type: QuantizationType
  /// Formats for tensors by name; of several that match, the first counts.
  public var overrides: [TensorOverride] = []
  /// The format of the output head, and of an embedding that serves as one.
  public var outputType: DataType?
  /// The format of the token embedding.
  public var embeddingType: DataType?
  public var importance: ImportanceMatrix?

  public init(type: QuantizationType) {
    self.type = type
  }
}

/// Makes a quantized GGUF file of a model.
public struct Quantizer {
  public let source: any QuantizationSource
  public let options: QuantizationOptions
  /// The format of each tensor, in the source's order.
  public let plans: [TensorPlan]

  /// - Throws: ``QuantizationError`` for options that the model does not fit, or `CheckpointError` for its metadata.
  public init(_ source: any QuantizationSource, options: QuantizationOptions) throws {
    self.source = source
    self.options = options
    let tensors = source.tensors
    if let odd = tensors.first(where: { !$0.isPossible }) {
      throw QuantizationError("\(source.path): tensor \(odd.name): the shape \(odd.shape) is not possible")
    }
    plans = try Mixture(options, source.metadata).plans(tensors)
    for plan in plans where plan.dataType.isQuantized {
      try options.importance?.check(plan.tensor)
    }
  }

  /// Bytes of all tensors in the file that is made.
  public var byteCount: Int {
    plans.reduce(0) { $0 + ($1.dataType.bytes(forElements: $1.tensor.elementCount) ?? 0) }
  }

  /// How far the work is.
  public struct Progress: Sendable {
    public let tensor: String
    /// Of all tensors' elements.
    public let doneElements, allElements: Int
  }

  /// Writes the file; it takes its name only when it is complete and on the disk.
  /// - Parameters:
  ///   - pool: whose threads share the rows; the file is the same whatever their number.
  ///   - progress: called a few times per second; what it throws ends the work and leaves no file.
  /// - Throws: `CheckpointError` for what cannot be read or written and for numbers that are not finite.
  public func write(
    to path: String, pool: ThreadPool = ThreadPool(), progress: @escaping (Progress) throws -> Void = { _ in }
  ) throws {
    var writer = GGUFWriter(path: path)
    writer.metadata = metadata(path: path)
    let all = plans.reduce(0) { $0 + $1.tensor.elementCount }
    var done = 0
    for plan in plans {
      try writer.addTensor(plan.tensor.name, dataType: plan.dataType, shape: plan.tensor.shape) { append in
        try encode(plan, pool) { bytes, elements in
          try append(bytes)
          done += elements
          try progress(Progress(tensor: plan.tensor.name, doneElements: done, allElements: all))
        }
      }
    }
    try writer.write()
  }

  private func metadata(path: String) -> GGUFMetadata {
    var metadata = GGUFMetadata(path: path)
    for key in source.metadata.keys where !key.hasPrefix("split.") {
      if let value = source.metadata[key] { metadata.set(key, value) }
    }
    metadata.set("general.file_type", .uint32(options.type.fileType))
    if plans.contains(where: { $0.dataType.isQuantized }) { metadata.set("general.quantization_version", .uint32(2)) }
    options.importance?.describe(in: &metadata)
    return metadata
  }

  /// Elements of one batch of rows, and of what one thread takes of it at a time.
  private static let batchElements = 1 << 22
  private static let chunkElements = 1 << 15

  /// Delivers a tensor's bytes, batch by batch.
  private func encode(
    _ plan: TensorPlan, _ pool: ThreadPool, _ deliver: (UnsafeRawBufferPointer, Int) throws -> Void
  ) throws {
    let tensor = plan.tensor, columns = tensor.columns
    let rowBytes = plan.dataType.bytes(forElements: columns) ?? 0
    let batchRows = max(1, Self.batchElements / columns), chunkRows = max(1, Self.chunkElements / columns)
    let bytes = UnsafeMutableRawBufferPointer.allocate(
      byteCount: min(batchRows, tensor.rows) * rowBytes, alignment: 64)
    defer { bytes.deallocate() }
    for first in stride(from: 0, to: tensor.rows, by: batchRows) {
      let batch = first..<min(tensor.rows, first + batchRows)
      let failure = Mutex<(any Error)?>(nil)
      let target = UncheckedBytes(bytes: bytes)
      pool.run(chunks: (batch.count + chunkRows - 1) / chunkRows) { chunk in
        let start = batch.lowerBound + chunk * chunkRows
        let rows = start..<min(batch.upperBound, start + chunkRows)
        let offset = (start - batch.lowerBound) * rowBytes
        let part = UnsafeMutableRawBufferPointer(
          rebasing: target.bytes[offset..<offset + rows.count * rowBytes])
        do { try encode(rows, of: plan, into: part) } catch {
          failure.withLock { if $0 == nil { $0 = error } }
        }
      }
      if let error = failure.withLock({ $0 }) { throw error }
      try deliver(UnsafeRawBufferPointer(rebasing: bytes[..<(batch.count * rowBytes)]), batch.count * columns)
    }
  }

  /// Chunks write to places of their own.
  private struct UncheckedBytes: @unchecked Sendable {
    let bytes: UnsafeMutableRawBufferPointer
  }

  private func encode(_ rows: Range<Int>, of plan: TensorPlan, into bytes: UnsafeMutableRawBufferPointer) throws {
    let tensor = plan.tensor
    if tensor.dataType == plan.dataType, let readBytes = tensor.readBytes { return try readBytes(rows, bytes) }
    let floats = UnsafeMutableBufferPointer<Float>.allocate(capacity: rows.count * tensor.columns)
    defer { floats.deallocate() }
    try tensor.readRows(rows, floats)
    try check(floats, rows, plan)
    guard let importance = plan.dataType.isQuantized ? options.importance : nil else {
      return plan.dataType.quantize(UnsafeBufferPointer(floats), into: bytes)
    }
    // Experts, matrix by matrix, each have their own importance.
    let rowBytes = bytes.count / max(1, rows.count)
    var row = rows.lowerBound
    while row < rows.upperBound {
      let (weights, end) = importance.weights(for: tensor, row: row)
      let stop = min(end, rows.upperBound)
      let (from, to) = (row - rows.lowerBound, stop - rows.lowerBound)
      let values = UnsafeBufferPointer(rebasing: floats[from * tensor.columns..<to * tensor.columns])
      let target = UnsafeMutableRawBufferPointer(rebasing: bytes[from * rowBytes..<to * rowBytes])
      if let weights {
        weights.withUnsafeBufferPointer { plan.dataType.quantize(values, importance: $0, into: target) }
      } else {
        plan.dataType.quantize(values, into: target)
      }
      row = stop
    }
  }

  /// A number that is not finite, or beyond what F16 holds, would spoil every text.
  private func check(
    _ floats: UnsafeMutableBufferPointer<Float>, _ rows: Range<Int>, _ plan: TensorPlan
  ) throws(CheckpointError) {
    let limit: Float = plan.dataType == .f16 ? 65_519 : .greatestFiniteMagnitude
    var largest: Float = 0
    for value in floats { largest = value.magnitude > largest || value.isNaN ? value.magnitude : largest }
    guard !(largest <= limit), let place = floats.firstIndex(where: { !($0.magnitude <= limit) }) else { return }
    let (row, column) = (rows.lowerBound + place / plan.tensor.columns, place % plan.tensor.columns)
    throw CheckpointError(
      path: source.path, field: "tensor \(plan.tensor.name)",
      message: "row \(row), column \(column) is \(floats[place]), which \(plan.dataType.name) cannot hold")
  }
}
