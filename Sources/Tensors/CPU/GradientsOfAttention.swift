// Gradients of attention on the processor. Scores are computed again row by row, first for each query over what it
// sees, then for each key over the queries that see it; so every sum belongs to one row and one thread.
#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

extension CPUBackend {
  public func cached(_ attention: PagedAttention) -> (keys: Tensor, values: Tensor) {
    let layout = attention.layout, seen = attention.seen
    let shape: Shape = [seen.reduce(0) { $0 + $1.positions.count }, layout.heads, layout.headWidth]
    let keys = Tensor(shape: shape, backend: self), values = Tensor(shape: shape, backend: self)
    for part in seen {
      let pages = part.positions.lowerBound / PageLayout.tokens..<part.span.pages.count
      overRows(pages.count * layout.heads, elementsPerRow: PageLayout.tokens * layout.headWidth * 4) { rows in
        for row in rows {
          read(
            part, page: pages.lowerBound + row / layout.heads, head: row % layout.heads, attention,
            keys: keys.pointer, values: values.pointer)
        }
      }
    }
    return (keys, values)
  }

  /// Copies what is seen of one head in one page.
  private func read(
    _ part: PagedAttention.Seen, page: Int, head: Int, _ attention: PagedAttention,
    keys: UnsafeMutablePointer<Float>, values: UnsafeMutablePointer<Float>
  ) {
    let layout = attention.layout, first = page * PageLayout.tokens
    var codes = layout.part(of: part.span.pages[page], layer: attention.layer, head: head)
    for position in part.positions.clamped(to: first..<first + PageLayout.tokens) {
      let row = (part.offset + position - part.positions.lowerBound) * layout.heads + head
      let place = row * layout.headWidth
      kernels.load_token(&codes, Int32(position - first), layout.headWidth, keys + place, values + place)
    }
  }

  public func attendGradients(
    _ upstream: Tensor, _ attention: DenseAttention, queries: Tensor, keys: Tensor, values: Tensor, bias: Tensor?
  ) -> (queries: Tensor, keys: Tensor, values: Tensor, bias: Tensor?) {
    let heads = queries.shape[1], keyHeads = keys.shape[1], width = queries.shape[2]
    let result = (
      queries: Tensor(zeros: queries.shape, backend: self), keys: Tensor(zeros: keys.shape, backend: self),
      values: Tensor(zeros: keys.shape, backend: self), bias: bias.map { Tensor(zeros: $0.shape, backend: self) })
    let sums = Tensor(shape: [queries.shape[0], heads, 2], backend: self), distances = attention.distances
    for span in attention.spans {
      let gradient = AttentionGradient(
        attention: attention, span: span, heads: heads, keyHeads: keyHeads, width: width, upstream: upstream.pointer,
        queries: queries.pointer, keys: keys.pointer, values: values.pointer, sums: sums.pointer,
        bias: bias?.pointer, leastDistance: distances.lowerBound, distances: distances.count,
        queryGradient: result.queries.pointer, keyGradient: result.keys.pointer, valueGradient: result.values.pointer,
        biasGradient: result.bias?.pointer)
      // About half of what is seen, on average, and three sums over the width for each.
      let work = span.keys.count * width * 2
      withExtendedLifetime(sums) {
        overRows(span.queries.count * heads, elementsPerRow: work) { $0.forEach(gradient.ofQuery) }
        overRows(span.keys.count * keyHeads, elementsPerRow: work * gradient.group) { $0.forEach(gradient.ofKey) }
        if bias != nil { overRows(heads, elementsPerRow: work * span.queries.count) { $0.forEach(gradient.ofBias) } }
      }
    }
    return result
  }
}

/// The gradients of one span. With p the probabilities, s the scores before bending and o the result:
/// dv = Σ p do, ds = p (do·v − Σ p do·v) bend′(s), dq = Σ scale ds k, dk = Σ scale ds q (Dao et al. 2022, appendix B).
private struct AttentionGradient {
  let attention: DenseAttention
  let span: DenseAttention.Span
  let heads, keyHeads, width: Int
  let upstream, queries, keys, values: UnsafePointer<Float>
  /// For each query the logarithm of the sum of its exponentials, and Σ p do·v: `[T, heads, 2]`.
  let sums: UnsafeMutablePointer<Float>
  let bias: UnsafePointer<Float>?
  let leastDistance, distances: Int
  let queryGradient, keyGradient, valueGradient: UnsafeMutablePointer<Float>
  let biasGradient: UnsafeMutablePointer<Float>?

  var group: Int { heads / keyHeads }

  private func place(_ position: Int, _ keyHead: Int) -> Int {
    ((span.keys.lowerBound + position) * keyHeads + keyHead) * width
  }

  /// The place of a bias in `[heads, distances]`.
  private func biasPlace(_ head: Int, _ row: Int, _ position: Int) -> Int {
    head * distances + position - (span.start + row) - leastDistance
  }

  /// The score as it enters the exponential, and its derivative by the score before bending.
  private func score(_ product: Float, _ head: Int, _ row: Int, _ position: Int) -> (Float, Float) {
    var score = product * attention.scale
    if let bias { score += bias[biasPlace(head, row, position)] }
    guard let cap = attention.softCap else { return (score, 1) }
    let bent = tanh(score / cap)
    return (bent * cap, 1 - bent * bent)
  }

  /// - Parameter index: row of the span × heads + head.
  func ofQuery(_ index: Int) {
    let (row, head) = index.quotientAndRemainder(dividingBy: heads)
    let visible = attention.visible(from: span.start + row, of: span), keyHead = head / group
    let query = (span.queries.lowerBound + row) * heads + head
    let q = queries + query * width, dy = upstream + query * width, dq = queryGradient + query * width
    withUnsafeTemporaryAllocation(of: Float.self, capacity: 3 * visible.count) { scratch in
      guard let scores = scratch.baseAddress else { return }
      let products = scores + visible.count, slopes = products + visible.count
      var highest = -Float.infinity
      for (i, position) in visible.enumerated() {
        let at = place(position, keyHead)
        (scores[i], slopes[i]) = score(dot(q, keys + at, width), head, row, position)
        products[i] = dot(dy, values + at, width)
        highest = max(highest, scores[i])
      }
      var sum: Float = 0, mean: Float = 0
      for i in 0..<visible.count {
        let weight = exp(scores[i] - highest)
        sum += weight
        mean += weight * products[i]
      }
      let logSum = highest + log(sum)
      mean /= sum
      sums[query * 2] = logSum
      sums[query * 2 + 1] = mean
      for (i, position) in visible.enumerated() {
        let slope = attention.scale * exp(scores[i] - logSum) * (products[i] - mean) * slopes[i]
        accumulate(slope, keys + place(position, keyHead), width, into: dq)
      }
    }
  }

  /// The probability of a key for a query, and the gradient with respect to its score before bending.
  private func slope(_ row: Int, _ head: Int, _ position: Int) -> (probability: Float, slope: Float) {
    let query = (span.queries.lowerBound + row) * heads + head, at = place(position, head / group)
    let (score, bend) = score(dot(queries + query * width, keys + at, width), head, row, position)
    let probability = exp(score - sums[query * 2])
    let product = dot(upstream + query * width, values + at, width)
    return (probability, probability * (product - sums[query * 2 + 1]) * bend)
  }

  /// - Parameter index: key of the span × key heads + key head.
  func ofKey(_ index: Int) {
    let (position, keyHead) = index.quotientAndRemainder(dividingBy: keyHeads), at = place(position, keyHead)
    for row in attention.seeing(position, of: span) {
      for head in keyHead * group..<(keyHead + 1) * group {
        let query = ((span.queries.lowerBound + row) * heads + head) * width
        let (probability, slope) = slope(row, head, position)
        accumulate(probability, upstream + query, width, into: valueGradient + at)
        accumulate(slope * attention.scale, queries + query, width, into: keyGradient + at)
      }
    }
  }

  func ofBias(_ head: Int) {
    guard let biasGradient else { return }
    for row in 0..<span.queries.count {
      for position in attention.visible(from: span.start + row, of: span) {
        biasGradient[biasPlace(head, row, position)] += slope(row, head, position).slope
      }
    }
  }
}
