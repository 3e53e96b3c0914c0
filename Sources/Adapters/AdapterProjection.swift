// Wrappers about the projections of a model, whatever format their weights have, and the ops that they share.
import Layers
import Tensors

/// A projection that changes what another one does.
public protocol AdapterProjection: Projection {
  var base: any Projection { get set }

  /// The same with its own matrices as products read them fastest, until others are put in their places.
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

  /// Whether this is the same tensor, and no leaf whose gradient is wanted.
  func isSame(as other: Tensor) -> Bool { storage === other.storage && !needsGradient }

  /// x `[T, n]` × factors `[n]`, column by column.
  func scaled(columns factors: Tensor) -> Tensor {
    // Rows that are scaled are columns seen from the other side; one token's need not be turned.
    let count = factors.shape.count, isOne = shape.rows == 1
    let own = (isOne ? reshaped([count, 1]) : transposed())
      .weightedRows(at: (0..<count).map { Int32($0) }, weights: factors.reshaped([count, 1]))
    return isOne ? own.reshaped(shape) : own.transposed()
  }

  /// `f32` numbers of any tensor, in rows and without a history.
  func plainFloats() -> Tensor {
    let floats = backend.floats(self)
    return Tensor(storage: floats.storage, shape: floats.shape, dataType: .f32, backend: backend)
  }
}
