// A Hugging Face model is a folder: one safetensors file, or several and an index that says which tensor is where.
import Foundation
import JSON
import Tensors
import Tokenization

/// The weights of a model in a Hugging Face folder, `model.safetensors` or the files that
/// `model.safetensors.index.json` names, presented as one set of tensors.
public final class SafetensorsFolder: Sendable {
  static let fileName = "model.safetensors"
  static let indexName = fileName + ".index.json"

  public let path: String
  /// The files that hold the tensors, in the order of their names.
  public let files: [SafetensorsFile]
  /// All tensors, file by file in the order of their bytes; of a sharded model, those that the index has.
  public let tensors: [SafetensorsTensor]
  private let indices: [String: Int]

  /// Opens the folder at `path`.
  /// - Throws: ``CheckpointError`` that names the file, the tensor, and what was expected.
  public init(path: String) throws(CheckpointError) {
    self.path = path
    func place(_ name: String) -> String { path.hasSuffix("/") ? path + name : "\(path)/\(name)" }
    func exists(_ name: String) -> Bool { FileManager.default.fileExists(atPath: place(name)) }
    if exists(Self.fileName) {
      files = [try SafetensorsFile(path: place(Self.fileName))]
      tensors = files[0].tensors
    } else if exists(Self.indexName) {
      let index = try SafetensorsIndex(path: place(Self.indexName))
      var files: [SafetensorsFile] = []
      for name in index.files { files.append(try SafetensorsFile(path: place(name))) }
      self.files = files
      tensors = try index.tensors(of: files)
    } else {
      let pickle = ["pytorch_model.bin", "pytorch_model.bin.index.json"].first(where: exists)
      throw CheckpointError(
        path: path,
        message: pickle.map {
          "holds \($0) and no safetensors; such files can run code when they are read, so convert the model to "
            + "safetensors (save_pretrained of transformers does)"
        } ?? "holds neither \(Self.fileName) nor \(Self.indexName)")
    }
    indices = Dictionary(uniqueKeysWithValues: tensors.enumerated().map { ($1.name, $0) })
  }

  /// Bytes of all files.
  public var byteCount: Int { files.reduce(0) { $0 + $1.byteCount } }

  /// The names of all tensors.
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

/// Which file has which tensor (`weight_map` of `model.safetensors.index.json`).
package struct SafetensorsIndex {
  private static let field = "weight_map"
  /// As a header's.
  private static let mostBytes = SafetensorsLimits.headerBytes

  private let path: String
  /// The file of each tensor.
  package let places: [String: String]
  /// Names of files in the index's folder, sorted.
  package let files: [String]

  init(path: String) throws(CheckpointError) {
    let file = try MappedFile.ofCheckpoint(path)
    defer { withExtendedLifetime(file) {} }
    try self.init(parsing: file.bytes, path: path)
  }

  package init(parsing text: some Collection<UInt8>, path: String) throws(CheckpointError) {
    self.path = path
    guard text.count <= Self.mostBytes else {
      throw CheckpointError(path: path, message: "has \(text.count) bytes, more than 100 million")
    }
    var places: [String: String] = [:]
    do throws(JSONError) {
      for (name, value) in try JSONField(JSONValue(parsing: text)).required(Self.field).object() {
        let field = JSONField(value, path: "\(Self.field).\(name.printable)")
        let file = try field.string()
        // A name and no path: an index must not lead out of its folder.
        guard file.hasSuffix(".safetensors"), file.isName, !file.hasPrefix("."), !file.contains("/") else {
          throw field.error("expected the name of a safetensors file in the same folder, found “\(file.printable)”")
        }
        places[name] = file
      }
    } catch {
      throw CheckpointError(path: path, field: error.field, message: error.message)
    }
    guard !places.isEmpty else { throw CheckpointError(path: path, field: Self.field, message: "is empty") }
    self.places = places
    files = Set(places.values).sorted()
  }

  /// The tensors that the index has, each from its file.
  /// - Parameter opened: the files in the order of ``files``
  func tensors(of opened: [SafetensorsFile]) throws(CheckpointError) -> [SafetensorsTensor] {
    var tensors: [SafetensorsTensor] = []
    tensors.reserveCapacity(places.count)
    for (name, file) in zip(files, opened) { tensors += file.tensors.filter { places[$0.name] == name } }
    guard tensors.count == places.count else {
      let found = Set(tensors.map(\.name))
      let missing = places.keys.filter { !found.contains($0) }.min() ?? ""
      throw CheckpointError(
        path: path, field: "\(Self.field).\(missing.printable)", message: "\(places[missing] ?? "") has no such tensor")
    }
    return tensors
  }
}
