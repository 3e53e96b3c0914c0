// Products of two matrices that are both new: both are packed into panels of 16 rows, then multiplied block by block.
import CKernels

/// How products multiply where something is trained: sums are `f32` either way.
public enum ProductPrecision: String, Sendable, CaseIterable {
  case f32
  /// Factors are rounded to bf16 (Kalamkar et al. 2019): twice as fast where the processor has instructions for it.
  case bf16

  /// `bf16` where the processor has instructions for it; elsewhere it would be slower.
  public static let preferred: ProductPrecision = mk_has_native_pairs() ? .bf16 : .f32
}

/// A matrix of floats somewhere in memory, `stride` numbers from one row, or column, to the next.
struct MatrixView {
  let start: UnsafePointer<Float>
  let rows, columns: Int
  let stride: Int
  /// Whether the numbers of a column lie side by side, not those of a row.
  var isTransposed = false

  /// - Parameter transposed: whether the columns of `tensor` are to be the rows.
  init(_ tensor: Tensor, transposed: Bool = false) {
    start = UnsafePointer(tensor.pointer)
    (rows, columns) = transposed ? (tensor.shape.columns, tensor.shape.rows) : (tensor.shape.rows, tensor.shape.columns)
    stride = tensor.shape.columns
    isTransposed = transposed
  }

  init(_ start: UnsafePointer<Float>, rows: Int, columns: Int, stride: Int, isTransposed: Bool = false) {
    (self.start, self.rows, self.columns, self.stride) = (start, rows, columns, stride)
    self.isTransposed = isTransposed
  }

  func part(_ rows: Range<Int>) -> MatrixView {
    MatrixView(
      start + rows.lowerBound * (isTransposed ? 1 : stride), rows: rows.count, columns: columns, stride: stride,
      isTransposed: isTransposed)
  }
}

/// The panels of one operand. Threads share it as plain pointers; who makes it keeps its memory alive.
struct GemmPanels: @unchecked Sendable {  // written by who made them, before they are shared
  let start: UnsafeMutablePointer<Float>
  let rows, columns: Int
  /// Columns of another matrix behind these, from a whole word on: so a product with both is one sum.
  var tail = 0
  let isPairs: Bool

  /// Words of a lane: a float or a pair of bf16 each.
  var words: Int { ownWords + Self.words(tail, isPairs) }
  private var ownWords: Int { Self.words(columns, isPairs) }
  /// Columns of a product with all, the one that fills up the last own word included.
  var width: Int { tail == 0 ? columns : ownWords * (isPairs ? 2 : 1) + tail }
  var panels: Int { (rows + 15) / 16 }

  private static func words(_ columns: Int, _ isPairs: Bool) -> Int { isPairs ? (columns + 1) / 2 : columns }

  /// Floats of memory that the panels of such a matrix take.
  static func floats(rows: Int, columns: Int, tail: Int = 0, isPairs: Bool) -> Int {
    (rows + 15) / 16 * 16 * (words(columns, isPairs) + words(tail, isPairs))
  }

  /// Packs panel `index` of a matrix of this size.
  func pack(_ index: Int, of matrix: MatrixView, _ kernels: borrowing mk_kernels) {
    let first = index * 16, (row, column) = matrix.isTransposed ? (1, matrix.stride) : (matrix.stride, 1)
    kernels.pack(
      isPairs, matrix.start + first * row, row, column, min(16, rows - first), columns, start + first * words)
  }

  func pack(_ matrix: MatrixView, _ kernels: borrowing mk_kernels) {
    for index in 0..<panels { pack(index, of: matrix, kernels) }
  }

  /// Packs what stands behind the columns, of as many rows.
  func pack(tail matrix: MatrixView, _ kernels: borrowing mk_kernels) {
    let (row, column) = matrix.isTransposed ? (1, matrix.stride) : (matrix.stride, 1)
    for first in stride(from: 0, to: rows, by: 16) {
      kernels.pack(
        isPairs, matrix.start + first * row, row, column, min(16, rows - first), matrix.columns,
        start + (first * words + ownWords * 16))
    }
  }

  /// Packs some columns of all panels of a matrix whose columns lie side by side: so memory is read forwards.
  /// - Parameter part: from an even column on.
  func pack(columns part: Range<Int>, of matrix: MatrixView, _ kernels: borrowing mk_kernels) {
    let word = isPairs ? part.lowerBound / 2 : part.lowerBound, source = matrix.start + part.lowerBound * matrix.stride
    for first in stride(from: 0, to: rows, by: 16) {
      kernels.pack(
        isPairs, source + first, 1, matrix.stride, min(16, rows - first), part.count,
        start + first * words + word * 16)
    }
  }
}

/// Panels with memory of their own.
struct GemmOperand: Sendable {
  let panels: GemmPanels
  private let storage: Storage

  init(rows: Int, columns: Int, tail: Int = 0, isPairs: Bool) {
    storage = Storage(byteCount: 4 * GemmPanels.floats(rows: rows, columns: columns, tail: tail, isPairs: isPairs))
    panels = GemmPanels(
      start: storage.bytes.bindMemory(to: Float.self).baseAddress!, rows: rows, columns: columns, tail: tail,
      isPairs: isPairs)
  }
}

/// What a product's gradient with respect to its weight reads: the columns of the input as rows.
public struct ProductInput: Sendable {
  let transpose: Lazy<GemmOperand>
}

extension CPUBackend {
  var multipliesPairs: Bool { precision == .bf16 }

  /// The operand of an `f32` matrix in rows, in pairs where they are what products multiply.
  /// - Parameter tail: columns that are left free behind it.
  func operand(_ matrix: MatrixView, tail: Int = 0, isPairs: Bool? = nil) -> GemmOperand {
    let isPairs = isPairs ?? multipliesPairs
    let operand = GemmOperand(rows: matrix.rows, columns: matrix.columns, tail: tail, isPairs: isPairs)
    let panels = operand.panels
    guard matrix.isTransposed else {
      overRows(panels.panels, elementsPerRow: 4 * matrix.columns) { range in
        for index in range { panels.pack(index, of: matrix, kernels) }
      }
      return operand
    }
    let step = 32
    overRows((matrix.columns + step - 1) / step, elementsPerRow: step * matrix.rows) { range in
      for part in range {
        panels.pack(columns: part * step..<min(matrix.columns, (part + 1) * step), of: matrix, kernels)
      }
    }
    return operand
  }

  /// A matrix in rows as an operand, and its transpose as another: memory is read once for both.
  func operands(both x: Tensor) -> (rows: GemmOperand, transpose: GemmOperand) {
    let count = x.shape.rows, columns = x.shape.columns, isPairs = multipliesPairs
    let one = GemmOperand(rows: count, columns: columns, isPairs: isPairs)
    let other = GemmOperand(rows: columns, columns: count, isPairs: isPairs)
    let (panels, turned) = (one.panels, other.panels), source = x.pointer
    overRows(panels.panels, elementsPerRow: 16 * columns) { range in
      for index in range {
        let first = index * 16
        kernels.pack_both(
          isPairs, source + first * columns, columns, min(16, count - first), columns, panels.start + first * panels.words,
          turned.start + (isPairs ? first / 2 : first) * 16, turned.words * 16)
      }
    }
    return (one, other)
  }

  /// left · rightᵀ → `[left rows, right rows]`, the gradient of a weight.
  /// - Parameter sum: what the products are added to, in place; nobody else holds it.
  func gemm(_ left: GemmOperand, _ right: GemmOperand, adding sum: Tensor? = nil) -> Tensor {
    let y = sum ?? Tensor(shape: [left.panels.rows, right.panels.rows], stays: true, backend: self)
    let (a, b, out) = (left.panels, right.panels, y.pointer), words = max(1, a.words), adds = sum != nil
    guard a.rows > 0, b.rows > 0 else { return y }
    // A block of both operands fits into a processor's own cache; there are several blocks per thread.
    let near = (1 << 17) / words
    let height = min(max(32, near / 32 * 32), 128), width = min(max(48, near / 48 * 48), 192)
    let across = (b.rows + width - 1) / width, blocks = (a.rows + height - 1) / height * across
    withExtendedLifetime((left, right)) {
      pool.run(chunks: blocks, isLong: true) { block in
        let row = block / across * height, column = block % across * width
        kernels.gemm(
          a.isPairs, a.start + row * words, words, min(height, a.rows - row), b.start + column * words,
          min(width, b.rows - column), a.columns, out + row * b.rows + column, b.rows, adds)
      }
    }
    return y
  }
}
