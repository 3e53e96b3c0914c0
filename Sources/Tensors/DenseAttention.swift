// Attention over keys and values as a model just made them: encoders, cross-attention, whole sequences in training.

/// Attention of the tokens of several sequences laid end to end over keys and values of the same or other sequences.
public struct DenseAttention: Sendable {
  /// A sequence's queries and the keys that they may see.
  public struct Span: Sendable {
    /// Rows of the queries.
    public var queries: Range<Int>
    /// Rows of the keys and values.
    public var keys: Range<Int>
    /// The position of the first query, where the first key has position 0.
    public var start: Int

    public init(queries: Range<Int>, keys: Range<Int>, start: Int = 0) {
      self.queries = queries
      self.keys = keys
      self.start = start
    }
  }

  public var spans: [Span]
  /// What the dot product of query and key is multiplied with.
  public var scale: Float
  /// How many positions before its own a query sees; nil for all.
  public var before: Int?
  /// How many positions after its own a query sees; nil for all, 0 for causal attention.
  public var after: Int?
  /// Scores are bent to stay within ± this.
  public var softCap: Float?

  public init(spans: [Span], scale: Float, before: Int? = nil, after: Int? = nil, softCap: Float? = nil) {
    self.spans = spans
    self.scale = scale
    self.before = before
    self.after = after
    self.softCap = softCap
  }

  /// The keys of a span that its query at `position` sees, from its first.
  func visible(from position: Int, of span: Span) -> Range<Int> {
    let count = span.keys.count
    let first = min(count, max(0, before.map { position - $0 } ?? 0))
    return first..<max(first, min(count, after.map { position + $0 + 1 } ?? count))
  }

  /// The queries of a span that see its key at `position`, from its first.
  func seeing(_ position: Int, of span: Span) -> Range<Int> {
    let count = span.queries.count
    let first = min(count, max(0, after.map { position - $0 - span.start } ?? 0))
    return first..<max(first, min(count, before.map { position + $0 + 1 - span.start } ?? count))
  }

  /// The distances `key − query` that occur, from the least: the columns of a bias.
  public var distances: ClosedRange<Int> {
    let least = spans.map { -($0.start + $0.queries.count - 1) }.min() ?? 0
    return least...max(least, spans.map { $0.keys.count - 1 - $0.start }.max() ?? 0)
  }
}

extension DenseAttention {
  /// queries `[T, heads, width]`, keys and values `[S, kvHeads, width]` → `[T, heads, width]`
  ///
  /// - Parameter bias: added to scaled scores, by distance: `[heads, distances.count]`; nil for none.
  public func attend(queries: Tensor, keys: Tensor, values: Tensor, bias: Tensor? = nil) -> Tensor {
    let backend = queries.backend
    let attended = backend.attend(self, queries: queries, keys: keys, values: values, bias: bias)
    let inputs = [queries, keys, values] + (bias.map { [$0] } ?? [])
    guard inputs.contains(where: \.needsGradient) else { return attended }
    return attended.recorded([
      Pullback(to: inputs) {
        let found = backend.attendGradients($0, self, queries: queries, keys: keys, values: values, bias: bias)
        return [found.queries, found.keys, found.values] + (found.bias.map { [$0] } ?? [])
      }
    ])
  }
}
