// From an adapter's numbers to a model that computes with them: wrappers in the slots of projections, replaced
// parameters, virtual tokens.
import Layers
import Models
import Tensors

extension Adapter {
  /// Puts this adapter into a model, with its numbers `f32` in rows as training wants them;
  /// ``Layers/Module/prepareAdapters()`` makes them fast.
  /// - Throws: ``AdapterError`` for an adapter that was made for another model, or a model that has one already.
  public func apply(to model: inout some AdaptableModel) throws {
    var rest = tensors
    let path = type(of: model).prefixPath, sizes = model.prefixSizes, backend = model.backend
    if case .prefix(let tokens) = configuration.method {
      try model.checkBare()
      model.learntPrefix = Prefix(
        layers: try (0..<sizes.layers).map { layer in
          let part = { (name: String) in
            try rest.take("\(path).\(layer).\(name)", shape: [tokens, sizes.width], on: backend)
          }
          return Prefix.Layer(keys: try part("keys"), values: try part("values"))
        })
    }
    if case .prompt(let tokens, _) = configuration.method {
      try model.checkBare()
      model.embedding.prompt = try rest.take(
        "embedding.prompt", shape: [tokens, model.embedding.weight.shape.columns], on: model.backend)
    }
    let installer = AdapterInstaller(rest, configuration: configuration, scales: scales, backend: model.backend)
    try model.visit(installer, at: ModulePath())
    if let name = installer.rest.keys.min() {
      let parts = try ModelParts(model).summary(nil)
      throw AdapterError(field: name, message: "has no place in this model, whose parts are \(parts)")
    }
  }
}

extension AdaptableModel {
  fileprivate func checkBare() throws(AdapterError) {
    guard embedding.prompt == nil, learntPrefix == nil else {
      throw AdapterError(message: "the model has learnt virtual tokens already, and cannot have others beside them")
    }
  }
}

extension [String: Tensor] {
  /// A tensor that is expected, in this shape.
  fileprivate mutating func take(_ name: String, shape: Shape, on backend: any Backend) throws(AdapterError) -> Tensor {
    guard let tensor = removeValue(forKey: name) else { throw AdapterError(field: name, message: "missing") }
    guard tensor.shape == shape else {
      throw AdapterError(
        field: name, message: "has the shape \(tensor.shape), where the model's sizes ask for \(shape)")
    }
    return Tensor(storage: tensor.storage, shape: shape, dataType: .f32, backend: backend)
  }
}

private final class AdapterInstaller: ModuleVisitor {
  /// What has not found its place yet.
  private(set) var rest: [String: Tensor]
  private let configuration: AdapterConfiguration
  private let scales: [String: Float]
  private let backend: any Backend

  init(
    _ tensors: [String: Tensor], configuration: AdapterConfiguration, scales: [String: Float], backend: any Backend
  ) {
    rest = tensors
    self.configuration = configuration
    self.scales = scales
    self.backend = backend
  }

  func visit(_ parameter: inout Tensor, role: ParameterRole, at path: ModulePath) throws {
    let name = path.description
    guard role != .adapter, rest[name] != nil else { return }
    parameter = try rest.take(name, shape: parameter.shape, on: backend)
  }

  func visit(_ projection: inout any Projection, at path: ModulePath) throws {
    let name = path.description
    if let rank = rest[name + ".lora.a"]?.shape.rows {
      try checkBare(projection, name)
      let a = try take(name + ".lora.a", [rank, projection.inputs])
      let b = try take(name + ".lora.b", [projection.outputs, rank]), scale = scales[name] ?? 1
      if rest[name + ".lora.magnitude"] != nil {
        let magnitude = try take(name + ".lora.magnitude", [projection.outputs])
        projection = try DoRA(base: projection, a: a, b: b, magnitude: magnitude, scale: scale)
      } else {
        projection = LoRA(base: projection, a: a, b: b, scale: scale)
      }
    }
    for (part, count) in [("inputs", projection.inputs), ("outputs", projection.outputs)]
    where rest["\(name).ia3.\(part)"] != nil {
      try checkBare(projection, name)
      let factors = try take("\(name).ia3.\(part)", [count])
      projection = IA3(base: projection, factors: factors, scalesInput: part == "inputs")
    }
    if let width = rest[name + ".adapter.down"]?.shape.rows, case .bottleneck(let form) = configuration.method {
      try checkBare(projection, name)
      let own = name + ".adapter", outputs = projection.outputs
      projection = Bottleneck(
        base: projection, down: try take(own + ".down", [width, outputs]),
        downBias: try take(own + ".down.bias", [width]),
        up: try take(own + ".up", [outputs, width]), upBias: try take(own + ".up.bias", [outputs]),
        activation: form.activation)
    }
    if rest[name + ".bias"] != nil, projection.bias == nil, var linear = projection as? Linear {
      linear.bias = .parameter([linear.outputs], on: backend)
      projection = linear
    }
    try projection.visit(self, at: path)
  }

  private func take(_ name: String, _ shape: Shape) throws(AdapterError) -> Tensor {
    try rest.take(name, shape: shape, on: backend)
  }

  private func checkBare(_ projection: any Projection, _ name: String) throws(AdapterError) {
    guard projection is any AdapterProjection else { return }
    throw AdapterError(field: name, message: "has an adapter already; combine adapters before they are applied")
  }
}

extension Module {
  /// Brings the matrices of adapters into the layout in which products read them fastest, beside the ones that are
  /// trained, until those are replaced. Whole parts that came with an adapter are brought there for good.
  public mutating func prepareAdapters() throws { try visit(AdapterPreparation(), at: ModulePath()) }
}

private final class AdapterPreparation: ModuleVisitor {
  func visit(_ parameter: inout Tensor, role: ParameterRole, at path: ModulePath) throws {
    guard role == .matrix, parameter.layout == .rows else { return }
    parameter = try parameter.backend.prepare(parameter)
  }

  func visit(_ projection: inout any Projection, at path: ModulePath) throws {
    try projection.visit(self, at: path)
    if let adapter = projection as? any AdapterProjection { projection = try adapter.prepared() }
  }
}
