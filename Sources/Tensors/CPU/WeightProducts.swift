// Products with weights where something is trained, and their gradients. A weight is packed block by block by the thread
// that multiplies with the block: so it is read once, and its packed form never leaves that processor's cache.
import CKernels

extension CPUBackend {
  public func products(remembering x: Tensor, _ weights: [Tensor]) -> ([Tensor], ProductInput) {
    let (left, input) = operands(both: x)
    return (products(x, left, weights), ProductInput(input))
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
    gemm(operand(MatrixView(upstream, transposed: true)), input.transpose(on: self), adding: sum)
  }

  public func productGradients(
    _ upstream: Tensor, weight: Tensor, input: ProductInput, adding sums: (input: Tensor?, weight: Tensor?)
  ) -> (input: Tensor, weight: Tensor) {
    let (rows, transpose) = operands(both: upstream)
    return (
      gemm(rows, weight: weight, transposed: true, adding: sums.input),
      gemm(transpose, input.transpose(on: self), adding: sums.weight))
  }

  /// left `[T, inputs]` · weightᵀ → `[T, outputs]`; transposed, left `[T, outputs]` · weight → `[T, inputs]`.
  /// - Parameters:
  ///   - weight: `[outputs, inputs]`, of any data type in panels, or `f32` in rows.
  ///   - sum: what the products are added to, in place; nobody else holds it.
  private func gemm(_ left: GemmOperand, weight: Tensor, transposed: Bool, adding sum: Tensor? = nil) -> Tensor {
    let weight = weight.layout == .panels ? weight : floats(weight), a = left.panels
    let count = transposed ? weight.shape.columns : weight.shape.rows
    let y = sum ?? Tensor(shape: [a.rows, count], backend: self), out = y.pointer, adds = sum != nil
    guard a.rows > 0, count > 0 else { return y }
    let blocks = WeightBlocks(weight, transposed: transposed, isPairs: a.isPairs)
    let across = (count + WeightBlocks.rows - 1) / WeightBlocks.rows
    // Few blocks are packed by several threads, each for some of the left rows.
    let heights = (a.rows + WeightBlocks.leftRows - 1) / WeightBlocks.leftRows
    let parts = min(heights, max(1, threadCount / across))
    withExtendedLifetime((left, weight)) {
      pool.run(chunks: across * parts) { chunk in
        let first = chunk / parts * WeightBlocks.rows, part = chunk % parts
        let rows = first..<min(count, first + WeightBlocks.rows)
        let top = heights * part / parts * WeightBlocks.leftRows
        let bottom = min(a.rows, heights * (part + 1) / parts * WeightBlocks.leftRows)
        let memory = blocks.scratch()
        guard let panels = memory.bytes.baseAddress?.assumingMemoryBound(to: Float.self) else { return }
        for column in stride(from: 0, to: a.columns, by: WeightBlocks.columns) {
          let columns = column..<min(a.columns, column + WeightBlocks.columns)
          let word = a.isPairs ? column / 2 : column
          blocks.pack(rows, columns, to: panels, kernels)
          for row in stride(from: top, to: bottom, by: WeightBlocks.leftRows) {
            kernels.gemm(
              a.isPairs, a.start + row * a.words + word * 16, a.words, min(WeightBlocks.leftRows, bottom - row), panels,
              rows.count, columns.count, out + row * count + first, count, adds || column > 0)
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

  private let source: UnsafeRawPointer
  private let outputs, inputs: Int
  private let format: mk_format_id
  private let isTransposed, isPairs, isPacked: Bool

  init(_ weight: Tensor, transposed: Bool, isPairs: Bool) {
    source = UnsafeRawPointer(weight.storage.bytes.baseAddress!)
    (outputs, inputs) = (weight.shape.rows, weight.shape.columns)
    format = weight.dataType.code
    isTransposed = transposed
    self.isPairs = isPairs
    isPacked = weight.layout == .panels
  }

  private var panelFloats: Int { GemmPanels.floats(rows: Self.rows, columns: Self.columns, isPairs: isPairs) }

  /// Memory for a block, and behind it for a panel as floats.
  func scratch() -> Storage { Storage(byteCount: 4 * (panelFloats + 16 * Self.columns)) }

  /// Packs rows and columns of the weight, or of its transpose, both from a multiple of 16 on.
  func pack(
    _ rows: Range<Int>, _ columns: Range<Int>, to target: UnsafeMutablePointer<Float>, _ kernels: borrowing mk_kernels
  ) {
    let panels = GemmPanels(start: target, rows: rows.count, columns: columns.count, isPairs: isPairs)
    guard isPacked else { return packRows(rows, columns, to: panels, kernels) }
    let values = target + panelFloats, panelBytes = mk_panel_bytes(format, inputs)
    let turned = isTransposed ? columns : rows, straight = isTransposed ? rows : columns
    for first in stride(from: turned.lowerBound, to: turned.upperBound, by: 16) {
      let present = min(16, turned.upperBound - first), index = (first - turned.lowerBound) / 16
      kernels.expand(format, source + first / 16 * panelBytes, inputs, straight.lowerBound, straight.count, values)
      guard isTransposed else {
        kernels.pack(isPairs, values, 1, 16, present, columns.count, target + index * 16 * panels.words)
        continue
      }
      // These 16 outputs are columns of every panel.
      let word = index * (isPairs ? 8 : 16)
      for row in stride(from: 0, to: rows.count, by: 16) {
        kernels.pack(
          isPairs, values + row * 16, 16, 1, min(16, rows.count - row), present, target + (row * panels.words + word * 16))
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
