// How new adapters begin: as in PEFT, so that a model at first does what it did without.
import Checkpoints
import Foundation
import Layers
import Models
import Randomness
import Tensors

/// Random numbers that a seed and a name determine, so that a part's numbers do not depend on which other parts there
/// are.
struct NamedRandom {
  private var generator: SeededGenerator

  init(seed: UInt64, name: String) {
    var mixer = SeededGenerator(seed: SeededGenerator.stream(of: name) ^ seed)
    generator = SeededGenerator(seed: mixer.next())
  }

  mutating func next() -> UInt64 { generator.next() }

  /// From 0 to 1, neither included.
  private mutating func unit() -> Double { (Double(next() >> 11) + 0.5) * 0x1p-53 }

  mutating func uniform(_ count: Int, within bound: Float) -> [Float] {
    (0..<count).map { _ in Float(unit() * 2 - 1) * bound }
  }

  /// By Box and Muller (1958).
  mutating func normal(_ count: Int, deviation: Float) -> [Float] {
    (0..<count).map { _ in Float((-2 * log(unit())).squareRoot() * cos(2 * .pi * unit())) * deviation }
  }
}

extension AdapterConfiguration {
  /// Puts a new adapter into a model, which at first does what it did without (but for ``Method/prefix(tokens:)`` and
  /// ``Method/prompt(tokens:initial:)``).
  ///
  /// What will be trained is `f32` in rows then, other parameters stay as they are.
  /// - Parameters:
  ///   - seed: decides all random numbers.
  ///   - modules: what the model's parts are called in transformers, for targets that are named so.
  /// - Throws: ``AdapterError`` for sizes that are out of range, or targets that match nothing.
  public func apply(
    to model: inout some AdaptableModel, seed: UInt64, modules: HuggingFaceModules? = nil
  ) throws {
    try Adapter(self, for: model, seed: seed, modules: modules).apply(to: &model)
  }
}

extension Adapter {
  /// A new adapter for a model; see ``AdapterConfiguration/apply(to:seed:modules:)``.
  public init(
    _ configuration: AdapterConfiguration, for model: some AdaptableModel, seed: UInt64,
    modules: HuggingFaceModules? = nil
  ) throws {
    try configuration.validate()
    self.init(configuration, tensors: [:])
    let parts = try ModelParts(model)
    var maker = Maker(backend: model.backend, seed: seed)
    switch configuration.method {
    case .lora(let form):
      for slot in try configuration.targets.slots(of: parts, modules: modules) {
        try maker.addLowRank(form, to: slot)
        scales[slot.name] = form.scale(alpha: form.alpha, rank: form.rank)
      }
    case .ia3:
      for slot in try configuration.targets.slots(of: parts, modules: modules) {
        let scalesInput = slot.path.parts.last == "down"
        let count = scalesInput ? slot.projection.inputs : slot.projection.outputs
        maker.add("\(slot.name).ia3.\(scalesInput ? "inputs" : "outputs")", [count], Array(repeating: 1, count: count))
      }
    case .bottleneck(let form):
      for slot in parts.slots where form.follows(slot.path) { maker.addBottleneck(form, to: slot) }
    case .prefix(let tokens):
      let sizes = model.prefixSizes
      for layer in 0..<sizes.layers {
        for part in ["keys", "values"] {
          maker.addNormal("\(type(of: model).prefixPath).\(layer).\(part)", [tokens, sizes.width], deviation: 1)
        }
      }
    case .prompt(let tokens, let initial): try maker.addPrompt(tokens, initial, of: model)
    case .bias:
      for slot in parts.slots where slot.mayHaveBias {
        let count = slot.projection.outputs
        maker.add(slot.name + ".bias", [count], Array(repeating: 0, count: count))
      }
    case .lastLayers, .full: break
    }
    tensors = maker.tensors
    let isTrained = configuration.trainedParameters(of: model)
    for parameter in parts.parameters where parameter.role != .adapter && isTrained(parameter.path, parameter.role) {
      tensors[parameter.name] = parameter.tensor.plainFloats()
    }
    guard !tensors.isEmpty else {
      throw AdapterError(message: "\(configuration.name) finds nothing to train in this model")
    }
  }

  /// Tensors in the making.
  private struct Maker {
    let backend: any Backend
    let seed: UInt64
    var tensors: [String: Tensor] = [:]

    init(backend: any Backend, seed: UInt64) {
      self.backend = backend
      self.seed = seed
    }

    mutating func add(_ name: String, _ shape: Shape, _ values: [Float]) {
      tensors[name] = Tensor(values, shape: shape, backend: backend)
    }

    mutating func addNormal(_ name: String, _ shape: Shape, deviation: Float) {
      var random = NamedRandom(seed: seed, name: name)
      add(name, shape, random.normal(shape.count, deviation: deviation))
    }

    mutating func addLowRank(_ form: AdapterConfiguration.LowRank, to slot: ModelParts.Slot) throws {
      let (inputs, outputs) = (slot.projection.inputs, slot.projection.outputs), name = slot.name + ".lora"
      // He et al. 2015 with a = √5, as PyTorch begins all its projections: the bound is 1 / √inputs.
      var random = NamedRandom(seed: seed, name: name + ".a")
      add(name + ".a", [form.rank, inputs], random.uniform(form.rank * inputs, within: 1 / Float(inputs).squareRoot()))
      add(name + ".b", [outputs, form.rank], Array(repeating: 0, count: outputs * form.rank))
      guard form.isWeightDecomposed else { return }
      guard let weight = slot.projection.plainWeight else {
        throw AdapterError(field: slot.name, message: "DoRA needs the rows of a plain matrix")
      }
      add(name + ".magnitude", [outputs], DoRA.squares(of: weight).map { Float($0.squareRoot()) })
    }

    mutating func addBottleneck(_ form: AdapterConfiguration.Bottleneck, to slot: ModelParts.Slot) {
      let outputs = slot.projection.outputs, name = slot.name + ".adapter"
      addNormal(name + ".down", [form.width, outputs], deviation: 0.02)
      add(name + ".down.bias", [form.width], Array(repeating: 0, count: form.width))
      add(name + ".up", [outputs, form.width], Array(repeating: 0, count: outputs * form.width))
      add(name + ".up.bias", [outputs], Array(repeating: 0, count: outputs))
    }

    mutating func addPrompt(_ count: Int, _ initial: [Int32], of model: some AdaptableModel) throws {
      let vocabulary = model.vocabularySize
      if let token = initial.first(where: { $0 < 0 || Int($0) >= vocabulary }) {
        throw AdapterError(message: "token \(token), with which the prompt shall begin, is not in 0 ..< \(vocabulary)")
      }
      var random = NamedRandom(seed: seed, name: "embedding.prompt")
      let tokens = (0..<count).map { place in
        initial.isEmpty ? Int32(random.next() % UInt64(vocabulary)) : initial[place % initial.count]
      }
      tensors["embedding.prompt"] = (model.embedding.weight.rows(at: tokens) * model.wordScale).plainFloats()
    }
  }
}

extension ModelParts.Slot {
  /// Whether a bias can be added: experts and what chooses them have none in any file.
  fileprivate var mayHaveBias: Bool {
    projection.plainWeight != nil && projection.bias == nil && isInLayer
      && !path.parts.contains("experts") && path.parts.last != "router"
  }
}

extension AdapterConfiguration.Bottleneck {
  /// Whether an adapter stands behind this projection: the last of attention, or of feed-forward.
  func follows(_ path: ModulePath) -> Bool {
    switch path.parts.last {
    case "down": true
    case "output": followsAttention && path.parts.contains("layers")
    default: false
    }
  }
}
