// Keys and values that no token has said (Li and Liang 2021): what prefix tuning learns in place of weights.
import Tensors

/// Learnt keys and values that stand before each text, for every layer. In a text virtual tokens keep their places;
/// what a model computes for these is of no use to anyone.
public struct Prefix: Module {
  /// Of one layer, `[n, kvHeads × headWidth]` each, as they are after rotation.
  public struct Layer: Module {
    public var keys, values: Tensor

    public init(keys: Tensor, values: Tensor) {
      self.keys = keys
      self.values = values
    }

    public mutating func visit(_ visitor: any ModuleVisitor, at path: ModulePath) throws {
      try visitor.visit(&keys, role: .adapter, at: path / "keys")
      try visitor.visit(&values, role: .adapter, at: path / "values")
    }
  }

  public var layers: [Layer]

  public init(layers: [Layer]) { self.layers = layers }

  /// Virtual tokens before each text.
  public var count: Int { layers.first?.keys.shape.rows ?? 0 }

  public mutating func visit(_ visitor: any ModuleVisitor, at path: ModulePath) throws {
    for index in layers.indices { try layers[index].visit(visitor, at: path / String(index)) }
  }
}

/// A context in which the keys and values of virtual tokens are those of a prefix.
public final class PrefixContext: AttentionContext {
  private let prefix: Prefix
  private let context: any AttentionContext
  /// For each token the row of its key among those of the pass, followed by those of the prefix.
  private let places: [Int32]
  public var positions: [Int32] { context.positions }
  public var recomputation: Recomputation { context.recomputation }

  /// Nil where no token is virtual.
  /// - Parameter vocabulary: the number of the first virtual token.
  public init?(_ prefix: Prefix?, tokens: [Int32], vocabulary: Int, over context: any AttentionContext) {
    let first = Int32(vocabulary)
    guard let prefix, tokens.contains(where: { $0 >= first }) else { return nil }
    self.prefix = prefix
    self.context = context
    places = tokens.enumerated().map { $1 < first ? Int32($0) : Int32(tokens.count) + $1 - first }
  }

  public func attend(_ layer: AttentionLayer, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor {
    let own = prefix.layers[layer.index]
    return context.attend(
      layer, queries: queries, keys: replaced(keys, own.keys), values: replaced(values, own.values))
  }

  private func replaced(_ rows: Tensor, _ own: Tensor) -> Tensor {
    let flat = rows.reshaped([rows.shape[0], rows.shape[1] * rows.shape[2]])
    return Tensor.concatenated([flat, own]).rows(at: places).reshaped(rows.shape)
  }
}
