// An adapter apart from any model: its configuration and its numbers, by the paths that they have in a model.
import Layers
import Tensors

/// What was learnt, to be put into any copy of the model that it was learnt with, whatever its weights' format.
///
/// ```swift
/// var model = try Decoder(checkpoint)
/// try AdapterConfiguration(.lora(.init(rank: 8))).apply(to: &model, seed: 1)   // a new adapter, to be trained
/// let adapter = try Adapter(configuration, in: model)                          // what was learnt
/// ```
public struct Adapter: Sendable {
  public var configuration: AdapterConfiguration
  /// `f32` in rows, by path, such as `layers.3.attention.query.lora.a`.
  public package(set) var tensors: [String: Tensor]
  /// What LoRA's products are multiplied with, by the path of the projection.
  public package(set) var scales: [String: Float]

  init(_ configuration: AdapterConfiguration, tensors: [String: Tensor], scales: [String: Float] = [:]) {
    self.configuration = configuration
    self.tensors = tensors
    self.scales = scales
  }

  /// The numbers of an adapted model that its method trains, as they are now.
  public init(_ configuration: AdapterConfiguration, in model: some AdaptableModel) throws {
    self.init(configuration, tensors: [:])
    let parts = try ModelParts(model), isTrained = configuration.trainedParameters(of: model)
    for parameter in parts.parameters where isTrained(parameter.path, parameter.role) {
      tensors[parameter.name] = parameter.tensor.plainFloats()
    }
    for slot in parts.slots {
      if let lora = slot.projection as? LoRA { scales[slot.name] = lora.scale }
      if let dora = slot.projection as? DoRA { scales[slot.name] = dora.scale }
    }
  }

  /// Numbers in all.
  public var parameterCount: Int { tensors.values.reduce(0) { $0 + $1.shape.count } }

  /// One adapter that does what several do together, each with its weight.
  ///
  /// Sums of low-rank products are low-rank products: ranks add up, and each keeps its scale.
  /// - Throws: ``AdapterError`` for methods of which no sum can be made.
  public static func combined(_ adapters: [(adapter: Adapter, weight: Float)]) throws(AdapterError) -> Adapter {
    guard let first = adapters.first else { throw AdapterError(message: "no adapters were given to combine") }
    if adapters.count == 1, first.weight == 1 { return first.adapter }
    var parts: [String: [(adapter: Adapter, weight: Float)]] = [:], rank = 0
    for (adapter, weight) in adapters {
      guard case .lora(let form) = adapter.configuration.method, !form.isWeightDecomposed else {
        throw AdapterError(
          message: "adapters can be weighed and combined where all are LoRA; one is \(adapter.configuration.name)")
      }
      guard adapter.scales.count * 2 == adapter.tensors.count else {
        throw AdapterError(message: "an adapter that brings whole parts of a model, such as a head, cannot be combined")
      }
      guard weight.isFinite else { throw AdapterError(message: "\(weight) is no weight of an adapter") }
      rank += form.rank
      for slot in adapter.scales.keys { parts[slot, default: []].append((adapter, weight)) }
    }
    var configuration = first.adapter.configuration
    configuration.method = .lora(.init(rank: rank, alpha: Double(rank)))
    configuration.targets = .named(parts.keys.sorted())
    var result = Adapter(configuration, tensors: [:])
    for (slot, parts) in parts {
      var down: [Tensor] = [], up: [Tensor] = []
      for (adapter, weight) in parts {
        guard let a = adapter.tensors[slot + ".lora.a"], let b = adapter.tensors[slot + ".lora.b"] else { continue }
        guard a.shape.columns == down.first?.shape.columns ?? a.shape.columns,
          b.shape.rows == up.first?.shape.columns ?? b.shape.rows
        else { throw AdapterError(field: slot, message: "the adapters were made for models of other sizes") }
        down.append(a)
        up.append((b * (weight * (adapter.scales[slot] ?? 1))).transposed())
      }
      guard !down.isEmpty else { continue }
      result.tensors[slot + ".lora.a"] = Tensor.concatenated(down)
      result.tensors[slot + ".lora.b"] = Tensor.concatenated(up).transposed()
      result.scales[slot] = 1
    }
    return result
  }
}
