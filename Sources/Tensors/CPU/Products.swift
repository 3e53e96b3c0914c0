// Matrix products: weights are packed into panels of 16 rows once; activations are rounded to 16 bits, or transposed,
// tile by tile of up to 16 tokens, once per op.
import CKernels
import Synchronization

extension CPUBackend {
  public func prepare(_ weight: Tensor) throws -> Tensor {
    guard weight.layout == .rows else { return weight }
    let rows = weight.shape.rows, columns = weight.shape.columns, format = weight.dataType.code
    let panelBytes = mk_panel_bytes(format, columns), panels = (rows + 15) / 16
    let rowBytes = weight.dataType.bytes(forElements: columns) ?? 0
    let packed = Storage(lastingByteCount: panels * panelBytes)
    let target = packed.bytes.baseAddress!
    let part = max(1, (1 << 17) / max(1, 16 * rowBytes)), failure = Mutex<(any Error)?>(nil)
    pool.run(chunks: (panels + part - 1) / part) { chunk in
      let first = chunk * part * 16, last = min(first + part * 16, rows)
      let read = Storage(byteCount: (last - first) * rowBytes), source = UnsafeRawPointer(read.bytes.baseAddress!)
      do {
        try weight.storage.copy(first * rowBytes..<last * rowBytes, to: read.bytes.baseAddress!)
      } catch {
        return failure.withLock { $0 = $0 ?? error }
      }
      for row in stride(from: first, to: last, by: 16) {
        mk_pack_panel(
          format, source + (row - first) * rowBytes, rowBytes, Int32(min(16, last - row)), columns,
          target + row / 16 * panelBytes)
      }
    }
    if let error = failure.withLock(\.self) { throw error }
    return Tensor(storage: packed, shape: weight.shape, dataType: weight.dataType, layout: .panels, backend: self)
  }

  public func floats(_ tensor: Tensor) -> Tensor {
    if tensor.dataType == .f32, tensor.layout == .rows { return tensor }
    return rows(of: tensor.reshaped([tensor.shape.rows, tensor.shape.columns]),
                at: (0..<Int32(tensor.shape.rows)).map(\.self)).reshaped(tensor.shape)
  }

  public func rows(of table: Tensor, at indices: [Int32]) -> Tensor {
    let columns = table.shape.columns, y = Tensor(shape: [indices.count, columns], backend: self)
    let source = UnsafeRawPointer(table.storage.bytes.baseAddress!), out = y.pointer
    let format = table.dataType.code, panelBytes = mk_panel_bytes(format, columns)
    let rowBytes = table.dataType.bytes(forElements: columns) ?? 0
    overRows(indices.count, elementsPerRow: columns * 4) { range in
      for i in range {
        let row = Int(indices[i])
        if table.layout == .panels {
          mk_unpack_row(format, source + row / 16 * panelBytes, Int32(row % 16), columns, out + i * columns)
        } else if table.dataType == .f32 {
          (out + i * columns).update(
            from: (source + row * rowBytes).assumingMemoryBound(to: Float.self), count: columns)
        } else {
          withUnsafeTemporaryAllocation(byteCount: panelBytes, alignment: 64) { panel in
            mk_pack_panel(format, source + row * rowBytes, rowBytes, 1, columns, panel.baseAddress!)
            mk_unpack_row(format, panel.baseAddress!, 0, columns, out + i * columns)
          }
        }
      }
    }
    return y
  }

  public func products(_ x: Tensor, _ weights: [Tensor]) -> [Tensor] {
    guard weights.allSatisfy({ !usesGemm($0, rows: x.shape.rows) }) else {
      return products(x, operand(MatrixView(x)), weights)
    }
    let outputs = weights.map { Tensor(shape: [x.shape.rows, $0.shape.rows], backend: self) }
    guard x.shape.rows > 0 else { return outputs }
    let tasks = weights.indices.map { PanelTask(weight: weights[$0], output: outputs[$0], kernels: kernels) }
    let isQuantized = { (weight: Tensor) in weight.dataType.isQuantized }
    Tiles.with(
      x, kernels: kernels, pool: pool, codes: weights.contains(where: isQuantized),
      values: !weights.allSatisfy(isQuantized)
    ) { tiles in
      tasks.withUnsafeBufferPointer { run($0, tiles) }
      // Weights lie in the order in which they are used (Slab): what follows in memory comes next. A prompt's many
      // tokens leave nothing to wait for.
      if tiles.count == 1, let weight = weights.last?.storage.bytes, let start = weight.baseAddress {
        pool.expect(UnsafeRawBufferPointer(start: start + weight.count, count: 384 << 10))
      }
    }
    return outputs
  }

  private func run(_ tasks: UnsafeBufferPointer<PanelTask>, _ tiles: Tiles) {
    var panels = 0, workPerPanel = 1
    for task in tasks {
      panels += task.panels
      workPerPanel = max(workPerPanel, task.panelBytes * tiles.count)
    }
    // Enough chunks that a late thread costs little, each with enough work to be worth claiming; where there are many
    // tokens at least three panels, which products of floats take together.
    let panelsPerChunk = max(tiles.count > 1 ? 3 : 1, (1 << 15) / workPerPanel, min(panels / (threadCount * 6), (1 << 19) / workPerPanel))
    pool.run(chunks: (panels + panelsPerChunk - 1) / panelsPerChunk) { chunk in
      var first = chunk * panelsPerChunk, last = min(panels, first + panelsPerChunk)
      for task in tasks where first < last {
        if first < task.panels { task.run(first..<min(last, task.panels), tiles) }
        first = max(0, first - task.panels)
        last -= task.panels
      }
    }
  }
}

/// Activations of an op, cut into tiles of up to 16 tokens and brought into the form that the products read. Threads
/// share it as plain pointers: counting references would be the larger part of a small product.
private struct Tiles {
  let count: Int
  private let tokens: Int
  private let columns: Int
  private let lastWidth: Int
  private let codes: UnsafeMutablePointer<Int8>?
  private let cells: UnsafeMutablePointer<mk_cell>?
  private let values: UnsafeMutablePointer<Float>?

  /// Calls `body` with the tiles of `x`, which live until it returns.
  static func with<Result>(
    _ x: Tensor, kernels: mk_kernels, pool: ThreadPool, codes: Bool, values: Bool, _ body: (Tiles) -> Result
  ) -> Result {
    let tokens = x.shape.rows, columns = x.shape.columns, last = (tokens - 1) / 16 * 16, rest = tokens - last
    let lastWidth = rest <= 2 ? rest : (rest <= 4 ? 4 : (rest <= 8 ? 8 : 16)), padded = last + lastWidth
    let memory = [
      codes ? 2 * padded * columns : 0, codes ? padded * columns / 32 * MemoryLayout<mk_cell>.size : 0,
      values ? padded * columns * 4 : 0,
    ].map { $0 > 0 ? Storage(byteCount: $0) : nil }
    return withExtendedLifetime(memory) {
      let tiles = Tiles(
        count: last / 16 + 1, tokens: tokens, columns: columns, lastWidth: lastWidth,
        codes: memory[0]?.bytes.baseAddress?.assumingMemoryBound(to: Int8.self),
        cells: memory[1]?.bytes.baseAddress?.assumingMemoryBound(to: mk_cell.self),
        values: memory[2]?.bytes.baseAddress?.assumingMemoryBound(to: Float.self))
      let source = UnsafePointer(x.pointer)
      if tiles.count == 1 {
        tiles.fill(0, source, kernels)
      } else {
        pool.run(chunks: tiles.count) { tiles.fill($0, source, kernels) }
      }
      return body(tiles)
    }
  }

  private func fill(_ index: Int, _ source: UnsafePointer<Float>, _ kernels: mk_kernels) {
    let rows = source + index * 16 * columns, present = Int32(tokens(of: index)), width = Int32(width(of: index))
    if let codes, let cells {
      let at = index * 16 * columns
      kernels.quantize_tile(rows, columns, present, width, codes + 2 * at, cells + at / 32)
    }
    if let values { kernels.transpose_tile(rows, columns, present, width, values + index * 16 * columns) }
  }

  func tokens(of tile: Int) -> Int { min(16, tokens - tile * 16) }

  private func width(of tile: Int) -> Int { tile == count - 1 ? lastWidth : 16 }

  subscript(tile: Int) -> mk_tile {
    let at = tile * 16 * columns
    return mk_tile(
      codes: codes.map { $0 + 2 * at }, cells: cells.map { $0 + at / 32 }, values: values.map { $0 + at },
      width: Int32(width(of: tile)))
  }
}

/// One weight of an op and where its product goes.
private struct PanelTask {
  let panels: Int
  let panelBytes: Int
  private let rows, columns: Int
  private let source: UnsafeRawPointer
  private let target: UnsafeMutablePointer<Float>
  private let product: mk_product

  init(weight: Tensor, output: Tensor, kernels: mk_kernels) {
    precondition(weight.layout == .panels, "a weight is prepared before it is multiplied with")
    rows = weight.shape.rows
    columns = weight.shape.columns
    panels = (rows + 15) / 16
    panelBytes = mk_panel_bytes(weight.dataType.code, columns)
    source = UnsafeRawPointer(weight.storage.bytes.baseAddress!)
    target = output.pointer
    product = withUnsafeBytes(of: kernels.product) {
      $0.bindMemory(to: mk_product.self)[Int(weight.dataType.rawValue)]
    }
  }

  func run(_ range: Range<Int>, _ tiles: Tiles) {
    let whole = range.lowerBound..<min(range.upperBound, rows / 16)
    // Tile by tile: a tile of activations is larger than a panel, so it is what stays near while panels pass.
    for tile in 0..<tiles.count where !whole.isEmpty {
      product(
        source + whole.lowerBound * panelBytes, whole.count, columns, tiles[tile], Int32(tiles.tokens(of: tile)),
        target + tile * 16 * rows + whole.lowerBound * 16, rows)
    }
    guard range.upperBound == panels, rows % 16 > 0 else { return }
    // The last panel has rows that do not exist: its results pass through a block of their own.
    withUnsafeTemporaryAllocation(of: Float.self, capacity: 256) { block in
      for tile in 0..<tiles.count {
        product(
          source + (panels - 1) * panelBytes, 1, columns, tiles[tile], Int32(tiles.tokens(of: tile)),
          block.baseAddress!, 16)
        for token in 0..<tiles.tokens(of: tile) {
          (target + (tile * 16 + token) * rows + (panels - 1) * 16).update(
            from: block.baseAddress! + token * 16, count: rows % 16)
        }
      }
    }
  }
}
