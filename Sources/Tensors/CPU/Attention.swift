// Attention over cache pages. What one query sees is summed page by page in order, in every mode; so its bits do not
// depend on how queries are grouped or how pages are spread over threads.
import CKernels

extension CPUBackend {
  public func attend(_ attention: PagedAttention, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor {
    write(attention, keys: keys, values: values)
    let output = Tensor(shape: queries.shape, backend: self)
    let heads = queries.shape[1], group = heads / attention.layout.heads
    let tokensPerTile = max(1, 32 / group)
    var tiles: [AttentionTile] = []
    for span in attention.spans {
      for first in stride(from: span.rows.lowerBound, to: span.rows.upperBound, by: tokensPerTile) {
        for head in 0..<attention.layout.heads {
          tiles.append(AttentionTile(
            attention: attention, span: span, rows: first..<min(first + tokensPerTile, span.rows.upperBound),
            keyValueHead: head, heads: heads, kernels: kernels, queries: queries.pointer, output: output.pointer))
        }
      }
    }
    let pages = tiles.reduce(0) { $0 + $1.pages.count }
    if tiles.count >= threadCount * 4 || pages <= tiles.count * 4 {
      let small = pages * attention.layout.headWidth < 1 << 10
      if small { tiles.forEach { $0.run() } } else { pool.run(chunks: tiles.count) { tiles[$0].run() } }
    } else {
      attendSplit(tiles)
    }
    return output
  }

  /// Few queries with much to see: pages are spread over threads, their results merged in order.
  private func attendSplit(_ tiles: [AttentionTile]) {
    let pagesPerChunk = 4
    var chunks: [(tile: Int, pages: Range<Int>)] = []
    for (index, tile) in tiles.enumerated() {
      for first in stride(from: tile.pages.lowerBound, to: tile.pages.upperBound, by: pagesPerChunk) {
        chunks.append((index, first..<min(first + pagesPerChunk, tile.pages.upperBound)))
      }
    }
    let partial = tiles.map { Storage(byteCount: $0.pages.count * $0.stateBytes) }
    pool.run(chunks: chunks.count) { chunk in
      let (index, pages) = chunks[chunk], tile = tiles[index]
      for page in pages {
        let at = (page - tile.pages.lowerBound) * tile.stateBytes
        tile.attend(pages: page..<page + 1, into: tile.clearedStates(partial[index].bytes.baseAddress! + at))
      }
    }
    pool.run(chunks: tiles.count) { index in
      let tile = tiles[index]
      tile.withStates { states in
        for page in 0..<tile.pages.count {
          tile.merge(partial[index].bytes.baseAddress! + page * tile.stateBytes, into: states)
        }
        tile.finish(states)
      }
    }
  }

  /// Puts new keys and values into their places in the cache.
  private func write(_ attention: PagedAttention, keys: Tensor, values: Tensor) {
    let layout = attention.layout, width = layout.headWidth, kernels = kernels
    let (keySource, valueSource) = (keys.pointer, values.pointer)
    for span in attention.spans {
      overRows(span.rows.count, elementsPerRow: 4 * layout.heads * width) { rows in
        withUnsafeTemporaryAllocation(of: UInt16.self, capacity: width) { halves in
          for row in rows {
            let position = span.start + row, slot = position % PageLayout.tokens
            let page = span.pages[position / PageLayout.tokens]
            for head in 0..<layout.heads {
              let parts = layout.parts(of: page, layer: attention.layer, head: head)
              let at = ((span.rows.lowerBound + row) * layout.heads + head) * width
              let block = slot / 16 * width * 16 + slot % 16
              switch layout.type {
              case .f16:
                kernels.to_f16(keySource + at, width, halves.baseAddress!)
                let target = parts.keys.assumingMemoryBound(to: UInt16.self) + block
                for i in 0..<width { target[i * 16] = halves[i] }
                kernels.to_f16(
                  valueSource + at, width, parts.values.assumingMemoryBound(to: UInt16.self) + slot * width)
              case .q8_0:
                kernels.store_codes(
                  keySource + at, width, parts.keys.assumingMemoryBound(to: Int8.self) + block, 16,
                  parts.keyScales + slot / 16 * layout.scales * 16 + slot % 16, 16)
                kernels.store_codes(
                  valueSource + at, width, parts.values.assumingMemoryBound(to: Int8.self) + slot * width, 1,
                  parts.valueScales + slot * layout.scales, 1)
              }
            }
          }
        }
      }
    }
  }
}

/// Neighbouring tokens of one sequence under one key-value head, with all query heads that share it.
private struct AttentionTile {
  let attention: PagedAttention
  let span: PagedAttention.Span
  let rows: Range<Int>
  let keyValueHead: Int
  let heads: Int
  let kernels: mk_kernels
  let queries: UnsafePointer<Float>
  let output: UnsafeMutablePointer<Float>
  let pages: Range<Int>

  init(
    attention: PagedAttention, span: PagedAttention.Span, rows: Range<Int>, keyValueHead: Int, heads: Int,
    kernels: mk_kernels, queries: UnsafePointer<Float>, output: UnsafeMutablePointer<Float>
  ) {
    self.attention = attention
    self.span = span
    self.rows = rows
    self.keyValueHead = keyValueHead
    self.heads = heads
    self.kernels = kernels
    self.queries = queries
    self.output = output
    let first = attention.visible(from: span.start + rows.lowerBound - span.rows.lowerBound).lowerBound
    let last = span.start + rows.upperBound - 1 - span.rows.lowerBound
    pages = first / PageLayout.tokens..<last / PageLayout.tokens + 1
  }

  private var width: Int { attention.layout.headWidth }
  private var group: Int { heads / attention.layout.heads }
  private var stateWidth: Int { width + 2 }
  private var stateCount: Int { rows.count * group }
  /// Bytes of the running states of all queries: weighted values, maximum, sum.
  var stateBytes: Int { stateCount * stateWidth * 4 }

  func clearedStates(_ memory: UnsafeMutableRawPointer) -> UnsafeMutablePointer<Float> {
    let states = memory.assumingMemoryBound(to: Float.self)
    states.update(repeating: 0, count: stateCount * stateWidth)
    for state in 0..<stateCount { states[state * stateWidth + width] = -.infinity }
    return states
  }

  func withStates(_ body: (UnsafeMutablePointer<Float>) -> Void) {
    withUnsafeTemporaryAllocation(byteCount: stateBytes, alignment: 64) { body(clearedStates($0.baseAddress!)) }
  }

  func run() {
    withStates { states in
      attend(pages: pages, into: states)
      finish(states)
    }
  }

  /// The place of query `index` of the tile in `[T, heads, width]`.
  private func place(_ index: Int) -> Int {
    ((rows.lowerBound + index / group) * heads + keyValueHead * group + index % group) * width
  }

  func attend(pages: Range<Int>, into states: UnsafeMutablePointer<Float>) {
    let scratch = attention.layout.type == .f16 ? 0 : 2 * PageLayout.tokens * width
    withUnsafeTemporaryAllocation(of: UInt16.self, capacity: max(1, scratch)) { expanded in
      for page in pages {
        let parts = attention.layout.parts(of: span.pages[page], layer: attention.layer, head: keyValueHead)
        var keys = UnsafePointer(parts.keys.assumingMemoryBound(to: UInt16.self))
        var values = UnsafePointer(parts.values.assumingMemoryBound(to: UInt16.self))
        if attention.layout.type == .q8_0, let start = expanded.baseAddress {
          kernels.expand_page(
            parts.keys.assumingMemoryBound(to: Int8.self), parts.keyScales,
            parts.values.assumingMemoryBound(to: Int8.self), parts.valueScales, width, start,
            start + PageLayout.tokens * width)
          keys = UnsafePointer(start)
          values = UnsafePointer(start + PageLayout.tokens * width)
        }
        for first in stride(from: 0, to: stateCount, by: 4) {
          attend(first..<min(first + 4, stateCount), page: page, keys: keys, values: values, states: states)
        }
      }
    }
  }

  private func attend(
    _ queriesOfTile: Range<Int>, page: Int, keys: UnsafePointer<UInt16>, values: UnsafePointer<UInt16>,
    states: UnsafeMutablePointer<Float>
  ) {
    let start = page * PageLayout.tokens
    withUnsafeTemporaryAllocation(of: mk_row.self, capacity: 4) { block in
      for (slot, index) in queriesOfTile.enumerated() {
        let position = span.start + rows.lowerBound - span.rows.lowerBound + index / group
        let visible = attention.visible(from: position)
        block[slot] = mk_row(
          query: queries + place(index), state: states + index * stateWidth,
          first: Int32(min(PageLayout.tokens, max(0, visible.lowerBound - start))),
          last: Int32(min(PageLayout.tokens, max(0, visible.upperBound - start))))
      }
      kernels.attend_page(keys, values, width, attention.scale, block.baseAddress, Int32(queriesOfTile.count))
    }
  }

  func merge(_ later: UnsafeRawPointer, into states: UnsafeMutablePointer<Float>) {
    let later = later.assumingMemoryBound(to: Float.self)
    for state in 0..<stateCount {
      kernels.merge_states(states + state * stateWidth, later + state * stateWidth, width)
    }
  }

  func finish(_ states: UnsafeMutablePointer<Float>) {
    for state in 0..<stateCount {
      kernels.merge_states(states + state * stateWidth, nil, width)
      (output + place(state)).update(from: states + state * stateWidth, count: width)
    }
  }
}
