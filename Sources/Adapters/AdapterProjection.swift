// Wrappers about the projections of a model, whatever format their weights have, and the ops that they share.
import Layers
import Tensors

/// A projection that changes what another one does.
public protocol AdapterProjection: Projection {
  var base: any Projection { get set }

  /// The same, with its own matrices as products read them fastest; no longer to be trained.
  func prepared() throws -> Self

  /// Makes of the base's weight `[outputs, inputs]` that of one plain projection which does the same.
  /// - Throws: ``AdapterError`` where none does.
  func merge(into weight: inout [Float]) throws

  /// Makes of the base's bias, which it may not have, that of the same projection.
  func merge(intoBias bias: inout [Float])
}

extension AdapterProjection {
  public func merge(intoBias bias: inout [Float]) {}

  public var inputs: Int { base.inputs }
  public var outputs: Int { base.outputs }
  public var plainWeight: Tensor? { nil }
}

extension Tensor {
  /// A trained matrix in the layout that products read fastest, once and for all; one in memory can always be read.
  func packed() -> Tensor { (try? backend.prepare(self)) ?? self }

  /// x `[T, n]` × factors `[n]`, column by column.
  func scaled(columns factors: Tensor) -> Tensor {
    let count = factors.shape.count
    return transposed().weightedRows(at: (0..<count).map { Int32($0) }, weights: factors.reshaped([count, 1])).transposed()
  }

  /// `f32` numbers of any tensor, in rows and without a history.
  func plainFloats() -> Tensor {
    let floats = backend.floats(self)
    return Tensor(storage: floats.storage, shape: floats.shape, dataType: .f32, backend: backend)
  }
}
