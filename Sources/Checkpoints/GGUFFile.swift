// The door to GGUF: opens a file, or all parts of a split one, and presents one set of metadata and tensors.
import Tensors
import Tokenization

/// A GGUF file (version 2 or 3), mapped into memory and checked from end to end of its structure.
///
/// Opening reads the head of the file only; the tensors' bytes are brought in by whoever touches them.
public final class GGUFFile: Sendable {
  public let path: String
  /// The format's version.
  public let version: Int
  /// Tensors begin at multiples of this many bytes.
  public let alignment: Int
  public let metadata: GGUFMetadata
  /// All tensors, those of all parts if the file is split, in the order of the file.
  public let tensors: [GGUFTensor]
  /// Bytes of the file, of all parts together.
  public let byteCount: Int
  private let indices: [String: Int]

  /// Opens the file at `path`; if it is one part of a split file, `…-00001-of-00003.gguf`, all parts.
  /// - Throws: ``CheckpointError`` that names the file, the key or tensor, and what was expected.
  public convenience init(path: String) throws(CheckpointError) {
    let opened = try Part(path: path)
    guard let split = try SplitPosition(opened.contents.metadata) else {
      try self.init(path: path, parts: [opened])
      return
    }
    try self.init(path: path, parts: try split.allParts(of: opened))
  }

  /// Reads a whole file from memory.
  /// - Parameter name: stands for the path in errors
  package convenience init(data: [UInt8], name: String) throws(CheckpointError) {
    let part = try Part(path: name, source: OwnedBytes(data))
    if let split = try SplitPosition(part.contents.metadata) {
      throw part.contents.metadata.error(
        SplitPosition.countKey, "this is one of \(split.count) parts, which can only be opened from a folder")
    }
    try self.init(path: name, parts: [part])
  }

  /// - Parameter parts: not empty; the first has the metadata of the whole
  private init(path: String, parts: [Part]) throws(CheckpointError) {
    self.path = path
    version = parts[0].contents.version
    alignment = parts[0].contents.alignment
    metadata = parts[0].contents.metadata
    byteCount = parts.reduce(0) { $0 + $1.source.bytes.count }
    tensors = parts.flatMap(\.contents.tensors)
    var indices = [String: Int](minimumCapacity: tensors.count)
    var index = 0
    for part in parts {
      for tensor in part.contents.tensors {
        guard indices.updateValue(index, forKey: tensor.name) == nil else {
          throw CheckpointError(
            path: part.path, field: "tensor \(tensor.name)", message: "is in an earlier part of the split file too")
        }
        index += 1
      }
    }
    self.indices = indices
  }

  /// The tensor of this name, if there is one.
  public func tensor(_ name: String) -> GGUFTensor? { indices[name].map { tensors[$0] } }

  /// The tensor of this name.
  /// - Throws: ``CheckpointError`` that names it when it is missing.
  public func tensor(required name: String) throws(CheckpointError) -> GGUFTensor {
    guard let tensor = tensor(name) else {
      throw CheckpointError(path: path, field: "tensor \(name)", message: "missing")
    }
    return tensor
  }

  /// One file on disk or in memory.
  struct Part {
    let path: String
    let source: any ByteSource
    let contents: GGUFContents

    init(path: String) throws(CheckpointError) {
      try self.init(path: path, source: MappedFile.ofCheckpoint(path))
    }

    init(path: String, source: any ByteSource) throws(CheckpointError) {
      self.path = path
      self.source = source
      contents = try GGUFParser.parse(source, path: path)
    }
  }
}
