// The door to one safetensors file: its tensors by name, each in place.
import Tensors

/// A safetensors file, mapped into memory and checked from end to end of its structure.
///
/// Opening reads the head of the file only; the tensors' bytes are brought in by whoever touches them.
public final class SafetensorsFile: Sendable {
  public let path: String
  /// What the file's maker noted, such as `format: pt`.
  public let metadata: [String: String]
  /// All tensors, in the order of their bytes.
  public let tensors: [SafetensorsTensor]
  /// Bytes of the file.
  public let byteCount: Int
  private let indices: [String: Int]

  /// Opens the file at `path`.
  /// - Throws: ``CheckpointError`` that names the file, the tensor, and what was expected.
  public convenience init(path: String) throws(CheckpointError) {
    try self.init(path: path, source: try MappedFile.ofCheckpoint(path))
  }

  /// Reads a whole file from memory.
  /// - Parameter name: stands for the path in errors
  package convenience init(data: [UInt8], name: String) throws(CheckpointError) {
    try self.init(path: name, source: OwnedBytes(data))
  }

  private init(path: String, source: any ByteSource) throws(CheckpointError) {
    let header = try SafetensorsHeader(source, path: path)
    self.path = path
    metadata = header.metadata
    tensors = header.tensors
    byteCount = source.bytes.count
    indices = Dictionary(uniqueKeysWithValues: header.tensors.enumerated().map { ($1.name, $0) })
  }

  /// The names of all tensors, in the order of their bytes.
  public var names: [String] { tensors.map(\.name) }

  /// The tensor of this name, if there is one.
  public func tensor(_ name: String) -> SafetensorsTensor? { indices[name].map { tensors[$0] } }

  /// The tensor of this name.
  /// - Throws: ``CheckpointError`` that names it when it is missing.
  public func tensor(required name: String) throws(CheckpointError) -> SafetensorsTensor {
    guard let tensor = tensor(name) else {
      throw CheckpointError(path: path, field: "tensor \(name)", message: "missing")
    }
    return tensor
  }
}

extension MappedFile {
  /// Maps a file that is part of a checkpoint.
  static func ofCheckpoint(_ path: String) throws(CheckpointError) -> MappedFile {
    do {
      return try MappedFile(path: path)
    } catch {
      throw CheckpointError(path: path, message: (error as? Failure)?.reason ?? "\(error)")
    }
  }
}
