// Gradients of attention on the processor. Scores are computed again for 64 queries at a time, so that never all of
// them are in memory (Dao et al. 2022); each head of a sequence belongs to one thread.
import CKernels
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
    let heads = queries.shape[1], keyHeads = keys.shape[1], width = queries.shape[2], distances = attention.distances
    // Heads that share keys and values have gradients of their own first.
    let all: Shape = [keys.shape[0], heads, width], spans = attention.spans
    let queryGradient = Tensor(zeros: queries.shape, backend: self)
    let keyGradients = Tensor(zeros: all, backend: self), valueGradients = Tensor(zeros: all, backend: self)
    let isDisjoint = zip(spans, spans.dropFirst()).allSatisfy { $0.keys.upperBound <= $1.keys.lowerBound }
    let parts = isDisjoint ? spans.indices.map { $0..<$0 + 1 } : [spans.startIndex..<spans.endIndex]
    let biasGradients = bias.map { Tensor(zeros: [parts.count, heads * $0.shape.columns], backend: self) }
    let work = HeadGradient(
      attention: attention, kernels: kernels, isPairs: multipliesPairs, heads: heads, group: heads / keyHeads,
      width: width, upstream: upstream.pointer, queries: queries.pointer, keys: keys.pointer, values: values.pointer,
      bias: bias?.pointer, leastDistance: distances.lowerBound, distances: distances.count,
      queryGradient: queryGradient.pointer, keyGradients: keyGradients.pointer, valueGradients: valueGradients.pointer)
    let chunks = parts.count * heads
    withExtendedLifetime(biasGradients) {
      pool.run(chunks: chunks, isLong: true) { chunk in
        let (part, head) = chunk.quotientAndRemainder(dividingBy: heads)
        let biasRow = biasGradients.map { $0.pointer + chunk * distances.count }
        for span in parts[part] { work.add(spans[span], head, biasRow) }
      }
    }
    return (
      queryGradient, groupSums(keyGradients, to: keys.shape), groupSums(valueGradients, to: keys.shape),
      biasGradients.flatMap { gradients in
        bias.map { biasGradient(gradients, columns: $0.shape.count).reshaped($0.shape) }
      })
  }

  /// `[S, heads, width]` → `[S, kvHeads, width]`: sums over the heads that share.
  private func groupSums(_ gradients: Tensor, to shape: Shape) -> Tensor {
    let group = gradients.shape[1] / shape[1], width = shape[2]
    guard group > 1 else { return gradients }
    let result = Tensor(shape: shape, backend: self), (source, out) = (gradients.pointer, result.pointer)
    overRows(shape[0] * shape[1], elementsPerRow: group * width) { rows in
      for row in rows {
        let first = source + row * group * width
        (out + row * width).update(from: first, count: width)
        for other in 1..<group { kernels.add(out + row * width, first + other * width, width, out + row * width) }
      }
    }
    return result
  }
}

/// The gradients of one head in one span. With p the probabilities, s the scores before bending and o the result:
/// dv = Σ p do, ds = p (do·v − Σ p do·v) bend′(s), dq = Σ scale ds k, dk = Σ scale ds q (Dao et al. 2022, appendix B).
private struct HeadGradient {
  static let rowsPerBlock = 64

  let attention: DenseAttention
  let kernels: mk_kernels
  let isPairs: Bool
  let heads, group, width: Int
  let upstream, queries, keys, values: UnsafePointer<Float>
  let bias: UnsafePointer<Float>?
  let leastDistance, distances: Int
  let queryGradient, keyGradients, valueGradients: UnsafeMutablePointer<Float>

  /// Memory for a block of queries, cut into the pieces that it needs.
  private struct Scratch {
    private let storage: Storage
    private var next: UnsafeMutablePointer<Float>

    init(floats: Int) {
      storage = Storage(byteCount: floats * 4)
      next = storage.bytes.bindMemory(to: Float.self).baseAddress!
    }

    mutating func take(_ count: Int) -> UnsafeMutablePointer<Float> {
      defer { next += (count + 15) / 16 * 16 }
      return next
    }

    mutating func panels(rows: Int, columns: Int, isPairs: Bool) -> GemmPanels {
      GemmPanels(
        start: take(GemmPanels.floats(rows: rows, columns: columns, isPairs: isPairs)), rows: rows, columns: columns,
        isPairs: isPairs)
    }

    func keptAlive(_ body: () -> Void) { withExtendedLifetime(storage, body) }
  }

  /// Adds what a span's queries say under one head.
  func add(_ span: DenseAttention.Span, _ head: Int, _ biasGradient: UnsafeMutablePointer<Float>?) {
    let count = span.keys.count, keyStride = heads / group * width
    guard count > 0 else { return }
    let first = (span.keys.lowerBound * (heads / group) + head / group) * width
    let block = Self.rowsPerBlock, padded = (count + 15) / 16 * 16
    var scratch = Scratch(floats: (padded + 64) * (3 * (width + 16) + 5 * block) + 4 * block * (width + 16))
    let keyPanels = scratch.panels(rows: count, columns: width, isPairs: isPairs)
    let valuePanels = scratch.panels(rows: count, columns: width, isPairs: isPairs)
    scratch.keptAlive {
      keyPanels.pack(MatrixView(keys + first, rows: count, columns: width, stride: keyStride), kernels)
      valuePanels.pack(MatrixView(values + first, rows: count, columns: width, stride: keyStride), kernels)
      for row in stride(from: 0, to: span.queries.count, by: block) {
        add(
          span, row..<min(span.queries.count, row + block), head, keyPanels, valuePanels, keys + first, biasGradient,
          scratch)
      }
    }
  }

  private func add(
    _ span: DenseAttention.Span, _ rows: Range<Int>, _ head: Int, _ keyPanels: GemmPanels, _ valuePanels: GemmPanels,
    _ keys: UnsafePointer<Float>, _ biasGradient: UnsafeMutablePointer<Float>?, _ memory: Scratch
  ) {
    let visible = rows.map { attention.visible(from: span.start + $0, of: span) }
    let lowest = (visible.map(\.lowerBound).min() ?? 0) / 16 * 16, end = visible.map(\.upperBound).max() ?? 0
    guard end > lowest else { return }
    let seen = end - lowest, ld = (seen + 15) / 16 * 16, count = rows.count
    var scratch = memory
    let weights = scratch.take(count * ld), slopes = scratch.take(count * ld)
    let bends = attention.softCap == nil ? nil : scratch.take(count * ld)
    let rowStride = heads * width, place = ((span.queries.lowerBound + rows.lowerBound) * heads + head) * width
    let query = MatrixView(queries + place, rows: count, columns: width, stride: rowStride)
    let dy = MatrixView(upstream + place, rows: count, columns: width, stride: rowStride)
    let narrow = scratch.panels(rows: count, columns: width, isPairs: isPairs)
    multiply(query, in: narrow, keyPanels, from: lowest, seen, into: weights, ld)
    multiply(dy, in: narrow, valuePanels, from: lowest, seen, into: slopes, ld)
    for (index, visible) in visible.enumerated() {
      let weights = weights + index * ld, slopes = slopes + index * ld, row = rows.lowerBound + index
      let range = visible.lowerBound - lowest..<visible.upperBound - lowest, at = lowest - (span.start + row)
      let biasRow = bias.map { $0 + head * distances + at - leastDistance }
      if let bends { bend(weights, biasRow, range, into: bends + index * ld) }
      let isBent = bends != nil
      kernels.softmax(
        weights, ld, range.lowerBound, range.upperBound, isBent ? 1 : attention.scale, isBent ? nil : biasRow, 0)
      kernels.softmax_gradient(
        slopes + range.lowerBound, weights + range.lowerBound, range.count, 1, slopes + range.lowerBound)
      slopes.update(repeating: 0, count: range.lowerBound)
      (slopes + range.upperBound).update(repeating: 0, count: ld - range.upperBound)
      if let bends { for i in range { slopes[i] *= bends[index * ld + i] } }
      if let biasGradient {
        let target = biasGradient + at - leastDistance
        for i in range { target[i] += slopes[i] }
      }
      kernels.scale(slopes, attention.scale, ld, slopes)
    }
    // dq = ds · k, dk += dsᵀ · q, dv += pᵀ · do
    let wide = scratch.panels(rows: count, columns: seen, isPairs: isPairs)
    let turned = scratch.panels(rows: width, columns: seen, isPairs: isPairs)
    wide.pack(MatrixView(slopes, rows: count, columns: seen, stride: ld), kernels)
    let keyStride = heads / group * width
    turned.pack(
      MatrixView(keys + lowest * keyStride, rows: width, columns: seen, stride: keyStride, isTransposed: true), kernels)
    kernels.gemm(
      isPairs, wide.start, wide.words, count, turned.start, width, seen, queryGradient + place, rowStride, false)
    let out = ((span.keys.lowerBound + lowest) * heads + head) * width
    addTransposed(slopes, ld, seen, query, in: scratch, to: keyGradients + out)
    addTransposed(weights, ld, seen, dy, in: scratch, to: valueGradients + out)
  }

  /// rows · panelsᵀ, of the panels from row `first` on → `[rows, count]`
  private func multiply(
    _ rows: MatrixView, in narrow: GemmPanels, _ panels: GemmPanels, from first: Int, _ count: Int,
    into y: UnsafeMutablePointer<Float>, _ ld: Int
  ) {
    narrow.pack(rows, kernels)
    kernels.gemm(
      isPairs, narrow.start, narrow.words, rows.rows, panels.start + first * panels.words, count, width, y, ld, false)
  }

  /// target `[count]` rows += weights `[queries, count]`ᵀ · rows
  private func addTransposed(
    _ weights: UnsafePointer<Float>, _ ld: Int, _ count: Int, _ rows: MatrixView, in memory: Scratch,
    to target: UnsafeMutablePointer<Float>
  ) {
    var scratch = memory
    let left = scratch.panels(rows: count, columns: rows.rows, isPairs: isPairs)
    let right = scratch.panels(rows: width, columns: rows.rows, isPairs: isPairs)
    left.pack(MatrixView(weights, rows: count, columns: rows.rows, stride: ld, isTransposed: true), kernels)
    right.pack(
      MatrixView(rows.start, rows: width, columns: rows.rows, stride: rows.stride, isTransposed: true), kernels)
    kernels.gemm(
      isPairs, left.start, left.words, count, right.start, width, rows.rows, target, heads * width, true)
  }

  /// Scores as they enter the exponential, and their derivatives by the scores before bending.
  private func bend(
    _ scores: UnsafeMutablePointer<Float>, _ bias: UnsafePointer<Float>?, _ range: Range<Int>,
    into slopes: UnsafeMutablePointer<Float>
  ) {
    let cap = attention.softCap ?? 1
    for i in range {
      let bent = tanh((scores[i] * attention.scale + (bias?[i] ?? 0)) / cap)
      scores[i] = bent * cap
      slopes[i] = 1 - bent * bent
    }
  }
}
