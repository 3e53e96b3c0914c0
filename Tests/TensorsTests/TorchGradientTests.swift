// Gradients of ops and of whole small decoders against PyTorch's autograd (Fixtures/gradients.py).
import Checkpoints
import Foundation
import Layers
import Models
import Tensors
import TestSupport
import Testing

@Suite struct `Gradients beside PyTorch` {
  private let backend = CPUBackend(threads: 2)
  private let reference: Reference

  init() throws {
    reference = try JSONDecoder().decode(Reference.self, from: fixture("gradients.json"))
  }

  /// Compares the gradients of Σ result × numbers(99), and the result where it is stored.
  private func check(
    _ name: String, _ result: Tensor, _ leaves: [String: Tensor], within bound: Double,
    sourceLocation: SourceLocation = #_sourceLocation
  ) {
    let upstream = numbers(99, result.shape)
    let gradients = result.gradients(upstream: upstream)
    #expect(gradients.count == leaves.count, sourceLocation: sourceLocation)
    if let expected = reference.numbers[name] {
      let error = relativeError(result.values, expected)
      #expect(error <= bound, "\(name): \(error)", sourceLocation: sourceLocation)
    }
    for (key, leaf) in leaves {
      let error = relativeError(gradients[leaf]?.values ?? [], reference.numbers["\(name).\(key)"] ?? [.nan])
      #expect(error <= bound, "\(name).\(key): \(error)", sourceLocation: sourceLocation)
    }
  }

  private func numbers(_ seed: Int, _ shape: Shape) -> Tensor { Tensor(numbers: seed, shape, backend) }

  private func leaf(_ seed: Int, _ shape: Shape) -> Tensor { numbers(seed, shape).requiringGradient() }

  @Test(arguments: [Activation.silu, .gelu, .geluTanh]) func `gates`(activation: Activation) throws {
    let gate = leaf(1, [7, 33]), up = leaf(2, [7, 33])
    let result = (gate * 6).activated(activation, times: up)
    check(activation.rawValue, result, ["gate": gate, "up": up], within: 1e-6)
  }

  @Test func `rmsNorm and logSumExp`() throws {
    let x = leaf(3, [9, 48]), weight = leaf(4, [48]), scores = leaf(6, [5, 40])
    check("rmsNorm", x.rmsNorm(weight: weight, epsilon: 1e-5), ["x": x, "weight": weight], within: 1e-6)
    check("logSumExp", (scores * 8).logSumExp(), ["x": scores], within: 1e-6)
  }

  @Test func `layerNorm, softmax and attention in memory`() throws {
    #expect(["layerNorm", "softmax", "denseAttention"].allSatisfy { reference.numbers[$0] != nil })
    let x = leaf(11, [9, 48]), weight = leaf(12, [48]), bias = leaf(13, [48]), scores = leaf(14, [5, 40])
    let normalized = (x * 4).layerNorm(weight: weight, bias: bias, epsilon: 1e-5)
    check("layerNorm", normalized, ["x": x, "weight": weight, "bias": bias], within: 1e-6)
    check("softmax", (scores * 8).softmax(), ["x": scores], within: 1e-6)
    let queries = leaf(15, [7, 4, 16]), keys = leaf(16, [13, 2, 16]), values = leaf(17, [13, 2, 16])
    let distances = leaf(18, [4, 19])
    let attention = DenseAttention(spans: [.init(queries: 0..<7, keys: 0..<13)], scale: 0.25, softCap: 5)
    let attended = attention.attend(queries: queries * 4, keys: keys * 4, values: values, bias: distances * 2)
    check(
      "denseAttention", attended, ["queries": queries, "keys": keys, "values": values, "bias": distances], within: 1e-6)
  }

  @Test func `rotation in both pairings`() throws {
    let x = leaf(5, [5, 3, 16]), frequencies = (0..<8).map { pow(100, -Double($0) / 8) }
    for (name, pairing) in ["interleaved": Rotation.Pairing.interleaved, "halves": .halves] {
      let rotation = Rotation(frequencies: frequencies, pairing: pairing)
      check(name, x.rotated(by: rotation, positions: [0, 1, 2, 3, 4]), ["x": x], within: 1e-6)
    }
  }

  @Test func `attention with a window`() throws {
    let queries = leaf(7, [90, 4, 16]), keys = leaf(8, [90, 2, 16]), values = leaf(9, [90, 2, 16])
    let context = WholeSequence(tokens: 90, layers: 1, keyValueHeads: 2, headWidth: 16)
    let result = context.attend(
      AttentionLayer(index: 0, scale: 0.25, window: 20), queries: queries * 4, keys: keys * 4, values: values)
    check("attention", result, ["queries": queries, "keys": keys, "values": values], within: 1e-6)
  }

  @Test(arguments: [DataType.q4_0, .q4_k]) func `products with a quantized weight`(type: DataType) throws {
    let bytes = try #require(reference.bytes["\(type)"])
    let storage = Storage(byteCount: bytes.count)
    storage.bytes.copyBytes(from: bytes)
    let stored = Tensor(storage: storage, shape: [20, 256], dataType: type, backend: backend)
    let x = leaf(10, [3, 256])
    check("\(type)", x.product(try backend.prepare(stored)), ["x": x], within: 1e-6)
  }

  @Test(arguments: ReferenceModel.all.filter { ["llama-grouped", "gemma3"].contains($0.name) })
  func `a decoder's embedding, norms and adapters`(model: ReferenceModel) throws {
    var decoder = try Decoder(GGUFFile(path: model.path), backend: backend)
    let trainer = Trainer(backend)
    try decoder.visit(trainer, at: ModulePath())
    let context = WholeSequence(
      tokens: ReferenceModel.tokens.count, layers: decoder.configuration.layers,
      keyValueHeads: decoder.configuration.layer.keyValueHeads, headWidth: decoder.configuration.layer.headWidth)
    let logits = decoder.logits(decoder(ReferenceModel.tokens, context))
    // A number near the middle of two f16 ones may be cached as the other: one such step is 5e-4 of it, and the random
    // Llama makes about as much of it in its gradients. Noise of 1e-7 in PyTorch's keys does the same there.
    check(model.name, logits, trainer.leaves, within: model.name == "gemma3" ? 1e-4 : 1e-3)
  }
}

/// The fixture: gradients and stored weights, by name.
private struct Reference: Decodable {
  var numbers: [String: [Float]]
  var bytes: [String: Data]
}

extension Tensor {
  /// The numbers that gradients.py makes of a seed.
  fileprivate init(numbers seed: Int, _ shape: Shape, _ backend: CPUBackend) {
    let values = (0..<shape.count).map { index in
      let mixed = (index * 7919 + seed * 104_729) * (index % 61 + 17)
      return Float(Double(mixed % 20_011) / 10_005.5 - 1)
    }
    self.init(values, shape: shape, backend: backend)
  }
}

/// Attention over the pages of one sequence that is read at once.
private final class WholeSequence: AttentionContext {
  let positions: [Int32]
  private let layout: PageLayout
  private let pages: [Storage]

  init(tokens: Int, layers: Int, keyValueHeads: Int, headWidth: Int) {
    let layout = PageLayout(layers: layers, heads: keyValueHeads, headWidth: headWidth, type: .i16)
    positions = (0..<Int32(tokens)).map(\.self)
    pages = stride(from: 0, to: tokens, by: PageLayout.tokens).map { _ in .page(layout) }
    self.layout = layout
  }

  func attend(_ layer: AttentionLayer, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor {
    PagedAttention(
      layout: layout, spans: [.init(rows: 0..<positions.count, start: 0, pages: pages)], layer: layer.index,
      scale: layer.scale, window: layer.window
    ).attend(queries: queries, keys: keys, values: values)
  }
}

/// Makes leaves of the embedding and the norms, and puts low-rank adapters beside two projections of each layer.
private final class Trainer: ModuleVisitor {
  private(set) var leaves: [String: Tensor] = [:]
  private let backend: CPUBackend

  init(_ backend: CPUBackend) {
    self.backend = backend
  }

  func visit(_ parameter: inout Tensor, role: ParameterRole, at path: ModulePath) {
    guard role == .vector || path.description == "embedding" else { return }
    parameter = backend.floats(parameter).requiringGradient()
    leaves[path.description] = parameter
  }

  func visit(_ projection: inout any Projection, at path: ModulePath) {
    guard ["attention.query", "feedForward.down"].contains(path.parts.suffix(2).joined(separator: ".")) else { return }
    let a = Tensor(numbers: 20, [4, projection.inputs], backend).requiringGradient()
    let b = Tensor(numbers: 21, [projection.outputs, 4], backend).requiringGradient()
    leaves["\(path).a"] = a
    leaves["\(path).b"] = b
    projection = LowRank(base: projection, a: a, b: b)
  }
}

/// base(x) + B A x / 10 (Hu et al. 2021)
private struct LowRank: Projection {
  let base: any Projection
  let a, b: Tensor

  var inputs: Int { base.inputs }
  var outputs: Int { base.outputs }
  var plainWeight: Tensor? { nil }

  func callAsFunction(_ x: Tensor) -> Tensor { base(x) + x.product(a).product(b) * 0.1 }

  func visit(_ visitor: any ModuleVisitor, at path: ModulePath) {}
}
