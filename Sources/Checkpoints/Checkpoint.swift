// What a model is built from, wherever it came from: metadata and tensors under GGUF's names.

import Tensors

/// How large a tensor is, and how it is stored.
public struct TensorSize: Sendable {
  public var dataType: DataType
  public var elementCount: Int
  public var byteCount: Int

  package init(dataType: DataType, elementCount: Int, byteCount: Int) {
    self.dataType = dataType
    self.elementCount = elementCount
    self.byteCount = byteCount
  }
}

/// A model's metadata and tensors, named as GGUF names them. A GGUF file is one as it stands; a Hugging Face folder is
/// presented as one, so that loading, converting and quantizing know a single form.
public protocol Checkpoint: Sendable {
  /// The file or folder, for error messages.
  var path: String { get }
  var metadata: GGUFMetadata { get }
  /// All tensors, in the order of the file.
  var tensorNames: [String] { get }
  /// What all tensors take, in no order.
  var sizes: [TensorSize] { get }
  /// Bytes of the file, or of all files together.
  var byteCount: Int { get }
  func contains(_ name: String) -> Bool
  /// Along its slowest axis, how many tensors of like shape are one: the experts of a layer. Nil if there is none.
  func partCount(of name: String) -> Int?
  /// One of the tensors that are one along the slowest axis, without the others being read.
  func part(_ index: Int, of name: String) throws(CheckpointError) -> GGUFTensor?
  /// The tensor of this name, nil if there is none. What a folder keeps in another form is brought into GGUF's here.
  func tensor(_ name: String) throws(CheckpointError) -> GGUFTensor?
}

extension Checkpoint {
  /// The tensor of this name.
  /// - Throws: ``CheckpointError`` that names it when it is missing.
  public func tensor(required name: String) throws(CheckpointError) -> GGUFTensor {
    guard let tensor = try tensor(name) else {
      throw CheckpointError(path: path, field: "tensor \(name)", message: "missing")
    }
    return tensor
  }
}

/// A checkpoint some of whose tensors are others than those of the one below.
package protocol CheckpointOverlay: Checkpoint {
  var base: any Checkpoint { get }
}

extension GGUFFile: Checkpoint {
  public var tensorNames: [String] { tensors.map(\.name) }

  public var sizes: [TensorSize] {
    tensors.map { TensorSize(dataType: $0.dataType, elementCount: $0.elementCount, byteCount: $0.byteRange.count) }
  }

  public func contains(_ name: String) -> Bool { tensor(name) != nil }

  public func part(_ index: Int, of name: String) -> GGUFTensor? {
    guard let tensor = tensor(name), let count = partCount(of: name), index < count else { return nil }
    let rows = tensor.rowCount / count
    return tensor.rows(index * rows..<(index + 1) * rows)
  }

  public func partCount(of name: String) -> Int? { tensor(name).map { $0.shape.count > 2 ? $0.shape[2] : 1 } }
}
