// One entry of a GGUF file's tensor list, which carries its file with it.
import Tensors

/// A tensor of a GGUF file: what it is and where its bytes are.
public struct GGUFTensor: Sendable {
  public let name: String
  public let dataType: DataType
  /// Elements along each axis, up to 4 of them, in GGUF's order: the first is the length of a row, whose elements lie
  /// next to each other. A projection from `width` to `outputs` is `[width, outputs]`; a single number has no axes.
  public let shape: [Int]
  /// Elements in all.
  public let elementCount: Int
  /// What holds the bytes: the mapped file, or its part if it is split.
  public let source: any ByteSource
  /// Where the elements are in ``source``; checked to lie inside it.
  public let byteRange: Range<Int>

  /// The stored elements, valid while ``source`` lives.
  public var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: source.bytes[byteRange]) }

  /// Elements of a row.
  public var rowLength: Int { shape.first ?? 1 }
  /// Rows in all.
  public var rowCount: Int { elementCount / rowLength }
}

extension GGUFTensor {
  /// A tensor in memory.
  /// - Parameter bytes: as many as `shape` takes in this data type.
  package init(name: String, dataType: DataType, shape: [Int], bytes: [UInt8]) {
    self.init(
      name: name, dataType: dataType, shape: shape, elementCount: shape.reduce(1, *), source: OwnedBytes(bytes),
      byteRange: 0..<bytes.count)
  }
}
