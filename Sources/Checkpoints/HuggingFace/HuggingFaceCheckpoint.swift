// A Hugging Face folder as GGUF would have it: the same names, the same order of rows, nothing copied before it is asked
// for.
import JSON
import Tensors
import Tokenization

/// A folder with `config.json` and safetensors files, presented as a ``Checkpoint``.
public final class HuggingFaceCheckpoint: Checkpoint {
  public let path: String
  public let metadata: GGUFMetadata
  public let tensorNames: [String]
  let form: HuggingFaceForm
  let transforms: [String: TensorTransform]
  private let folder: SafetensorsFolder
  private let recipes: [String: Recipe]

  /// What a tensor is made of.
  private enum Recipe {
    /// Tensors of the folder, one after another.
    case stored([String], TensorTransform)
    case made([Float])
  }

  /// - Parameters:
  ///   - config: the folder's `config.json`.
  ///   - form: the kind of model that it is.
  /// - Throws: ``CheckpointError`` that names the file and the field or tensor, and what was expected.
  public init(path: String, config: JSONField, form: HuggingFaceForm) throws(CheckpointError) {
    self.path = path
    let translation: ConfigurationTranslation
    do {
      var made = try ConfigurationTranslation(config, architecture: form.architecture, path: path + "/config.json")
      try form.describe(&made)
      translation = made
    } catch let error as JSONError {
      throw CheckpointError(path: path + "/config.json", field: error.field, message: error.message)
    } catch let error as CheckpointError {
      throw error
    } catch {
      throw CheckpointError(path: path + "/config.json", message: "\(error)")
    }
    metadata = translation.metadata
    (self.form, transforms) = (form, translation.transforms)
    folder = try SafetensorsFolder(path: path)

    var names: [String] = [], parts: [String: [(part: Int, source: String)]] = [:]
    for source in folder.names {
      guard var place = try form.place(of: source, path: path) else { continue }
      if let rename = translation.renames.first(where: { place.name.hasPrefix($0.from) }) {
        place.name = rename.to + place.name.dropFirst(rename.from.count)
      }
      if parts[place.name] == nil { names.append(place.name) }
      parts[place.name, default: []].append((place.part ?? 0, source))
    }
    // The head may be stored although it is the embedding.
    if config["tie_word_embeddings"]?.value == .bool(true), names.contains("token_embd.weight") {
      names.removeAll { $0 == "output.weight" }
    }
    var recipes: [String: Recipe] = [:]
    for name in names {
      let sources = parts[name, default: []].sorted { $0.part < $1.part }
      guard zip(sources, sources.dropFirst()).allSatisfy({ $0.part < $1.part }) else {
        throw CheckpointError(path: path, field: "tensor \(sources[0].source)", message: "is stored twice")
      }
      recipes[name] = .stored(sources.map(\.source), translation.transforms[Self.local(name)] ?? .none)
    }
    for addition in translation.additions {
      names.append(addition.name)
      recipes[addition.name] = .made(addition.values)
    }
    tensorNames = names
    self.recipes = recipes
  }

  /// `enc.blk.3.attn_q.bias` → `attn_q`
  static func local(_ name: String) -> String {
    var parts = name.split(separator: ".")
    if parts.last == "weight" || parts.last == "bias" { parts.removeLast() }
    return String(parts.last ?? "")
  }

  public var byteCount: Int { folder.byteCount }

  public var sizes: [TensorSize] {
    folder.tensors.compactMap { tensor in
      tensor.dataType.map {
        TensorSize(dataType: $0, elementCount: tensor.elementCount, byteCount: tensor.byteRange.count)
      }
    }
  }

  public func contains(_ name: String) -> Bool { recipes[name] != nil }

  /// The folder's tensors that one is made of.
  func sources(of name: String) -> [String]? {
    guard case .stored(let sources, _) = recipes[name] else { return nil }
    return sources
  }

  public func partCount(of name: String) -> Int? {
    switch recipes[name] {
    case nil: nil
    case .made: 1
    case .stored(let sources, _): sources.count
    }
  }

  public func part(_ index: Int, of name: String) throws(CheckpointError) -> GGUFTensor? {
    guard case .stored(let sources, let transform) = recipes[name], sources.indices.contains(index) else { return nil }
    return try transform.applied(to: stored(sources[index], as: name), path: path).named(name)
  }

  public func tensor(_ name: String) throws(CheckpointError) -> GGUFTensor? {
    switch recipes[name] {
    case nil: return nil
    case .made(let values):
      var bytes: [UInt8] = []
      for value in values { Swift.withUnsafeBytes(of: value.bitPattern.littleEndian) { bytes.append(contentsOf: $0) } }
      return GGUFTensor(
        name: name, dataType: .f32, shape: [values.count], elementCount: values.count, source: OwnedBytes(bytes),
        byteRange: 0..<bytes.count)
    case .stored(let sources, let transform):
      var tensors: [GGUFTensor] = []
      for source in sources { tensors.append(try stored(source, as: name)) }
      // Names in errors are the folder's until the tensor is complete.
      let whole = tensors.count == 1 ? tensors[0] : try stacked(tensors)
      return try transform.applied(to: whole, path: path).named(name)
    }
  }

  private func stored(_ source: String, as name: String) throws(CheckpointError) -> GGUFTensor {
    guard let tensor = folder.tensor(source) else {
      throw CheckpointError(path: path, field: "tensor \(source)", message: "missing")
    }
    guard let dataType = tensor.dataType else {
      throw CheckpointError(
        path: path, field: "tensor \(source)", message: "has the type \(tensor.elementType.rawValue), where F32, F16 or BF16 is expected")
    }
    guard tensor.elementCount > 0 else {
      throw CheckpointError(path: path, field: "tensor \(source)", message: "is empty: its shape is \(tensor.shape)")
    }
    return GGUFTensor(
      name: source, dataType: dataType, shape: tensor.shape.reversed(), elementCount: tensor.shape.reduce(1, *),
      source: tensor.source, byteRange: tensor.byteRange)
  }

  /// Tensors of one shape along a new, slowest axis: the experts of a layer.
  private func stacked(_ tensors: [GGUFTensor]) throws(CheckpointError) -> GGUFTensor {
    let first = tensors[0]
    var bytes: [UInt8] = []
    bytes.reserveCapacity(tensors.count * first.byteRange.count)
    for tensor in tensors {
      guard tensor.shape == first.shape, tensor.dataType == first.dataType else {
        throw CheckpointError(
          path: path, field: "tensor \(tensor.name)", message: "has another shape or type than \(first.name)")
      }
      bytes += tensor.bytes
    }
    return first.replaced(shape: first.shape + [tensors.count], dataType: first.dataType, bytes: bytes)
  }
}

extension GGUFTensor {
  fileprivate func named(_ name: String) -> GGUFTensor {
    GGUFTensor(
      name: name, dataType: dataType, shape: shape, elementCount: elementCount, source: source, byteRange: byteRange)
  }
}
