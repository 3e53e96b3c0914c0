// Adapters for other programs: a folder that PEFT loads onto the model of transformers.
import Checkpoints
import Foundation
import JSON
import Layers
import OrderedCollections
import Tensors
import Tokenization

extension Adapter {
  /// Writes `adapter_config.json` and `adapter_model.safetensors` into a folder, which is made where there is none.
  ///
  /// LoRA, DoRA, IA3, prefix and prompt tuning are as PEFT has them; for other methods `peft_type` is one that PEFT
  /// does not know, and tensors have the names of this adapter's ``tensors``.
  /// - Parameters:
  ///   - model: the model that it is for, adapted or not.
  ///   - modules: what its parts are called in transformers; may be nil for methods that PEFT does not know.
  /// - Throws: ``AdapterError`` for what PEFT cannot say, `CheckpointError` for files that cannot be written.
  public func write(to folder: String, for model: some AdaptableModel, modules: HuggingFaceModules?) throws {
    var writer = PEFTWriter(
      adapter: self, modules: modules, parts: try ModelParts(model), fields: configuration.fields(task: model.taskType))
    switch configuration.method {
    case .lora(let form): try writer.addLowRank(form)
    case .ia3: try writer.addFactors()
    case .prefix: try writer.addPrefix(of: model)
    case .prompt: try writer.addPrompt(of: model)
    case .bottleneck, .bias, .lastLayers, .full: writer.addOwn()
    }
    if configuration.isPEFT { try writer.addWholeParts() }
    do {
      try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    } catch {
      let reason = (error as NSError).localizedFailureReason ?? "\(error)"
      throw AdapterError(path: folder, message: "cannot be written: " + reason)
    }
    var file = SafetensorsWriter(path: folder + "/adapter_model.safetensors")
    for (name, tensor) in writer.tensors {
      try file.addTensor(name, elementType: .f32, shape: tensor.shape) { append in
        try tensor.values.withUnsafeBytes(append)
      }
    }
    try file.write()
    let configurationFile = try AtomicFile(path: folder + "/" + PEFTConfiguration.fileName)
    try Array((JSONValue.object(writer.fields).text(indent: 2) + "\n").utf8).withUnsafeBytes(configurationFile.append)
    try configurationFile.commit()
  }
}

private struct PEFTWriter {
  let adapter: Adapter
  let modules: HuggingFaceModules?
  let parts: ModelParts
  var fields: OrderedDictionary<String, JSONValue>
  private(set) var tensors: OrderedDictionary<String, (shape: [Int], values: [Float])> = [:]
  /// Modules that are wrapped, whose own parameters PEFT therefore calls otherwise.
  private var wrapped: Set<String> = []

  init(
    adapter: Adapter, modules: HuggingFaceModules?, parts: ModelParts, fields: OrderedDictionary<String, JSONValue>
  ) {
    self.adapter = adapter
    self.modules = modules
    self.parts = parts
    self.fields = fields
  }

  private typealias Part = (slot: ModelParts.Slot, place: HuggingFaceModules.Place)

  /// All projections by the module of transformers that they are, or are a part of.
  private func groups() throws -> OrderedDictionary<String, [Part]> {
    guard let modules else {
      throw AdapterError(message: "the names of this model's parts in transformers are not known")
    }
    var groups: OrderedDictionary<String, [Part]> = [:]
    for slot in parts.slots {
      let shape: Shape = [slot.projection.outputs, slot.projection.inputs]
      guard let place = try? modules.place(of: slot.path, shape: shape) else { continue }
      groups[place.module, default: []].append((slot, place))
    }
    return groups
  }

  private mutating func add(_ module: String, _ part: String, _ shape: [Int], _ values: [Float]) {
    tensors["base_model.model.\(module).\(part)"] = (shape, values)
    wrapped.insert(module)
  }

  private func tensor(_ name: String) -> Tensor? { adapter.tensors[name] }

  private func checkPlaces(_ suffix: String, _ groups: OrderedDictionary<String, [Part]>) throws {
    let known = Set(groups.values.flatMap { $0.map(\.slot.name) })
    for name in adapter.tensors.keys.sorted() where name.hasSuffix(suffix) {
      let slot = String(name.dropLast(suffix.utf8.count))
      guard known.contains(slot) else {
        throw AdapterError(
          field: slot, message: "has no name in transformers, so PEFT cannot say what was learnt for it")
      }
    }
  }

  mutating func addLowRank(_ form: AdapterConfiguration.LowRank) throws {
    let groups = try groups()
    try checkPlaces(".lora.a", groups)
    var ranks: OrderedDictionary<String, JSONValue> = [:], alphas: OrderedDictionary<String, JSONValue> = [:]
    for (module, members) in groups {
      let own = members.filter { tensor($0.slot.name + ".lora.a") != nil }
      guard let first = own.first else { continue }
      let scale = adapter.scales[first.slot.name] ?? 1, inputs = first.slot.projection.inputs
      // Parts of one module share the first matrix where it is the same; otherwise each has rows of it for itself.
      var downs: [[Float]] = [], starts: [Int] = [], widths: [Int] = [], rank = 0
      for part in own {
        let a = tensor(part.slot.name + ".lora.a")?.values ?? []
        if let same = downs.firstIndex(of: a) {
          starts.append(starts[same])
        } else {
          starts.append(rank)
          rank += a.count / inputs
        }
        downs.append(a)
        widths.append(a.count / inputs)
      }
      guard rank <= AdapterConfiguration.mostRank else {
        throw AdapterError(field: module, message: "has a rank of \(rank) where its parts are put together")
      }
      let all = first.place.moduleRows
      var down = [Float](repeating: 0, count: rank * inputs), up = [Float](repeating: 0, count: all * rank)
      var magnitudes = [Float](repeating: 0, count: all), found = 0
      for (index, part) in own.enumerated() {
        let width = widths[index], start = starts[index], ratio = (adapter.scales[part.slot.name] ?? 1) / scale
        down.replaceSubrange(start * inputs..<(start + width) * inputs, with: downs[index])
        guard let b = tensor(part.slot.name + ".lora.b")?.values, b.count == part.place.rows.count * width else {
          throw AdapterError(
            field: part.slot.name + ".lora.b", message: "missing, or of another rank than the first matrix")
        }
        for (own, row) in part.place.rows.enumerated() {
          for inner in 0..<width { up[row * rank + start + inner] = b[own * width + inner] * ratio }
        }
        guard form.isWeightDecomposed else { continue }
        for (value, row) in zip(tensor(part.slot.name + ".lora.magnitude")?.values ?? [], part.place.rows) {
          magnitudes[row] = value
          found += 1
        }
      }
      add(module, "lora_A.weight", [rank, inputs], down)
      add(module, "lora_B.weight", [all, rank], up)
      if form.isWeightDecomposed {
        guard found == all else {
          throw AdapterError(
            field: module,
            message: "is one matrix in transformers, of which DoRA was applied to a part: PEFT cannot say that")
        }
        add(module, "lora_magnitude_vector", [all], magnitudes)
      }
      if rank != form.rank { ranks[module] = .int(rank) }
      let alpha = form.alpha(scale: scale, rank: rank)
      if form.scale(alpha: form.alpha, rank: rank) != scale { alphas[module] = .double(alpha) }
    }
    fields["rank_pattern"] = .object(ranks)
    fields["alpha_pattern"] = .object(alphas)
    fields["fan_in_fan_out"] = .bool(modules?.isTransposed ?? false)
    fields["target_modules"] = targets(groups)
  }

  mutating func addFactors() throws {
    let groups = try groups()
    var feedForward: [String] = []
    for ending in [".ia3.inputs", ".ia3.outputs"] { try checkPlaces(ending, groups) }
    for (module, members) in groups {
      let inputs = members.compactMap { tensor($0.slot.name + ".ia3.inputs")?.values }
      if let factors = inputs.first {
        guard inputs.count == members.count, inputs.allSatisfy({ $0 == factors }) else {
          throw AdapterError(
            field: module, message: "is one matrix in transformers, whose parts have other factors each")
        }
        add(module, "ia3_l", [1, factors.count], factors)
        feedForward.append(module)
      }
      // Parts without factors keep what they give.
      var factors = [Float](repeating: 1, count: members[0].place.moduleRows), isScaled = false
      for part in members {
        guard let own = tensor(part.slot.name + ".ia3.outputs")?.values else { continue }
        for (value, row) in zip(own, part.place.rows) { factors[row] = value }
        isScaled = true
      }
      if isScaled { add(module, "ia3_l", [factors.count, 1], factors) }
    }
    fields["feedforward_modules"] = .array(feedForward.map { .string($0) })
    fields["fan_in_fan_out"] = .bool(modules?.isTransposed ?? false)
    // PEFT asks whether a target is one of the feed-forward modules by the same names.
    fields["target_modules"] = .array(wrapped.sorted().map { .string($0) })
  }

  /// The shortest ends of names that mean what is wrapped and nothing else.
  private func targets(_ groups: OrderedDictionary<String, [Part]>) -> JSONValue {
    var targets: OrderedSet<String> = []
    for module in groups.keys where wrapped.contains(module) {
      let parts = module.split(separator: ".")
      let names = (1...parts.count).map { parts.suffix($0).joined(separator: ".") }
      let name = names.first { name in
        groups.keys.allSatisfy { wrapped.contains($0) || !($0 == name || $0.hasSuffix("." + name)) }
      }
      targets.append(name ?? module)
    }
    return .array(targets.sorted().map { .string($0) })
  }

  mutating func addPrompt(of model: some AdaptableModel) throws {
    guard let prompt = tensor("embedding.prompt") else {
      throw AdapterError(field: "embedding.prompt", message: "missing")
    }
    tensors["prompt_embeddings"] = ([prompt.shape.rows, prompt.shape.columns], prompt.values)
    addSizes(of: model, width: prompt.shape.columns)
  }

  mutating func addPrefix(of model: some AdaptableModel) throws {
    let (layers, _, width) = model.prefixSizes, order = try PrefixOrder(model, parts, modules)
    var count = 0, values: [Float] = [], from: [Int: Int] = [:]
    for layer in 0..<layers {
      for (part, name) in ["keys", "values"].enumerated() {
        let path = "\(type(of: model).prefixPath).\(layer).\(name)"
        guard let own = tensor(path), own.shape.columns == width else {
          throw AdapterError(field: path, message: "missing")
        }
        if values.isEmpty {
          count = own.shape.rows
          values = [Float](repeating: 0, count: count * 2 * layers * width)
        }
        let pair = order.pair(layer), first = (2 * pair + part) * width, numbers = own.values
        if let earlier = from[2 * pair + part] {
          let other = tensor("\(type(of: model).prefixPath).\(earlier).\(name)")?.values
          guard other == numbers else {
            throw AdapterError(
              field: path, message: "PEFT gives several layers of an encoder–decoder one prefix, and cannot say what "
                + "was learnt for each by itself")
          }
        }
        from[2 * pair + part] = layer
        for row in 0..<count {
          for column in 0..<width {
            let place = first + (part == 0 ? order.keys[column] : column)
            values[row * 2 * layers * width + place] = numbers[row * width + column]
          }
        }
      }
    }
    tensors["prompt_embeddings"] = ([count, 2 * layers * width], values)
    fields["num_transformer_submodules"] = .int(model.taskType == "SEQ_2_SEQ_LM" ? 2 : 1)
    addSizes(of: model, width: width)
  }

  private mutating func addSizes(of model: some AdaptableModel, width: Int) {
    let sizes = model.prefixSizes
    fields["num_layers"] = .int(sizes.layers)
    fields["num_attention_heads"] = .int(sizes.heads)
    fields["token_dim"] = .int(width)
  }

  mutating func addOwn() {
    for (name, tensor) in adapter.tensors.sorted(by: { $0.key < $1.key }) {
      tensors[name] = ((0..<tensor.shape.rank).map { tensor.shape[$0] }, tensor.values)
    }
  }

  /// Parts that were trained as they are. What PEFT saves of a head is all of it.
  mutating func addWholeParts() throws {
    let whole = adapter.tensors.keys.filter { name in
      [".lora.", ".ia3.", ".prompt", "prefix."].allSatisfy { !name.contains($0) }
    }
    guard !whole.isEmpty, let modules else { return }
    var found: Set<String> = [], saved: OrderedSet<String> = [], biases = false
    let places = parts.parameters.compactMap { parameter in
      (try? modules.place(of: parameter.path, shape: parameter.tensor.shape)).map { (parameter, $0) }
    }
    let own = places.filter { whole.contains($0.0.name) }, heads = Set(own.compactMap { head(of: $0.1.module) })
    // What is one parameter there is written as a whole.
    let key = { (path: ModulePath, module: String) in module + (path.parts.last == "bias" ? ".bias" : ".weight") }
    let keys = Set(own.map { key($0.0.path, $0.1.module) })
    for (parameter, place) in places {
      let head = head(of: place.module)
      guard keys.contains(key(parameter.path, place.module)) || head.map(heads.contains) == true else { continue }
      found.insert(parameter.name)
      let tensor = adapter.tensors[parameter.name] ?? parameter.tensor.plainFloats(), shape = tensor.shape
      let columns = shape.rank == 1 ? nil : shape.columns, isBias = parameter.path.parts.last == "bias"
      let wraps = fields["peft_type"] == "LORA" || fields["peft_type"] == "IA3"
      let name = (wraps ? "base_model.model." : "base_model.") + place.module
        + (wrapped.contains(place.module) ? ".base_layer" : "") + (isBias ? ".bias" : ".weight")
      let axes = columns.map { place.isTransposed ? [$0, place.moduleRows] : [place.moduleRows, $0] } ?? [place.moduleRows]
      var values = tensors[name]?.values ?? [Float](repeating: 0, count: axes.reduce(1, *))
      place.put(tensor.values, columns: columns, into: &values)
      tensors[name] = (axes, values)
      if isBias, head == nil { biases = true } else { saved.append(head ?? place.module) }
    }
    if let name = whole.first(where: { !found.contains($0) }) {
      throw AdapterError(field: name, message: "has no name in transformers")
    }
    if !saved.isEmpty { fields["modules_to_save"] = .array(saved.map { .string($0) }) }
    if biases { fields["bias"] = "all" }
  }

  private func head(of module: String) -> String? {
    ["classifier", "score"].first { module == $0 || module.hasPrefix($0 + ".") }
  }
}
