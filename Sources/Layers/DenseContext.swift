// Attention for whole sequences at once: nothing is cached, nothing rounded. Encoders, training, and half-way decoders of
// encoder–decoders, whose earlier keys and values it keeps.
import Tensors

/// Attention over sequences laid end to end, each from its first token to its last.
public final class DenseContext: AttentionContext {
  public let positions: [Int32]
  private let spans: [DenseAttention.Span]
  private let isCausal: Bool
  private let relativeBias: RelativeBias?
  private let history: History?
  public let recomputation: Recomputation

  /// Keys and values of earlier passes over one sequence, layer by layer.
  public final class History {
    fileprivate var layers: [Int: (keys: Tensor, values: Tensor)] = [:]
    /// Tokens of earlier passes.
    public fileprivate(set) var count = 0

    public init() {}
  }

  /// - Parameters:
  ///   - lengths: tokens of each sequence.
  ///   - isCausal: whether a token sees only those before it and itself; otherwise it sees all of its sequence.
  ///   - relativeBias: added to scores by distance (T5).
  ///   - recomputation: see ``AttentionContext/recomputation``.
  public init(
    lengths: [Int], isCausal: Bool, relativeBias: RelativeBias? = nil, recomputation: Recomputation = .nothing
  ) {
    self.recomputation = recomputation
    var positions: [Int32] = [], spans: [DenseAttention.Span] = []
    for length in lengths {
      spans.append(.init(queries: positions.count..<positions.count + length, keys: positions.count..<positions.count + length))
      for position in 0..<length { positions.append(Int32(position)) }
    }
    (self.positions, self.spans, self.isCausal, self.relativeBias) = (positions, spans, isCausal, relativeBias)
    history = nil
  }

  /// The next `tokens` tokens of one sequence, after those of `history`, which takes them up.
  public init(after history: History, tokens: Int, relativeBias: RelativeBias? = nil) {
    let start = history.count
    positions = (start..<start + tokens).map { Int32($0) }
    spans = [.init(queries: 0..<tokens, keys: 0..<start + tokens, start: start)]
    isCausal = true
    self.relativeBias = relativeBias
    self.history = history
    recomputation = .nothing
    history.count += tokens
  }

  public func attend(_ layer: AttentionLayer, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor {
    var (keys, values) = (keys, values)
    if let history {
      if let earlier = history.layers[layer.index] {
        let shape: Shape = [earlier.keys.shape[0] + keys.shape[0], keys.shape[1], keys.shape[2]]
        keys = Tensor.concatenated([earlier.keys.flattened, keys.flattened]).reshaped(shape)
        values = Tensor.concatenated([earlier.values.flattened, values.flattened]).reshaped(shape)
      }
      history.layers[layer.index] = (keys, values)
    }
    let attention = DenseAttention(
      spans: spans, scale: layer.scale, before: layer.window.map { isCausal ? $0 - 1 : $0 / 2 },
      after: isCausal ? 0 : layer.window.map { $0 / 2 }, softCap: layer.softCap)
    let bias = relativeBias?.table(attention.distances)
    return attention.attend(queries: queries, keys: keys, values: values, bias: bias)
  }
}

extension Tensor {
  /// `[S, heads, width]` → `[S, heads × width]`
  fileprivate var flattened: Tensor { reshaped([shape[0], shape[1] * shape[2]]) }
}
