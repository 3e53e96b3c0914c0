// Products with weights where something is trained, and their gradients. A weight is packed block by block by the thread
// that multiplies with the block: so it is read once, and its packed form never leaves that processor's cache.
import CKernels

extension CPUBackend {
  public func products(remembering x: Tensor, _ weights: [Tensor]) -> ([Tensor], ProductInput) {
    let (left, input) = operands(both: x)
    return (products(x, left, weights), ProductInput(transpose: Lazy { input }))
  }

  public func productInput(_ again: @escaping @Sendable () -> Tensor) -> ProductInput {
    ProductInput(transpose: Lazy { [self] in
      let x = again()
      return withExtendedLifetime(x) { operand(MatrixView(x, transposed: true)) }
    })
  }

  /// Whether a weight becomes an operand for x of so many rows: one that was just made, and with pairs all of them.
  func usesGemm(_ weight: Tensor, rows: Int) -> Bool { weight.layout == .rows || (multipliesPairs && rows >= 16) }

  /// The products of x, which is `left` as an operand; with weights in panels as they always are.
  func products(_ x: Tensor, _ left: GemmOperand, _ weights: [Tensor]) -> [Tensor] {
    let packed = weights.filter { !usesGemm($0, rows: x.shape.rows) }
    var others = (packed.isEmpty ? [] : products(x, packed))[...]
    return weights.map { weight in
      usesGemm(weight, rows: x.shape.rows)
        ? gemm(left, weight: weight, transposed: false) : others.removeFirst()
    }
  }

  public func inputGradient(_ upstream: Tensor, weight: Tensor, adding sum: Tensor?) -> Tensor {
    gemm(operand(MatrixView(upstream)), weight: weight, transposed: true, adding: sum)
  }

  public func weightGradient(_ upstream: Tensor, input: ProductInput, adding sum: Tensor?) -> Tensor {
    gemm(operand(MatrixView(upstream, transposed: true)), input.transpose.value, adding: sum)
  }

  public func productGradients(
    _ upstream: Tensor, weight: Tensor, input: ProductInput, adding sums: (input: Tensor?, weight: Tensor?)
  ) -> (input: Tensor, weight: Tensor) {
    let (rows, transpose) = operands(both: upstream)
    return (
      gemm(rows, weight: weight, transposed: true, adding: sums.input),
      gemm(transpose, input.transpose.value, adding: sums.weight))
  }

  /// left `[T, inputs]` · weightᵀ → `[T, outputs]`; transposed, left `[T, outputs]` · weight → `[T, inputs]`.
  /// - Parameters:
  ///   - weight: `[outputs, inputs]`, of any data type in panels, or `f32` in rows.
  ///   - tail: columns behind those of the weight, or of its transpose, for what is in the left tail.
  ///   - sum: what the products are added to, in place; nobody else holds it.
  func gemm(
    _ left: GemmOperand, weight: Tensor, transposed: Bool, tail: MatrixView? = nil, adding sum: Tensor? = nil
  ) -> Tensor {
    let weight = weight.layout == .panels ? weight : floats(weight), a = left.panels
    let count = transposed ? weight.shape.columns : weight.shape.rows
    let y = sum ?? Tensor(shape: [a.rows, count], backend: self), out = y.pointer, adds = sum != nil
    guard a.rows > 0, count > 0 else { return y }
    let blocks = WeightBlocks(weight, transposed: transposed, tail: tail, isPairs: a.isPairs)
    let across = (count + WeightBlocks.rows - 1) / WeightBlocks.rows
    // Few blocks are packed by several threads, each for some of the left rows.
    let heights = (a.rows + WeightBlocks.leftRows - 1) / WeightBlocks.leftRows
    let parts = min(heights, max(1, threadCount / across))
    withExtendedLifetime((left, weight)) {
      pool.run(chunks: across * parts, isLong: true) { chunk in
        let first = chunk / parts * WeightBlocks.rows, part = chunk % parts
        let rows = first..<min(count, first + WeightBlocks.rows)
        let top = heights * part / parts * WeightBlocks.leftRows
        let bottom = min(a.rows, heights * (part + 1) / parts * WeightBlocks.leftRows)
        let memory = blocks.scratch()
        guard let panels = memory.bytes.baseAddress?.assumingMemoryBound(to: Float.self) else { return }
        for column in stride(from: 0, to: a.columns, by: WeightBlocks.columns) {
          let columns = column..<min(a.columns, column + WeightBlocks.columns)
          let word = a.isPairs ? column / 2 : column
          let width = blocks.pack(rows, columns, to: panels, kernels)
          for row in stride(from: top, to: bottom, by: WeightBlocks.leftRows) {
            kernels.gemm(
              a.isPairs, a.start + row * a.words + word * 16, a.words, min(WeightBlocks.leftRows, bottom - row), panels,
              rows.count, width, out + row * count + first, count, adds || column > 0)
          }
        }
        withExtendedLifetime(memory) {}
      }
    }
    return y
  }
}

/// Packs parts of a weight. Threads share it as plain pointers; who makes it keeps the weight alive.
private struct WeightBlocks: @unchecked Sendable {  // of a weight that nobody changes meanwhile
  /// Rows and columns of a block of the right operand, and left rows that it is multiplied with at a time: all of it
  /// fits into a processor's own cache. Sums of more columns than these are added up block by block.
  static let rows = 96, columns = 1536, leftRows = 128
  /// Columns of 16 rows whose floats stay in the nearest cache.
  private static let near = 256

  private let source: UnsafeRawPointer
  private let outputs, inputs: Int
  private let format: mk_format_id
  private let isTransposed, isPairs, isPacked: Bool
  private let tail: MatrixView?

  init(_ weight: Tensor, transposed: Bool, tail: MatrixView?, isPairs: Bool) {
    source = UnsafeRawPointer(weight.storage.bytes.baseAddress!)
    (outputs, inputs) = (weight.shape.rows, weight.shape.columns)
    format = weight.dataType.code
    isTransposed = transposed
    self.isPairs = isPairs
    isPacked = weight.layout == .panels
    self.tail = tail
  }

  private var panelFloats: Int {
    GemmPanels.floats(rows: Self.rows, columns: Self.columns, tail: tail?.columns ?? 0, isPairs: isPairs)
  }

  /// Memory for a block, and behind it for floats on the way into it.
  func scratch() -> Storage { Storage(byteCount: 4 * (panelFloats + max(16 * Self.near, 32 * Self.rows))) }

  /// Packs rows and columns of the weight, or of its transpose, both from a multiple of 16 on, and behind the last column
  /// the tail. Gives back the columns of a product with what was packed.
  func pack(
    _ rows: Range<Int>, _ columns: Range<Int>, to target: UnsafeMutablePointer<Float>, _ kernels: borrowing mk_kernels
  ) -> Int {
    let isLast = columns.upperBound == (isTransposed ? outputs : inputs), tail = isLast ? tail : nil
    let panels = GemmPanels(
      start: target, rows: rows.count, columns: columns.count, tail: tail?.columns ?? 0, isPairs: isPairs)
    if isPacked {
      packPanels(rows, columns, to: panels, kernels)
    } else {
      packRows(rows, columns, to: panels, kernels)
    }
    if let tail { panels.pack(tail: tail.part(rows), kernels) }
    return panels.width
  }

  private func packPanels(
    _ rows: Range<Int>, _ columns: Range<Int>, to panels: GemmPanels, _ kernels: borrowing mk_kernels
  ) {
    let target = panels.start
    let values = target + panelFloats, panelBytes = mk_panel_bytes(format, inputs)
    isTransposed ? packTranspose() : packStraight()

    /// 16 rows at a time, so many columns that they stay in the nearest cache.
    func packStraight() {
      for first in stride(from: rows.lowerBound, to: rows.upperBound, by: 16) {
        let panel = source + first / 16 * panelBytes, out = target + (first - rows.lowerBound) * panels.words
        for column in stride(from: columns.lowerBound, to: columns.upperBound, by: Self.near) {
          let count = min(Self.near, columns.upperBound - column), at = column - columns.lowerBound
          kernels.expand(format, panel, inputs, column, count, values, 16)
          kernels.pack(
            isPairs, values, 1, 16, min(16, rows.upperBound - first), count, out + (isPairs ? at / 2 : at) * 16)
        }
      }
    }

    /// Rows of the transpose are columns of panels: those of two panels at a time make pairs of whole vectors.
    func packTranspose() {
      for first in stride(from: columns.lowerBound, to: columns.upperBound, by: 32) {
        let present = min(32, columns.upperBound - first), at = first - columns.lowerBound
        for half in stride(from: 0, to: present, by: 16) {
          let panel = source + (first + half) / 16 * panelBytes
          // A short piece of each panel is read: no processor foresees the next one.
          mk_fetch(panel + 2 * panelBytes + panelBytes * rows.lowerBound / inputs, panelBytes * rows.count / inputs)
          kernels.expand(format, panel, inputs, rows.lowerBound, rows.count, values + half, 32)
        }
        for row in stride(from: 0, to: rows.count, by: 16) {
          kernels.pack(
            isPairs, values + row * 32, 32, 1, min(16, rows.count - row), present,
            target + (row * panels.words + (isPairs ? at / 2 : at) * 16))
        }
      }
    }
  }

  private func packRows(
    _ rows: Range<Int>, _ columns: Range<Int>, to panels: GemmPanels, _ kernels: borrowing mk_kernels
  ) {
    let values = source.assumingMemoryBound(to: Float.self)
    guard isTransposed else {
      return panels.pack(
        MatrixView(
          values + rows.lowerBound * inputs + columns.lowerBound, rows: rows.count, columns: columns.count, stride: inputs),
        kernels)
    }
    let view = MatrixView(
      values + columns.lowerBound * inputs + rows.lowerBound, rows: rows.count, columns: columns.count, stride: inputs,
      isTransposed: true)
    for first in stride(from: 0, to: columns.count, by: 32) {
      panels.pack(columns: first..<min(columns.count, first + 32), of: view, kernels)
    }
  }
}
