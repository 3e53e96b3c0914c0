// Word embeddings: a vector for each token of the vocabulary.
import Tensors

/// Token numbers → their vectors; and, where the output head is tied to it, vectors → a score for each token.
public struct Embedding: Module {
  public var weight: Tensor
  /// Learnt vectors of virtual tokens, `[n, width]`, whose numbers follow the vocabulary's (prompt tuning).
  public var prompt: Tensor?
  /// Whether the output head multiplies with the same matrix.
  public let isTied: Bool

  public init(vocabulary: Int, width: Int, isTied: Bool, backend: any Backend) {
    weight = .parameter([vocabulary, width], on: backend)
    self.isTied = isTied
  }

  /// `[T]` → `[T, width]`
  /// - Parameter scale: of the words' vectors; those of virtual tokens are learnt as they are.
  public func callAsFunction(_ tokens: [Int32], scale: Float = 1) -> Tensor {
    let vocabulary = Int32(weight.shape.rows)
    let words = { (tokens: [Int32]) in
      let vectors = weight.rows(at: tokens)
      return scale == 1 ? vectors : vectors * scale
    }
    guard let prompt, tokens.contains(where: { $0 >= vocabulary }) else { return words(tokens) }
    let known = tokens.filter { $0 < vocabulary }
    var next: Int32 = 0
    let places = tokens.map { token -> Int32 in
      guard token < vocabulary else { return Int32(known.count) + token - vocabulary }
      defer { next += 1 }
      return next
    }
    return Tensor.concatenated((known.isEmpty ? [] : [words(known)]) + [prompt]).rows(at: places)
  }

  /// The numbers of the virtual tokens that a prompt's or a prefix's rows stand for.
  public static func virtualTokens(after vocabulary: Int, prompt: Tensor?, prefix: Prefix?) -> [Int32] {
    let count = prompt?.shape.rows ?? prefix?.count ?? 0
    return (vocabulary..<vocabulary + count).map { Int32($0) }
  }

  /// `[T, width]` → `[T, vocabulary]`
  public func scores(_ x: Tensor) -> Tensor { x.product(weight) }

  public mutating func visit(_ visitor: any ModuleVisitor, at path: ModulePath) throws {
    try visitor.visit(&weight, role: isTied ? .matrix : .lookup, at: path)
    try visitor.visit(&prompt, role: .adapter, at: path / "prompt")
  }
}
