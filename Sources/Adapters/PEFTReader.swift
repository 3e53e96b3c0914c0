// Adapters of other programs: what PEFT calls modules of transformers is found among the parts of a model.
import Checkpoints
import Foundation
import JSON
import Layers
import Tensors
import Tokenization

extension Adapter {
  /// Reads a folder as PEFT writes it, `adapter_config.json` and `adapter_model.safetensors`, or as
  /// ``write(to:for:modules:)`` does.
  /// - Parameters:
  ///   - model: the model that it is for; nothing is put into it.
  ///   - modules: what its parts are called in transformers, `ModelRegistry.modules(of:)` of its checkpoint.
  /// - Throws: ``AdapterError`` or `CheckpointError` that names the file and the field or tensor, and what was
  ///   expected.
  public init(folder: String, for model: some AdaptableModel, modules: HuggingFaceModules?) throws {
    let peft = try PEFTConfiguration(folder: folder), path = folder + "/adapter_model.safetensors"
    let exists = FileManager.default.fileExists(atPath:)
    if !exists(path), exists(folder + "/adapter_model.bin") {
      throw AdapterError(
        path: folder,
        message: "holds adapter_model.bin and no safetensors; such files can run code when they are read, so save the "
          + "adapter again with a newer PEFT")
    }
    var reader = PEFTReader(
      peft: peft, file: try SafetensorsFile(path: path), modules: modules, parts: try ModelParts(model),
      backend: model.backend)
    self.init(peft.configuration, tensors: [:])
    switch peft.configuration.method {
    case .lora(let form): try reader.readLowRank(form, into: &self)
    case .ia3: try reader.readFactors(into: &self)
    case .prefix(let count): try reader.readPrefix(count, of: model, into: &self)
    case .prompt(let count, _): try reader.readPrompt(count, of: model, into: &self)
    case .bottleneck, .bias, .lastLayers, .full: try reader.readOwn(into: &self)
    }
    if peft.configuration.isPEFT { try reader.readWholeParts(into: &self) }
    try reader.checkAllRead()
    guard !tensors.isEmpty else { throw AdapterError(path: path, message: "has no tensors") }
  }
}

private struct PEFTReader {
  let peft: PEFTConfiguration
  let file: SafetensorsFile
  let modules: HuggingFaceModules?
  let parts: ModelParts
  let backend: any Backend
  /// The file's tensors by the module's name without what stands before it, and what it is of the module.
  private var index: [String: SafetensorsTensor] = [:]
  private var unread: Set<String>

  init(
    peft: PEFTConfiguration, file: SafetensorsFile, modules: HuggingFaceModules?, parts: ModelParts,
    backend: any Backend
  ) {
    self.peft = peft
    self.file = file
    self.modules = modules
    self.parts = parts
    self.backend = backend
    unread = []
    for tensor in file.tensors {
      // What a wrapper of PEFT kept twice.
      if tensor.name.contains(".original_module.") || tensor.name.contains(".modules_to_save.") { continue }
      index[key(tensor.name)] = tensor
      unread.insert(tensor.name)
    }
  }

  private func key(_ name: String) -> String {
    var name = name
    for beginning in ["base_model.model.", "base_model."] where name.hasPrefix(beginning) {
      name.removeFirst(beginning.utf8.count)
      break
    }
    if let hole = name.range(of: ".base_layer.") { name.replaceSubrange(hole, with: ".") }
    return modules?.stem(of: name) ?? name
  }

  private func error(_ tensor: String, _ message: String) -> AdapterError {
    AdapterError(path: file.path, field: "tensor \(tensor.printable)", message: message)
  }

  private func place(_ path: ModulePath, _ shape: Shape) throws -> HuggingFaceModules.Place? {
    guard let modules else {
      throw AdapterError(path: file.path, message: "names modules of transformers, which are not known for this model")
    }
    // A part that a checkpoint keeps in no way that transformers knows has no name there, and no adapter.
    return try? modules.place(of: path, shape: shape)
  }

  /// The numbers of a tensor of this shape; nil where the file has none of this name.
  private mutating func values(_ key: String, shape: [Int?]) throws -> (values: [Float], shape: [Int])? {
    guard let tensor = index[key] else { return nil }
    let fits = tensor.shape.count == shape.count && zip(tensor.shape, shape).allSatisfy { $0 == $1 ?? $0 }
    guard fits, tensor.elementCount > 0 else {
      let expected = shape.map { $0.map(String.init) ?? "any" }.joined(separator: ", ")
      throw error(tensor.name, "has the shape \(tensor.shape), where [\(expected)] is expected")
    }
    unread.remove(tensor.name)
    return (backend.floats(try Tensor(tensor, backend: backend)).values, tensor.shape)
  }

  mutating func readLowRank(_ form: AdapterConfiguration.LowRank, into adapter: inout Adapter) throws {
    for slot in parts.slots {
      let (inputs, outputs) = (slot.projection.inputs, slot.projection.outputs)
      guard let place = try place(slot.path, [outputs, inputs]), let stem = modules?.stem(of: place.module),
        let a = try values(stem + ".lora_A.weight", shape: [nil, inputs])
      else { continue }
      let rank = a.shape[0], stated = peft.rank(of: place.module) ?? form.rank
      guard rank == stated else {
        throw error(stem + ".lora_A.weight", "has a rank of \(rank), where adapter_config.json states \(stated)")
      }
      guard let b = try values(stem + ".lora_B.weight", shape: [place.moduleRows, rank]) else {
        throw error(stem + ".lora_B.weight", "missing")
      }
      let name = slot.name + ".lora"
      adapter.add(name + ".a", [rank, inputs], a.values, backend)
      adapter.add(name + ".b", [outputs, rank], place.rows.flatMap { b.values[$0 * rank..<($0 + 1) * rank] }, backend)
      adapter.scales[slot.name] = form.scale(alpha: peft.alpha(of: place.module) ?? form.alpha, rank: rank)
      guard form.isWeightDecomposed else { continue }
      let magnitudes = try values(stem + ".lora_magnitude_vector", shape: [place.moduleRows])
        ?? values(stem + ".lora_magnitude_vector.weight", shape: [place.moduleRows])
      guard let magnitudes else { throw error(stem + ".lora_magnitude_vector", "missing") }
      adapter.add(name + ".magnitude", [outputs], place.rows.map { magnitudes.values[$0] }, backend)
    }
    try checkAny(adapter)
  }

  mutating func readFactors(into adapter: inout Adapter) throws {
    for slot in parts.slots {
      let (inputs, outputs) = (slot.projection.inputs, slot.projection.outputs)
      guard let place = try place(slot.path, [outputs, inputs]), let stem = modules?.stem(of: place.module),
        let stored = index[stem + ".ia3_l"]
      else { continue }
      if stored.shape.first == 1, let factors = try values(stem + ".ia3_l", shape: [1, inputs]) {
        adapter.add(slot.name + ".ia3.inputs", [inputs], factors.values, backend)
      } else if let factors = try values(stem + ".ia3_l", shape: [place.moduleRows, 1]) {
        adapter.add(slot.name + ".ia3.outputs", [outputs], place.rows.map { factors.values[$0] }, backend)
      }
    }
    try checkAny(adapter)
  }

  mutating func readPrompt(_ count: Int, of model: some AdaptableModel, into adapter: inout Adapter) throws {
    let width = model.embedding.weight.shape.columns
    guard let rows = try values("prompt_embeddings", shape: [nil, width]) else {
      throw error("prompt_embeddings", "missing")
    }
    // Of an encoder–decoder PEFT keeps rows for both halves and reads those of the first.
    guard rows.shape[0] == count || rows.shape[0] == 2 * count && model.taskType == "SEQ_2_SEQ_LM" else {
      throw error(
        "prompt_embeddings", "has \(rows.shape[0]) rows, where adapter_config.json states \(count) virtual tokens")
    }
    adapter.add("embedding.prompt", [count, width], Array(rows.values.prefix(count * width)), backend)
  }

  mutating func readPrefix(_ count: Int, of model: some AdaptableModel, into adapter: inout Adapter) throws {
    let (layers, _, width) = model.prefixSizes
    guard let rows = try values("prompt_embeddings", shape: [count, 2 * layers * width]) else {
      throw error("prompt_embeddings", "missing")
    }
    let order = try PrefixOrder(model, parts, modules)
    for layer in 0..<layers {
      for (part, name) in ["keys", "values"].enumerated() {
        let first = (2 * order.pair(layer) + part) * width
        let values = (0..<count).flatMap { row in
          (0..<width).map { rows.values[row * 2 * layers * width + first + (part == 0 ? order.keys[$0] : $0)] }
        }
        adapter.add("\(type(of: model).prefixPath).\(layer).\(name)", [count, width], values, backend)
      }
    }
  }

  /// Folders of methods that PEFT does not have hold tensors under Malmoi's own names.
  mutating func readOwn(into adapter: inout Adapter) throws {
    for tensor in file.tensors {
      guard tensor.shape.count <= 2, let found = try values(key(tensor.name), shape: tensor.shape.map { $0 }) else {
        throw error(tensor.name, "has the shape \(tensor.shape), where a vector or a matrix is expected")
      }
      adapter.add(tensor.name, Shape(tensor.shape), found.values, backend)
    }
  }

  /// Parts that were trained as they are (`modules_to_save`, `bias`).
  mutating func readWholeParts(into adapter: inout Adapter) throws {
    guard index.values.contains(where: { unread.contains($0.name) }) else { return }
    for parameter in parts.parameters where parameter.role != .adapter {
      guard let place = try place(parameter.path, parameter.tensor.shape), let stem = modules?.stem(of: place.module)
      else { continue }
      let shape = parameter.tensor.shape, columns = shape.rank == 1 ? nil : shape.columns
      let count = place.moduleRows * (columns ?? 1)
      let key = stem + (parameter.path.parts.last == "bias" ? ".bias" : ".weight")
      guard let stored = index[key] else { continue }
      guard stored.elementCount == count, let found = try values(key, shape: stored.shape.map { $0 }) else {
        throw error(stored.name, "has the shape \(stored.shape), where \(count) numbers are expected")
      }
      adapter.add(parameter.name, shape, place.part(of: found.values, columns: columns), backend)
      adapter.configuration.trainedParts.append(parameter.name)
    }
  }

  private func checkAny(_ adapter: Adapter) throws {
    guard adapter.tensors.isEmpty else { return }
    _ = try peft.configuration.targets.slots(of: parts, modules: modules)
    let found = file.names.min().map { ", but “\($0.printable)”" } ?? ""
    throw AdapterError(
      path: file.path,
      message: "has no tensors for this model's parts\(found); the parts are \(parts.summary(modules))")
  }

  func checkAllRead() throws {
    guard let name = unread.min() else { return }
    throw error(name, "has no place in this model, whose parts are \(parts.summary(modules))")
  }
}

extension Adapter {
  fileprivate mutating func add(_ name: String, _ shape: Shape, _ values: [Float], _ backend: any Backend) {
    tensors[name] = Tensor(values, shape: shape, backend: backend)
  }
}

/// In which order PEFT keeps the columns and the layers of a prefix.
struct PrefixOrder {
  /// For each number of a key its place in PEFT's.
  let keys: [Int]
  private let layers: Int
  private let isEncoderDecoder: Bool

  init(_ model: some AdaptableModel, _ parts: ModelParts, _ modules: HuggingFaceModules?) throws {
    let sizes = model.prefixSizes
    layers = sizes.layers
    isEncoderDecoder = model.taskType == "SEQ_2_SEQ_LM"
    // Keys lie in the order of the rows of the map that makes keys.
    let beginning = type(of: model).prefixPath.split(separator: ".").dropLast().map { $0 + "." }.joined()
    let slot = parts.slots.first { $0.name == beginning + "layers.0.attention.key" }
    let place = try slot.flatMap {
      try modules?.place(of: $0.path, shape: [$0.projection.outputs, $0.projection.inputs])
    }
    guard let place, place.rows.count == sizes.width else {
      throw AdapterError(message: "the order of this model's keys in transformers is not known")
    }
    var ranks = [Int](repeating: 0, count: sizes.width)
    let order = place.rows.indices.sorted { place.rows[$0] < place.rows[$1] }
    for (rank, own) in order.enumerated() { ranks[own] = rank }
    keys = ranks
  }

  /// The pair of keys and values of a layer. Of an encoder–decoder PEFT cuts a list that it has doubled into fours,
  /// of which the decoder's own attention gets the first two (as of PEFT 0.21).
  func pair(_ layer: Int) -> Int { isEncoderDecoder ? 2 * layer % layers : layer }
}
