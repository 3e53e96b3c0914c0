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
    _ upstream: Tensor, _ attention: PagedAttention, queries: Tensor, cached: (keys: Tensor, values: Tensor)
  ) -> (queries: Tensor, keys: Tensor, values: Tensor) {
    let tokens = queries.shape[0], heads = queries.shape[1], shape = queries.shape
    let keyShape: Shape = [tokens, attention.layout.heads, attention.layout.headWidth]
    let result = (
      queries: Tensor(shape: shape, backend: self), keys: Tensor(zeros: keyShape, backend: self),
      values: Tensor(zeros: keyShape, backend: self))
    let sums = Tensor(shape: [tokens, heads, 2], backend: self)
    for part in attention.seen {
      let gradient = AttentionGradient(
        attention: attention, part: part, heads: heads, upstream: upstream.pointer, queries: queries.pointer,
        keys: cached.keys.pointer, values: cached.values.pointer, sums: sums.pointer,
        queryGradient: result.queries.pointer, keyGradient: result.keys.pointer, valueGradient: result.values.pointer)
      // About half of what is seen, on average, and three sums over the width for each.
      let work = part.positions.count * attention.layout.headWidth * 2
      withExtendedLifetime(sums) {
        overRows(part.span.rows.count * heads, elementsPerRow: work) { $0.forEach(gradient.ofQuery) }
        overRows(part.span.rows.count * attention.layout.heads, elementsPerRow: work * gradient.group) {
          $0.forEach(gradient.ofKey)
        }
      }
    }
    return result
  }
}

/// The gradients of one span. With p the probabilities, s the scores before scaling and o the result:
/// dv = Σ p do, ds = scale × p (do·v − Σ p do·v), dq = Σ ds k, dk = Σ ds q (Dao et al. 2022, appendix B).
private struct AttentionGradient {
  let attention: PagedAttention
  let part: PagedAttention.Seen
  let heads: Int
  let upstream, queries, keys, values: UnsafePointer<Float>
  /// For each query the logarithm of the sum of its exponentials, and Σ p do·v: `[T, heads, 2]`.
  let sums: UnsafeMutablePointer<Float>
  let queryGradient, keyGradient, valueGradient: UnsafeMutablePointer<Float>

  var group: Int { heads / keyHeads }
  private var keyHeads: Int { attention.layout.heads }
  private var width: Int { attention.layout.headWidth }

  /// Where the key of a position is in the copy of the cache.
  private func place(_ position: Int, _ keyHead: Int) -> Int {
    ((part.offset + position - part.positions.lowerBound) * keyHeads + keyHead) * width
  }

  /// - Parameter index: row of the span × heads + head.
  func ofQuery(_ index: Int) {
    let (row, head) = index.quotientAndRemainder(dividingBy: heads)
    let visible = attention.visible(from: part.span.start + row), keyHead = head / group
    let query = (part.span.rows.lowerBound + row) * heads + head
    let q = queries + query * width, dy = upstream + query * width, dq = queryGradient + query * width
    withUnsafeTemporaryAllocation(of: Float.self, capacity: 2 * visible.count) { scratch in
      let scores = scratch.baseAddress!, products = scores + visible.count
      var highest = -Float.infinity
      for (i, position) in visible.enumerated() {
        let at = place(position, keyHead)
        scores[i] = dot(q, keys + at, width) * attention.scale
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
      dq.update(repeating: 0, count: width)
      for (i, position) in visible.enumerated() {
        let slope = attention.scale * exp(scores[i] - logSum) * (products[i] - mean)
        accumulate(slope, keys + place(position, keyHead), width, into: dq)
      }
    }
  }

  /// - Parameter index: row of the span × key heads + key head.
  func ofKey(_ index: Int) {
    let (row, keyHead) = index.quotientAndRemainder(dividingBy: keyHeads)
    let at = place(part.span.start + row, keyHead)
    let target = ((part.span.rows.lowerBound + row) * keyHeads + keyHead) * width
    let k = keys + at, v = values + at, dk = keyGradient + target, dv = valueGradient + target
    let seeing = min(part.span.rows.count - row, attention.window ?? .max)
    for later in row..<row + seeing {
      for head in keyHead * group..<(keyHead + 1) * group {
        let query = (part.span.rows.lowerBound + later) * heads + head
        let q = queries + query * width, dy = upstream + query * width
        let probability = exp(dot(q, k, width) * attention.scale - sums[query * 2])
        accumulate(probability, dy, width, into: dv)
        let slope = attention.scale * probability * (dot(dy, v, width) - sums[query * 2 + 1])
        accumulate(slope, q, width, into: dk)
      }
    }
  }
}
