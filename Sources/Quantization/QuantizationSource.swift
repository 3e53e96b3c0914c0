// What a model is quantized from: names, shapes and rows of floats, wherever they come from.
import Checkpoints
import Tensors

/// A model in any form, as its quantizer reads it.
public protocol QuantizationSource {
  /// What error messages call it.
  var path: String { get }
  /// What the GGUF file that is made will say of the model.
  var metadata: GGUFMetadata { get }
  var tensors: [QuantizationTensor] { get }
}

/// A tensor that can deliver any of its rows.
public struct QuantizationTensor: Sendable {
  /// The tensor's name in GGUF, such as `blk.0.attn_q.weight`.
  public let name: String
  /// Elements along each axis, row length first.
  public let shape: [Int]
  /// How the source keeps its elements.
  public let dataType: DataType
  /// Writes rows to memory that has room for exactly them; called from several threads at once.
  public let readRows: @Sendable (Range<Int>, UnsafeMutableBufferPointer<Float>) throws -> Void
  /// Writes the stored bytes of rows, if the source keeps them as a GGUF file would; they are never rounded again.
  public let readBytes: (@Sendable (Range<Int>, UnsafeMutableRawBufferPointer) throws -> Void)?

  public init(
    name: String, shape: [Int], dataType: DataType,
    readRows: @escaping @Sendable (Range<Int>, UnsafeMutableBufferPointer<Float>) throws -> Void,
    readBytes: (@Sendable (Range<Int>, UnsafeMutableRawBufferPointer) throws -> Void)? = nil
  ) {
    self.name = name
    self.shape = shape
    self.dataType = dataType
    self.readRows = readRows
    self.readBytes = readBytes
  }

  /// Elements in all; ``Quantizer`` has checked that there are some and that their number fits.
  public var elementCount: Int { shape.reduce(1, *) }
  /// Elements of a row.
  public var columns: Int { shape.first ?? 1 }
  /// Rows in all.
  public var rows: Int { elementCount / columns }

  /// Whether every axis has elements and their product is a number.
  var isPossible: Bool {
    var product = 1
    for size in shape {
      let (next, overflow) = product.multipliedReportingOverflow(by: size)
      guard size > 0, !overflow else { return false }
      product = next
    }
    return true
  }
}

/// A GGUF file as a source; its rows are read, not mapped, so that memory stays bounded.
public struct GGUFSource: QuantizationSource {
  public let file: GGUFFile
  public var path: String { file.path }
  public var metadata: GGUFMetadata { file.metadata }

  public init(_ file: GGUFFile) {
    self.file = file
  }

  public var tensors: [QuantizationTensor] {
    file.tensors.map { tensor in
      let rowBytes = tensor.byteRange.count / max(1, tensor.rowCount), path = file.path
      let readBytes: @Sendable (Range<Int>, UnsafeMutableRawBufferPointer) throws -> Void = { rows, target in
        guard let start = target.baseAddress else { return }
        let first = tensor.byteRange.lowerBound
        do {
          try tensor.source.copy(first + rows.lowerBound * rowBytes..<first + rows.upperBound * rowBytes, to: start)
        } catch {
          throw CheckpointError(path: path, field: "tensor \(tensor.name)", message: "cannot be read: \(error)")
        }
      }
      return QuantizationTensor(
        name: tensor.name, shape: tensor.shape, dataType: tensor.dataType,
        readRows: { rows, floats in
          let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: rows.count * rowBytes, alignment: 64)
          defer { bytes.deallocate() }
          try readBytes(rows, bytes)
          tensor.dataType.dequantize(UnsafeRawBufferPointer(bytes), into: floats)
        },
        readBytes: readBytes)
    }
  }
}
