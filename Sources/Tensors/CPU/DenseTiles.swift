// Attention over keys and values in memory: four queries of a head at a time, each row of scores as long as its span.
import CKernels

extension CPUBackend {
  public func attend(
    _ attention: DenseAttention, queries: Tensor, keys: Tensor, values: Tensor, bias: Tensor?
  ) -> Tensor {
    let output = Tensor(shape: queries.shape, backend: self)
    let work = DenseWork(
      attention: attention, kernels: kernels, heads: queries.shape[1], keyHeads: keys.shape[1], width: queries.shape[2],
      queries: queries.pointer, keys: keys.pointer, values: values.pointer, bias: bias?.pointer,
      distances: attention.distances, output: output.pointer)
    var blocks: [DenseWork.Block] = [], products = 0
    for (index, span) in attention.spans.enumerated() {
      for first in stride(from: 0, to: span.queries.count, by: DenseWork.rowsPerBlock) {
        let rows = first..<min(span.queries.count, first + DenseWork.rowsPerBlock)
        products += rows.count * span.keys.count
        for head in 0..<work.keyHeads { blocks.append(.init(span: index, rows: rows, keyHead: head)) }
      }
    }
    guard !blocks.isEmpty else { return output }
    let perBlock = products * work.group * work.width * 2 / blocks.count
    overRows(blocks.count, elementsPerRow: perBlock) { range in
      for index in range { work.run(blocks[index]) }
    }
    return output
  }
}

/// One call of attention, cut into blocks of queries under one key-value head.
private struct DenseWork {
  /// Queries for which a head's keys are laid out once.
  static let rowsPerBlock = 64
  /// Queries that share the loads of keys and values.
  static let rowsAtOnce = 4

  struct Block {
    let span: Int
    /// From the span's first query.
    let rows: Range<Int>
    let keyHead: Int
  }

  let attention: DenseAttention
  let kernels: mk_kernels
  let heads, keyHeads, width: Int
  let queries, keys, values: UnsafePointer<Float>
  let bias: UnsafePointer<Float>?
  let distances: ClosedRange<Int>
  let output: UnsafeMutablePointer<Float>

  var group: Int { heads / keyHeads }

  func run(_ block: Block) {
    let span = attention.spans[block.span], panels = (span.keys.count + 15) / 16
    withUnsafeTemporaryAllocation(of: Float.self, capacity: max(1, panels * 16 * (width + Self.rowsAtOnce))) { memory in
      guard let packed = memory.baseAddress else { return }
      pack(span, block.keyHead, into: packed)
      for head in block.keyHead * group..<(block.keyHead + 1) * group {
        for first in stride(from: block.rows.lowerBound, to: block.rows.upperBound, by: Self.rowsAtOnce) {
          attend(
            span, first..<min(block.rows.upperBound, first + Self.rowsAtOnce), head, packed, panels,
            scores: packed + panels * 16 * width)
        }
      }
    }
  }

  /// The keys of one head with 16 of them side by side, as lanes.
  private func pack(_ span: DenseAttention.Span, _ keyHead: Int, into packed: UnsafeMutablePointer<Float>) {
    let start = keys + (span.keys.lowerBound * keyHeads + keyHead) * width
    for first in stride(from: 0, to: span.keys.count, by: 16) {
      kernels.pack(
        false, start + first * keyHeads * width, keyHeads * width, 1, min(16, span.keys.count - first), width,
        packed + first * width)
    }
  }

  private func attend(
    _ span: DenseAttention.Span, _ rows: Range<Int>, _ head: Int, _ packed: UnsafePointer<Float>, _ panels: Int,
    scores memory: UnsafeMutablePointer<Float>
  ) {
    let count = rows.count, bias = bias.map { $0 + head * distances.count - distances.lowerBound }
    withUnsafeTemporaryAllocation(of: UnsafeMutablePointer<Float>?.self, capacity: 2 * Self.rowsAtOnce) { pointers in
      withUnsafeTemporaryAllocation(of: UnsafePointer<Float>?.self, capacity: 2 * Self.rowsAtOnce) { sources in
        withUnsafeTemporaryAllocation(of: Int.self, capacity: 2 * Self.rowsAtOnce) { ends in
          guard let scores = pointers.baseAddress, let inputs = sources.baseAddress, let first = ends.baseAddress else {
            return
          }
          let outputs = scores + Self.rowsAtOnce, weights = inputs + Self.rowsAtOnce, last = first + Self.rowsAtOnce
          for index in 0..<count {
            let place = ((span.queries.lowerBound + rows.lowerBound + index) * heads + head) * width
            inputs[index] = queries + place
            outputs[index] = output + place
            scores[index] = memory + index * panels * 16
            weights[index] = UnsafePointer(memory + index * panels * 16)
          }
          var end = 0
          for index in 0..<count {
            let visible = attention.visible(from: span.start + rows.lowerBound + index, of: span)
            (first[index], last[index]) = (visible.lowerBound, visible.upperBound)
            end = max(end, visible.upperBound)
          }
          // Keys that none of these queries sees are left out.
          let panels = (end + 15) / 16
          kernels.dense_scores(inputs, Int32(count), packed, panels, width, scores)
          for index in 0..<count {
            kernels.softmax(
              scores[index], panels * 16, first[index], last[index], attention.scale,
              bias.map { $0 - (span.start + rows.lowerBound + index) }, attention.softCap ?? 0)
          }
          kernels.dense_values(
            weights, Int32(count), values + (span.keys.lowerBound * keyHeads + head / group) * width,
            keyHeads * width, first, last, width, outputs)
        }
      }
    }
  }
}
