// Positions as T5 knows them (Raffel et al. 2020): a learnt number for each head and each kind of distance.
import Foundation
import Tensors

/// What is added to a score, by the distance between key and query. Near distances have numbers of their own, farther
/// ones share, more and more to a number.
public struct RelativeBias: Module {
  /// `[buckets, heads]`
  public var weight: Tensor
  public let isBidirectional: Bool
  /// Distances from here on share the last number.
  public let maximumDistance: Int

  public init(buckets: Int, heads: Int, isBidirectional: Bool, maximumDistance: Int, backend: any Backend) {
    weight = .parameter([buckets, heads], on: backend)
    self.isBidirectional = isBidirectional
    self.maximumDistance = maximumDistance
  }

  /// The number of each distance `key − query`, `[heads, distances]`.
  public func table(_ distances: ClosedRange<Int>) -> Tensor {
    weight.rows(at: distances.map { Int32(bucket($0)) }).transposed()
  }

  private func bucket(_ distance: Int) -> Int {
    var buckets = weight.shape.rows, first = 0, far = max(0, -distance)
    if isBidirectional {
      buckets /= 2
      if distance > 0 { first = buckets }
      far = abs(distance)
    }
    let exact = buckets / 2
    guard far >= exact, exact > 0 else { return first + min(far, buckets - 1) }
    let share = log(Float(far) / Float(exact)) / Float(log(Double(maximumDistance) / Double(exact)))
    return first + min(buckets - 1, exact + Int(share * Float(buckets - exact)))
  }

  public mutating func visit(_ visitor: any ModuleVisitor, at path: ModulePath) throws {
    try visitor.visit(&weight, role: .vector, at: path)
  }
}
