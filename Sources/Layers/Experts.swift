// A mixture of experts (Shazeer et al. 2017; Jiang et al. 2024): of many feed-forward layers each token uses a few.
import Tensors

/// How many experts there are and how they are chosen.
public struct ExpertsConfiguration: Sendable {
  public var count: Int
  /// Experts that a token uses.
  public var used: Int
  public var hiddenWidth: Int
  /// Whether the weights of the experts that a token uses sum to 1.
  public var normalizesWeights: Bool

  package init(count: Int, used: Int, hiddenWidth: Int, normalizesWeights: Bool) {
    self.count = count
    self.used = used
    self.hiddenWidth = hiddenWidth
    self.normalizesWeights = normalizesWeights
  }
}

/// Σ of what the likeliest experts say, weighted by how likely the router holds them.
public struct Experts: FeedForward {
  public var router: any Projection
  public var experts: [GatedMLP]
  public let configuration: ExpertsConfiguration

  public init(_ layer: LayerConfiguration, _ configuration: ExpertsConfiguration, backend: any Backend) {
    self.configuration = configuration
    router = Linear(inputs: layer.width, outputs: configuration.count, backend: backend)
    var expert = layer
    expert.hiddenWidth = configuration.hiddenWidth
    experts = (0..<configuration.count).map { _ in GatedMLP(expert, backend: backend) }
  }

  public func callAsFunction(_ x: Tensor, recomputes: Bool) -> Tensor {
    let tokens = x.shape[0], used = configuration.used
    let scores = router(x), chosen = likeliest(scores)
    // Each expert reads its tokens, in their order; `places` says where a token's answers lie.
    var places = [Int32](repeating: 0, count: tokens * used), answers: [Tensor] = [], answered: Int32 = 0
    for expert in experts.indices {
      let uses = chosen.indices.filter { chosen[$0] == expert }
      guard !uses.isEmpty else { continue }
      answers.append(experts[expert](x.rows(at: uses.map { Int32($0 / used) }), recomputes: recomputes))
      for use in uses {
        places[use] = answered
        answered += 1
      }
    }
    // The softmax of the chosen scores is that of all, divided by the sum of what was chosen.
    var weights = (configuration.normalizesWeights ? scores : scores.softmax())
      .reshaped([tokens * configuration.count, 1])
      .rows(at: chosen.enumerated().map { Int32($0 / used * configuration.count + $1) })
      .reshaped([tokens, used])
    if configuration.normalizesWeights { weights = weights.softmax() }
    return Tensor.concatenated(answers).weightedRows(at: places, weights: weights)
  }

  /// The likeliest experts of each token, the likeliest first, of equals the first: `[T × used]`.
  private func likeliest(_ scores: Tensor) -> [Int] {
    let values = scores.values, count = configuration.count
    return stride(from: 0, to: values.count, by: count).flatMap { first in
      (0..<count).sorted {
        let (a, b) = (values[first + $0], values[first + $1])
        return a > b || (a == b && $0 < $1)
      }.prefix(configuration.used)
    }
  }

  public mutating func visit(_ visitor: any ModuleVisitor, at path: ModulePath) throws {
    try visitor.visit(&router, at: path / "router")
    for index in experts.indices { try experts[index].visit(visitor, at: path / "experts" / String(index)) }
  }
}
