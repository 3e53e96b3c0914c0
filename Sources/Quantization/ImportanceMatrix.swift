// How much each column of each matrix matters: the mean square of what it is multiplied with while a model reads.
import Checkpoints
import Tensors

/// Importance of columns, by the names of the tensors that they belong to.
public struct ImportanceMatrix: Sendable {
  /// Sums over what has been seen; a tensor of several experts has one part for each.
  public struct Entry: Sendable {
    /// Sums of squares, columns after columns.
    public var squares: [Float]
    /// Rows that were summed, one count for each part.
    public var counts: [Float]

    public init(squares: [Float], counts: [Float]) {
      self.squares = squares
      self.counts = counts
    }
  }

  public var entries: [String: Entry]
  /// What was read, such as the name of a file.
  public var dataset: String
  /// Windows that were read, and the tokens of each.
  public var windows, windowTokens: Int

  public init(entries: [String: Entry], dataset: String, windows: Int, windowTokens: Int) {
    self.entries = entries
    self.dataset = dataset
    self.windows = windows
    self.windowTokens = windowTokens
  }

  /// - Throws: ``QuantizationError`` when the entry is of another model.
  func check(_ tensor: QuantizationTensor) throws(QuantizationError) {
    guard let entry = entries[tensor.name] else { return }
    let parts = entry.counts.count
    guard parts > 0, entry.squares.count == tensor.columns * parts, parts == 1 || tensor.rows % parts == 0 else {
      throw QuantizationError(
        "the importance of \(tensor.name) has \(entry.squares.count) columns in \(parts) parts, where the tensor has "
          + "the shape \(tensor.shape)")
    }
  }

  /// The weights for a row and those after it, up to `end`; nil when nothing is known.
  func weights(for tensor: QuantizationTensor, row: Int) -> (weights: [Float]?, end: Int) {
    guard let entry = entries[tensor.name] else { return (nil, tensor.rows) }
    let rowsPerPart = tensor.rows / entry.counts.count, part = row / rowsPerPart
    let count = entry.counts[part], end = (part + 1) * rowsPerPart
    guard count > 0 else { return (nil, end) }
    return (entry.squares[part * tensor.columns..<(part + 1) * tensor.columns].map { $0 / count }, end)
  }

  /// Says in a file's metadata what it was quantized with, as llama.cpp does.
  func describe(in metadata: inout GGUFMetadata) {
    metadata.set("quantize.imatrix.dataset", .string(dataset))
    metadata.set("quantize.imatrix.entries_count", .uint32(UInt32(clamping: entries.count)))
    metadata.set("quantize.imatrix.chunks_count", .uint32(UInt32(clamping: windows)))
  }
}
