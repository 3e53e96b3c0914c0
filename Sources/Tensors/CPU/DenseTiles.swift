// Attention over keys and values in memory: four queries of a head at a time, each row of scores as long as its span.
import CKernels

extension CPUBackend {
  public func attend(
    _ attention: DenseAttention, queries: Tensor, keys: Tensor, values: Tensor, bias: Tensor?
  ) -> Tensor {
    let output = Tensor(shape: queries.shape, backend: self)
    let heads = queries.shape[1], keyHeads = keys.shape[1], width = queries.shape[2]
    let distances = attention.distances
    var tiles: [DenseTile] = []
    // The panels of each span's keys, head after head.
    var panels: [Int] = [], panelCount = 0
    for span in attention.spans {
      panels.append(panelCount)
      panelCount += (span.keys.count + 15) / 16 * keyHeads
    }
    let packed = Storage(byteCount: panelCount * 16 * width * 4)
    let packedKeys = packed.bytes.bindMemory(to: Float.self).baseAddress!, keySource = keys.pointer
    for (index, span) in attention.spans.enumerated() where !span.queries.isEmpty {
      let panelsPerHead = (span.keys.count + 15) / 16, target = packedKeys + panels[index] * 16 * width
      overRows(panelsPerHead * keyHeads, elementsPerRow: 16 * width) { range in
        for panel in range {
          let (head, place) = panel.quotientAndRemainder(dividingBy: panelsPerHead)
          let out = target + panel * 16 * width, present = min(16, span.keys.count - place * 16)
          if present < 16 { out.update(repeating: 0, count: 16 * width) }
          for lane in 0..<present {
            let key = keySource + ((span.keys.lowerBound + place * 16 + lane) * keyHeads + head) * width
            for column in 0..<width { out[column * 16 + lane] = key[column] }
          }
        }
      }
      for first in stride(from: 0, to: span.queries.count, by: DenseTile.rows) {
        for head in 0..<heads {
          let keyHead = head / (heads / keyHeads)
          tiles.append(DenseTile(
            attention: attention, span: span, rows: first..<min(span.queries.count, first + DenseTile.rows), head: head,
            heads: heads, keyHead: keyHead, keyHeads: keyHeads, width: width, kernels: kernels, queries: queries.pointer,
            keys: target + keyHead * panelsPerHead * 16 * width, values: values.pointer,
            bias: bias.map { $0.pointer + head * distances.count - distances.lowerBound }, output: output.pointer))
        }
      }
    }
    withExtendedLifetime(packed) {
      let work = (tiles.first?.span.keys.count ?? 0) * width * 2 * DenseTile.rows
      overRows(tiles.count, elementsPerRow: work) { $0.forEach { tiles[$0].run() } }
    }
    return output
  }
}

/// Up to four neighbouring queries of one head of one span.
private struct DenseTile {
  static let rows = 4

  let attention: DenseAttention
  let span: DenseAttention.Span
  /// From the span's first query.
  let rows: Range<Int>
  let head, heads, keyHead, keyHeads, width: Int
  let kernels: mk_kernels
  let queries: UnsafePointer<Float>
  /// This head's panels.
  let keys: UnsafePointer<Float>
  let values: UnsafePointer<Float>
  /// This head's bias for distance 0.
  let bias: UnsafePointer<Float>?
  let output: UnsafeMutablePointer<Float>

  func run() {
    let panels = (span.keys.count + 15) / 16, stride = keyHeads * width
    withUnsafeTemporaryAllocation(of: Float.self, capacity: max(1, rows.count * panels * 16)) { memory in
      guard let start = memory.baseAddress else { return }
      var inputs: [UnsafePointer<Float>?] = [], scores: [UnsafeMutablePointer<Float>?] = []
      var outputs: [UnsafeMutablePointer<Float>?] = []
      for (index, row) in rows.enumerated() {
        let place = ((span.queries.lowerBound + row) * heads + head) * width
        inputs.append(queries + place)
        scores.append(start + index * panels * 16)
        outputs.append(output + place)
      }
      kernels.dense_scores(inputs, Int32(rows.count), keys, panels, width, scores)
      var first: [Int] = [], last: [Int] = []
      for (index, row) in rows.enumerated() {
        let position = span.start + row, visible = attention.visible(from: position, of: span)
        kernels.softmax(
          scores[index], panels * 16, visible.lowerBound, visible.upperBound, attention.scale,
          bias.map { $0 - position }, attention.softCap ?? 0)
        first.append(visible.lowerBound)
        last.append(visible.upperBound)
      }
      let weights = scores.map { UnsafePointer($0) }
      kernels.dense_values(
        weights, Int32(rows.count), values + (span.keys.lowerBound * keyHeads + keyHead) * width, stride, first,
        last, width, outputs)
    }
  }
}
