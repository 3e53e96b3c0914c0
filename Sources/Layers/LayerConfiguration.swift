// What is different between one family's layers and another's, as data.
import Tensors

/// Sizes and choices from which a ``TransformerLayer`` is built.
public struct LayerConfiguration: Sendable {
  /// Numbers in a token's vector.
  public var width: Int
  public var heads: Int
  public var keyValueHeads: Int
  /// Numbers in a query, key or value of one head.
  public var headWidth: Int
  /// Numbers between the two maps of a feed-forward layer.
  public var hiddenWidth: Int

  public var normKind = Norm.Kind.rms
  public var normHasBias = false
  public var normEpsilon: Float
  public var normPlacement = NormPlacement.before
  /// Norms on each token's queries and keys.
  public var headNorm: Attention.HeadNorm?

  /// Whether queries, keys and values have a bias.
  public var hasAttentionBias = false
  public var hasAttentionOutputBias = false
  public var hasFeedForwardBias = false

  public var activation = Activation.silu
  public var isGated = true
  /// In place of one feed-forward layer.
  public var experts: ExpertsConfiguration?

  /// Attention and feed-forward both read what came in, and are added together.
  public var isParallel = false
  /// Whether the parallel feed-forward layer has a norm of its own; otherwise it reads what attention reads.
  public var hasParallelNorm = true
  /// Whether a decoder layer also looks at what an encoder has read.
  public var hasCrossAttention = false

  /// What the dot product of query and key is multiplied with.
  public var attentionScale: Float
  /// Scores are bent to stay within ± this.
  public var attentionSoftCap: Float?

  /// Where norms stand about a branch f: attention or feed-forward.
  public enum NormPlacement: Sendable {
    /// x + f(norm(x)) (Xiong et al. 2020)
    case before
    /// x + norm(f(norm(x)))
    case around
    /// x + norm(f(x))
    case after
    /// norm(x + f(x)), as in the first transformer (Vaswani et al. 2017)
    case afterSum
  }

  package init(
    width: Int, heads: Int, keyValueHeads: Int, headWidth: Int, hiddenWidth: Int, normEpsilon: Float
  ) {
    self.width = width
    self.heads = heads
    self.keyValueHeads = keyValueHeads
    self.headWidth = headWidth
    self.hiddenWidth = hiddenWidth
    self.normEpsilon = normEpsilon
    attentionScale = 1 / Float(headWidth).squareRoot()
  }

  /// A norm over a token's vector.
  public func norm(backend: any Backend) -> Norm {
    Norm(normKind, shape: [width], hasBias: normHasBias, epsilon: normEpsilon, backend: backend)
  }
}

/// Positions as one layer treats them.
public struct LayerPositions: Sendable {
  public var rotation: Rotation?
  public var window: Int?

  package init(rotation: Rotation? = nil, window: Int? = nil) {
    self.rotation = rotation
    self.window = window
  }
}
