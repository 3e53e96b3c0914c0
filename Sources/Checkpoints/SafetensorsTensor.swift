// One entry of a safetensors header, which carries its file with it.
import Tensors

/// A tensor of a safetensors file: what it is and where its bytes are.
public struct SafetensorsTensor: Sendable {
  public let name: String
  public let elementType: SafetensorsElementType
  /// Elements along each axis, slowest first: a projection from `width` to `outputs` is `[outputs, width]`. A single
  /// number has no axes; a length may be 0.
  public let shape: [Int]
  /// Elements in all.
  public let elementCount: Int
  /// The file that has it, as it was named by the caller.
  public let path: String
  /// What holds the bytes: the mapped file.
  public let source: any ByteSource
  /// Where the elements are in ``source``; checked to lie inside it. Nothing says that they are aligned.
  public let byteRange: Range<Int>

  /// The format to compute with; nil for types that Malmoi does not compute with.
  public var dataType: DataType? { elementType.dataType }

  /// The stored elements, little-endian, valid while ``source`` lives.
  public var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: source.bytes[byteRange]) }

  /// A complaint about this tensor.
  public func error(_ message: String) -> CheckpointError {
    CheckpointError(path: path, field: "tensor \(name.printable)", message: message)
  }
}

extension Tensor {
  /// A file's tensor, used in place where its elements are aligned, slowest axis first.
  /// - Parameter shape: the axes to give it; those of the file without it
  /// - Throws: ``CheckpointError`` when its type is not one to compute with, or `shape` has another number of elements;
  ///   `MappedFile.Failure` when the file cannot be read.
  public init(_ tensor: SafetensorsTensor, shape: Shape? = nil, backend: any Backend) throws {
    guard let dataType = tensor.dataType else {
      throw tensor.error(
        "its type, \(tensor.elementType.rawValue), is not one to compute with; expected F32, F16 or BF16")
    }
    guard tensor.elementCount > 0 else { throw tensor.error("has the shape \(tensor.shape), and so no elements") }
    guard shape.map({ $0.count == tensor.elementCount }) ?? (tensor.shape.count <= 4) else {
      let expected = shape.map { "\($0)" } ?? "at most four axes"
      throw tensor.error("has the shape \(tensor.shape), expected \(expected)")
    }
    let mapped = Tensor(
      source: tensor.source, range: tensor.byteRange, shape: shape ?? Shape(tensor.shape), dataType: dataType,
      backend: backend)
    let address = UInt(bitPattern: tensor.bytes.baseAddress)
    self = address % UInt(tensor.elementType.byteCount) == 0 ? mapped : try mapped.copied()
  }
}
