// Gradients without knowledge of them: ops as plain loops in double precision, and differences of what they give.
import Foundation
import Tensors
import TestSupport
import Testing

/// An op with its definition.
struct GradientCase {
  /// Values and shapes of the inputs whose gradients are compared.
  var inputs: [(values: [Float], shape: Shape)]
  /// What kernels make of the inputs before they compute, where that is not the same.
  var seen: [[Double]]?
  var op: ([Tensor]) -> [Tensor]
  var definition: ([[Double]]) -> [Double]

  /// Compares the gradients of Σ factors × op with central differences of Σ factors × definition, at about 60 places
  /// of each input; errors are relative to the root mean square of the gradient.
  func check(within bound: Double, on backend: CPUBackend, sourceLocation: SourceLocation = #_sourceLocation) {
    let leaves = inputs.map { Tensor($0.values, shape: $0.shape, backend: backend).requiringGradient() }
    var random = SeededRandom(99), factors: [Float] = []
    let results = op(leaves)
    var sums = [Gradients]()
    for result in results {
      let upstream = Tensor(random: result.shape, &random, backend)
      factors += upstream.values
      sums.append(result.gradients(upstream: upstream))
    }
    let start = seen ?? inputs.map { $0.values.map(Double.init) }
    for (index, leaf) in leaves.enumerated() {
      let shapes = sums.compactMap { $0[leaf]?.shape }
      #expect(shapes.allSatisfy { $0 == leaf.shape }, "input \(index)", sourceLocation: sourceLocation)
      let parts = sums.compactMap { $0[leaf]?.values }
      #expect(!parts.isEmpty, "input \(index) has no gradient", sourceLocation: sourceLocation)
      let places = Array(stride(from: 0, to: leaf.shape.count, by: max(1, leaf.shape.count / 60)))
      let found = places.map { place in parts.reduce(0) { $0 + $1[place] } }
      let expected = places.map { place in
        var input = start, values: [Double] = []
        for step in [1e-5, -1e-5] {
          input[index][place] = start[index][place] + step
          values.append(zip(definition(input), factors).reduce(0) { $0 + $1.0 * Double($1.1) })
        }
        return (values[0] - values[1]) / 2e-5
      }
      // Where nothing depends on an input, the differences are noise of 1e-10.
      let size = max(1e-4, (expected.reduce(0) { $0 + $1 * $1 } / Double(expected.count)).squareRoot())
      #expect(isWithin(bound, floor: size, found, expected), "input \(index)", sourceLocation: sourceLocation)
    }
  }
}

extension Activation {
  /// By definition.
  func value(_ x: Double) -> Double {
    switch self {
    case .relu: max(0, x)
    case .tanh: Foundation.tanh(x)
    case .silu: x / (1 + exp(-x))
    case .geluTanh: 0.5 * x * (1 + Foundation.tanh((2 / Double.pi).squareRoot() * (x + 0.044715 * x * x * x)))
    case .gelu: 0.5 * x * (1 + erf(x / 2.0.squareRoot()))
    }
  }
}

extension AttentionCase {
  /// What the cache makes of keys and values.
  func stored(_ keys: [Float], _ values: [Float], on backend: CPUBackend) -> [[Double]] {
    let tokens = values.count / (keyValueHeads * width), shape: Shape = [tokens, keyValueHeads, width]
    let pages = stride(from: 0, to: tokens, by: PageLayout.tokens).map { _ in Storage.page(layout) }
    let span = PagedAttention.Span(rows: 0..<tokens, start: 0, pages: pages)
    let attention = PagedAttention(layout: layout, spans: [span], layer: 0, scale: 1, window: nil)
    _ = attention.attend(
      queries: Tensor([Float](repeating: 0, count: shape.count), shape: shape, backend: backend),
      keys: Tensor(keys, shape: shape, backend: backend),
      values: Tensor(values, shape: shape, backend: backend))
    let cached = backend.cached(attention)
    return [cached.keys, cached.values].map { $0.values.map(Double.init) }
  }

  /// Attention by definition over queries at the last positions of a sequence; keys and values of all positions.
  func attended(queries: [Double], keys: [Double], values: [Double], scale: Double) -> [Double] {
    let positions = keys.count / (keyValueHeads * width), tokens = queries.count / (heads * width)
    var result: [Double] = []
    for token in 0..<tokens {
      let position = positions - tokens + token
      let first = max(0, position + 1 - (window ?? positions))
      for head in 0..<heads {
        let places = (first...position).map { ($0 * keyValueHeads + head * keyValueHeads / heads) * width }
        let query = (token * heads + head) * width
        let weights = places.map { place in
          exp(((0..<width).reduce(0) { $0 + queries[query + $1] * keys[place + $1] } * scale).bent(softCap))
        }
        let sum = weights.reduce(0, +)
        for column in 0..<width {
          result.append(zip(places, weights).reduce(0) { $0 + values[$1.0 + column] * $1.1 } / sum)
        }
      }
    }
    return result
  }
}
