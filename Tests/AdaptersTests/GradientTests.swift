// What an adapter learns from: gradients of everything that it added, and of nothing else.
import Adapters
import Checkpoints
import Foundation
import Layers
import Models
import Tensors
import TestSupport
import Testing

/// Makes leaves of what a method trains, and remembers them by path.
final class LeafMaker: ModuleVisitor {
  private(set) var leaves: [(path: String, tensor: Tensor)] = []
  private let isTrained: (ModulePath, ParameterRole) -> Bool

  init(_ isTrained: @escaping (ModulePath, ParameterRole) -> Bool) { self.isTrained = isTrained }

  func visit(_ parameter: inout Tensor, role: ParameterRole, at path: ModulePath) {
    guard isTrained(path, role) else { return }
    parameter = parameter.requiringGradient()
    leaves.append((path.description, parameter))
  }
}

@Suite struct `An adapter's gradients` {
  /// Σ scores × cos(0, 1, 2, …)
  private func factors(_ scores: Tensor) -> Tensor {
    Tensor((0..<scores.shape.count).map { Float(cos(Double($0))) }, shape: scores.shape, backend: scores.backend)
  }

  @Test("are PyTorch's", arguments: ["llama-lora", "llama-dora", "llama-ia3", "llama-prompt", "llama-prefix"])
  func torch(name: String) throws {
    let sample = PEFTCase.named(name), checkpoint = try sample.checkpoint(), modules = try ModelRegistry.modules(of: checkpoint)
    var model = try Decoder(checkpoint)
    let adapter = try Adapter(folder: sample.folder, for: model, modules: modules)
    let expected = try Adapter(folder: sample.gradients, for: model, modules: modules)
    try adapter.apply(to: &model)
    let maker = LeafMaker(adapter.configuration.trainedParameters(of: model))
    try model.visit(maker, at: ModulePath())
    #expect(Set(maker.leaves.map(\.path)) == Set(adapter.tensors.keys))
    let scores = model.scores(try sample.tokens(), writing: [])
    let gradients = scores.gradients(upstream: factors(scores))
    for leaf in maker.leaves {
      let gradient = try #require(gradients[leaf.tensor], "\(leaf.path)"), reference = try #require(expected.tensors[leaf.path])
      let error = relativeError(gradient.values, reference.values)
      #expect(error <= 1e-4, "\(leaf.path): \(error)")
    }
  }

  @Test("follow finite differences, in every method", arguments: [
    AdapterConfiguration(.lora(.init(rank: 3, isRankStabilized: true))), .init(.ia3),
    .init(.bottleneck(.init(width: 5))), .init(.bottleneck(.init(width: 5, activation: .silu, followsAttention: false))),
    .init(.prefix(tokens: 2)), .init(.prompt(tokens: 2)), .init(.bias), .init(.lastLayers(1, head: true)), .init(.full),
  ])
  func differences(configuration: AdapterConfiguration) throws {
    let sample = PEFTCase.named("llama-lora"), base = try Decoder(sample.checkpoint()), tokens = try sample.tokens()
    var adapter = try Adapter(configuration, for: base, seed: 5)
    adapter.shake()
    var model = base
    try adapter.apply(to: &model)
    let maker = LeafMaker(configuration.trainedParameters(of: model))
    try model.visit(maker, at: ModulePath())
    #expect(Set(maker.leaves.map(\.path)) == Set(adapter.tensors.keys))
    let scores = model.scores(tokens, writing: []), factors = factors(scores)
    let gradients = scores.gradients(upstream: factors)
    #expect(gradients.count == maker.leaves.count)
    var length = 0.0
    for leaf in maker.leaves {
      let gradient = try #require(gradients[leaf.tensor], "\(leaf.path)").values
      // Rows of the embedding that the text does not have are not moved.
      #expect(gradient.contains { $0 != 0 }, "\(leaf.path)")
      length += gradient.reduce(0) { $0 + Double($1) * Double($1) }
    }
    length = length.squareRoot()
    // Along the gradient, which stands for all elements at once.
    let step = 2e-3, ends = try [step, -step].map { step -> Double in
      var moved = adapter, model = base
      for leaf in maker.leaves {
        let values = zip(leaf.tensor.values, gradients[leaf.tensor]?.values ?? []).map {
          Float(Double($0) + step * Double($1) / length)
        }
        moved.tensors[leaf.path] = Tensor(values, shape: leaf.tensor.shape, backend: leaf.tensor.backend)
      }
      try moved.apply(to: &model)
      return zip(model.scores(tokens, writing: []).values, factors.values).reduce(0) { $0 + Double($1.0) * Double($1.1) }
    }
    let slope = (ends[0] - ends[1]) / (2 * step)
    #expect(abs(slope - length) < 0.02 * length, "slope \(slope), gradient \(length)")
  }
}

extension Adapter {
  /// Adds noise to every number, so that each one matters.
  mutating func shake(_ spread: Float = 0.2, seed: UInt64 = 9) {
    var random = SeededRandom(seed)
    for (name, tensor) in tensors.sorted(by: { $0.key < $1.key }) {
      let noise = random.floats(tensor.shape.count, spread: spread)
      tensors[name] = Tensor(zip(tensor.values, noise).map { $0 + $1 }, shape: tensor.shape, backend: tensor.backend)
    }
  }
}
