// Word embeddings: a vector for each token of the vocabulary.
import Tensors

/// Token numbers → their vectors; and, where the output head is tied to it, vectors → a score for each token.
public struct Embedding: Module {
  public var weight: Tensor
  /// Whether the output head multiplies with the same matrix.
  public let isTied: Bool

  public init(vocabulary: Int, width: Int, isTied: Bool, backend: any Backend) {
    weight = .parameter([vocabulary, width], on: backend)
    self.isTied = isTied
  }

  /// `[T]` → `[T, width]`
  public func callAsFunction(_ tokens: [Int32]) -> Tensor { weight.rows(at: tokens) }

  /// `[T, width]` → `[T, vocabulary]`
  public func scores(_ x: Tensor) -> Tensor { x.product(weight) }

  public mutating func visit(_ visitor: any ModuleVisitor, at path: ModulePath) throws {
    try visitor.visit(&weight, role: isTied ? .matrix : .lookup, at: path)
  }
}
