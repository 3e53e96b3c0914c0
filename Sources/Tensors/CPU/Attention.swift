// Attention over cache pages. What one query sees is summed page by page in order, four pages and then the fours, in
// every mode; so its bits do not depend on how queries are grouped or how pages are spread over threads.
import CKernels

extension CPUBackend {
  public func attend(_ attention: PagedAttention, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor {
    let output = Tensor(shape: queries.shape, backend: self)
    let heads = queries.shape[1], group = heads / attention.layout.heads, rows = queries.shape[0] * heads
    let codes = Storage(byteCount: rows * attention.layout.headWidth * MemoryLayout<Int16>.size)
    let scales = Storage(byteCount: rows * MemoryLayout<Float>.size)
    let encoded = EncodedQueries(
      codes: codes.bytes.baseAddress!.assumingMemoryBound(to: Int16.self),
      scales: scales.bytes.baseAddress!.assumingMemoryBound(to: Float.self), heads: heads)
    encode(attention, queries: queries, keys: keys, values: values, into: encoded)
    let tokensPerTile = max(1, AttentionTile.rows / group)
    var tiles: [AttentionTile] = []
    for span in attention.spans {
      for first in stride(from: span.rows.lowerBound, to: span.rows.upperBound, by: tokensPerTile) {
        for head in 0..<attention.layout.heads {
          tiles.append(AttentionTile(
            attention: attention, span: span, rows: first..<min(first + tokensPerTile, span.rows.upperBound),
            keyValueHead: head, kernels: kernels, queries: encoded, output: output.pointer))
        }
      }
    }
    withExtendedLifetime((codes, scales)) {
      run(tiles, pages: tiles.reduce(0) { $0 + $1.pages.count }, headWidth: attention.layout.headWidth)
    }
    return output
  }

  private func run(_ tiles: [AttentionTile], pages: Int, headWidth: Int) {
    if tiles.count < threadCount * 4, pages > tiles.count * AttentionTile.pagesPerPart {
      runSplit(tiles)
    } else if pages * headWidth < 1 << 10 {
      tiles.forEach { $0.run() }
    } else {
      pool.run(chunks: tiles.count) { tiles[$0].run() }
    }
  }

  /// Few queries with much to see: parts of what they see are spread over threads, their results merged in order.
  private func runSplit(_ tiles: [AttentionTile]) {
    var chunks: [(tile: Int, part: Int)] = []
    for (index, tile) in tiles.enumerated() { chunks += tile.parts.map { (index, $0) } }
    let memory = tiles.map { Storage(byteCount: $0.parts.count * $0.stateBytes) }
    func states(_ tile: Int, _ part: Int) -> UnsafeMutablePointer<mk_row> {
      let index = part - tiles[tile].parts.lowerBound
      return tiles[tile].states(in: memory[tile].bytes.baseAddress! + index * tiles[tile].stateBytes)
    }
    pool.run(chunks: chunks.count) { chunk in
      let (tile, part) = chunks[chunk]
      tiles[tile].attend(part: part, into: states(tile, part))
    }
    pool.run(chunks: tiles.count) { index in
      let tile = tiles[index], whole = states(index, tile.parts.lowerBound)
      for part in tile.parts.dropFirst() { tile.merge(states(index, part), into: whole) }
      tile.finish(whole)
    }
  }

  /// Puts new keys and values into their places in the cache, and queries into codes.
  private func encode(
    _ attention: PagedAttention, queries: Tensor, keys: Tensor, values: Tensor, into encoded: EncodedQueries
  ) {
    let layout = attention.layout, width = layout.headWidth, kernels = kernels
    let (querySource, keySource, valueSource) = (queries.pointer, keys.pointer, values.pointer)
    for span in attention.spans {
      overRows(span.rows.count, elementsPerRow: (8 * layout.heads + 2 * encoded.heads) * width) { rows in
        for row in rows {
          let position = span.start + row, flat = span.rows.lowerBound + row
          for head in 0..<layout.heads {
            var page = layout.part(of: span.pages[position / PageLayout.tokens], layer: attention.layer, head: head)
            let source = (flat * layout.heads + head) * width
            let slot = Int32(position % PageLayout.tokens)
            kernels.store_token(&page, slot, width, keySource + source, valueSource + source)
          }
          for query in flat * encoded.heads..<(flat + 1) * encoded.heads {
            encoded.scales[query] = kernels.encode_query(
              querySource + query * width, width, attention.scale, encoded.codes + query * width)
          }
        }
      }
    }
  }
}

/// The queries `[T, heads, width]` as codes, with a scale for each.
private struct EncodedQueries {
  let codes: UnsafeMutablePointer<Int16>
  let scales: UnsafeMutablePointer<Float>
  let heads: Int
}

/// Neighbouring tokens of one sequence under one key-value head, with all query heads that share it.
private struct AttentionTile {
  /// Queries that read a page while it is near.
  static let rows = 32
  /// Pages whose results are summed before they join the others'.
  static let pagesPerPart = 4

  let attention: PagedAttention
  let span: PagedAttention.Span
  let rows: Range<Int>
  let keyValueHead: Int
  let kernels: mk_kernels
  let queries: EncodedQueries
  let output: UnsafeMutablePointer<Float>
  /// What the first to the last row see.
  let pages: Range<Int>

  init(
    attention: PagedAttention, span: PagedAttention.Span, rows: Range<Int>, keyValueHead: Int, kernels: mk_kernels,
    queries: EncodedQueries, output: UnsafeMutablePointer<Float>
  ) {
    self.attention = attention
    self.span = span
    self.rows = rows
    self.keyValueHead = keyValueHead
    self.kernels = kernels
    self.queries = queries
    self.output = output
    let first = attention.visible(from: span.start + rows.lowerBound - span.rows.lowerBound).lowerBound
    let last = span.start + rows.upperBound - 1 - span.rows.lowerBound
    pages = first / PageLayout.tokens..<last / PageLayout.tokens + 1
  }

  var parts: Range<Int> { pages.lowerBound / Self.pagesPerPart..<(pages.upperBound - 1) / Self.pagesPerPart + 1 }

  private var width: Int { attention.layout.headWidth }
  private var group: Int { queries.heads / attention.layout.heads }
  private var stateCount: Int { rows.count * group }
  private var weightedBytes: Int { stateCount * width * MemoryLayout<Float>.size }
  /// Bytes of what all queries have found: weighted values, then what is said of them.
  var stateBytes: Int { (weightedBytes + stateCount * MemoryLayout<mk_row>.stride + 63) / 64 * 64 }

  /// The place of query `index` of the tile in `[T, heads]`.
  private func place(_ index: Int) -> Int {
    (rows.lowerBound + index / group) * queries.heads + keyValueHead * group + index % group
  }

  func states(in memory: UnsafeMutableRawPointer) -> UnsafeMutablePointer<mk_row> {
    (memory + weightedBytes).assumingMemoryBound(to: mk_row.self)
  }

  private func clear(_ states: UnsafeMutablePointer<mk_row>) {
    let weighted = (UnsafeMutableRawPointer(states) - weightedBytes).assumingMemoryBound(to: Float.self)
    weighted.update(repeating: 0, count: stateCount * width)
    for index in 0..<stateCount {
      let visible = attention.visible(from: span.start + rows.lowerBound - span.rows.lowerBound + index / group)
      states[index] = mk_row(
        query: queries.codes + place(index) * width, scale: queries.scales[place(index)],
        begin: Int32(clamping: visible.lowerBound), end: Int32(clamping: visible.upperBound),
        maximum: -.infinity, sum: 0, weighted: weighted + index * width)
    }
  }

  func run() {
    withUnsafeTemporaryAllocation(byteCount: 2 * stateBytes, alignment: 64) { memory in
      guard let start = memory.baseAddress else { return }
      let whole = states(in: start), more = states(in: start + stateBytes)
      attend(part: parts.lowerBound, into: whole)
      for part in parts.dropFirst() {
        attend(part: part, into: more)
        merge(more, into: whole)
      }
      finish(whole)
    }
  }

  func attend(part: Int, into states: UnsafeMutablePointer<mk_row>) {
    clear(states)
    let layout = attention.layout, codes = layout.type == .i16 ? 0 : PageLayout.tokens * width
    withUnsafeTemporaryAllocation(byteCount: 4 * codes, alignment: 64) { expanded in
      for page in pages.clamped(to: part * Self.pagesPerPart..<(part + 1) * Self.pagesPerPart) {
        var codesOfPage = layout.part(of: span.pages[page], layer: attention.layer, head: keyValueHead)
        // After the last page comes one with which some other tile begins.
        let next = span.pages[page + 1 < pages.upperBound ? page + 1 : pages.lowerBound]
        var following = layout.part(of: next, layer: attention.layer, head: keyValueHead)
        if layout.type == .q8_0, let start = expanded.baseAddress?.assumingMemoryBound(to: Int16.self) {
          kernels.expand_page(&codesOfPage, width, start, start + codes)
          codesOfPage.keys = UnsafeMutableRawPointer(start)
          codesOfPage.values = UnsafeMutableRawPointer(start + codes)
        }
        kernels.attend_page(
          &codesOfPage, &following, Int32(clamping: page * PageLayout.tokens), width, attention.softCap ?? 0, states, Int32(stateCount))
      }
    }
  }

  func merge(_ later: UnsafePointer<mk_row>, into states: UnsafeMutablePointer<mk_row>) {
    kernels.merge_rows(states, later, Int32(stateCount), width)
  }

  func finish(_ states: UnsafePointer<mk_row>) {
    for index in 0..<stateCount { kernels.finish_row(states + index, width, output + place(index) * width) }
  }
}
