// Adapters as people name them: folders, each with a weight, to be put into a model for use.
import Checkpoints
import Foundation
import JSON
import Layers
import Models
import Tensors
import Tokenization

/// A folder with an adapter, and how much of it is wanted.
public struct AdapterReference: Sendable, Equatable {
  public var path: String
  /// 1 for the adapter as it is; others are for LoRA.
  public var weight: Float

  public init(path: String, weight: Float = 1) {
    self.path = path
    self.weight = weight
  }

  /// The file beside an adapter that names the labels of a classifier which came with it.
  static let labelsFile = "labels.json"

  /// Names the labels of a classifier that is in this folder.
  /// - Throws: `CheckpointError` where the file cannot be written.
  public func write(labels: [String]) throws {
    let file = try AtomicFile(path: path + "/" + Self.labelsFile)
    let text = JSONValue.array(labels.map { .string($0) }).text(indent: 2) + "\n"
    try Array(text.utf8).withUnsafeBytes(file.append)
    try file.commit()
  }

  /// The labels of a classifier that the folder brings: as `labels.json` names them, else numbered; nil for none.
  /// - Throws: ``AdapterError`` or `CheckpointError` that names the file and what is wrong with it.
  public func labels() throws -> [String]? {
    let file = path + "/" + Self.labelsFile
    if let bytes = FileManager.default.contents(atPath: file) {
      do {
        return try JSONField(JSONValue(parsing: Array(bytes))).strings()
      } catch {
        throw AdapterError(path: file, field: error.field, message: error.message)
      }
    }
    let tensors = path + "/adapter_model.safetensors"
    guard FileManager.default.fileExists(atPath: tensors) else { return nil }
    let endings = ["classifier.weight", "classifier.out_proj.weight", "classifier.output"]
    let scores = try SafetensorsFile(path: tensors).tensors.first { tensor in
      tensor.shape.count == 2 && endings.contains { tensor.name.hasSuffix($0) }
    }
    return scores.map { (0..<min($0.shape[0], 1 << 16)).map { "LABEL_\($0)" } }
  }
}

extension Adapter {
  /// What several folders do together, each with its weight.
  /// - Throws: ``AdapterError`` or `CheckpointError` for a folder that does not fit the model, and for methods of which
  ///   no sum can be made.
  public init(_ references: [AdapterReference], for model: some AdaptableModel, of checkpoint: any Checkpoint) throws {
    // Methods that transformers has no names for do without.
    let modules = try? ModelRegistry.modules(of: checkpoint)
    let parts = try references.map { reference in
      (adapter: try Adapter(folder: reference.path, for: model, modules: modules), weight: reference.weight)
    }
    self = try Adapter.combined(parts)
  }
}

extension AdaptableModel {
  /// Puts adapters into a model that is to be used and not trained. Nothing happens without any.
  /// - Parameter checkpoint: what the model was loaded from.
  /// - Throws: what ``Adapter/init(_:for:of:)`` throws.
  public mutating func apply(_ references: [AdapterReference], of checkpoint: any Checkpoint) throws {
    guard !references.isEmpty else { return }
    try Adapter(references, for: self, of: checkpoint).apply(to: &self)
    try prepareAdapters()
  }
}
