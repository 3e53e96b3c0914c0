// What training compares and how it saves memory: losses, loss by parts, and results that are computed again rather than
// kept.

extension Tensor {
  /// −ln of the share that softmax gives each row's target (cross-entropy): `[rows, classes]` → `[rows]`.
  /// - Parameter targets: the right class of each row, below `classes`; negative for a row that does not count, whose
  ///   loss is 0.
  public func crossEntropy(_ targets: [Int32]) -> Tensor {
    let (losses, sums) = crossEntropies(targets)
    guard needsGradient else { return losses }
    return losses.recorded([
      Pullback(to: self) { upstream in
        let gradient = Tensor(shape: shape, backend: backend)
        backend.crossEntropyGradient(upstream, x: self, targets: targets, sums: sums, into: gradient)
        return gradient
      }
    ])
  }

  /// Σ of ``crossEntropy(_:)`` over all rows, times `factor` → `[1]`. The gradient takes the place of these numbers where
  /// nobody else holds them, so that the logits of a large vocabulary are in memory once.
  public consuming func crossEntropy(_ targets: [Int32], times factor: Float) -> Tensor {
    let (losses, sums) = crossEntropies(targets), loss = losses.total(times: factor), history = history
    guard let history else { return loss }
    var logits = with(nil)
    self = loss  // lets go of this tensor's own hold on the logits
    let gradient = logits.isHeldAlone ? logits : Tensor(shape: logits.shape, backend: logits.backend)
    let factors = Tensor(
      Array(repeating: factor, count: targets.count), shape: [targets.count], backend: logits.backend)
    logits.backend.crossEntropyGradient(factors, x: logits, targets: targets, sums: sums, into: gradient)
    return loss.recorded([
      Pullback(to: [history]) { upstream in
        let factor = upstream.pointer[0]
        return [factor == 1 ? gradient : gradient.backend.scale(gradient, by: factor)]
      }
    ])
  }

  private func crossEntropies(_ targets: [Int32]) -> (losses: Tensor, sums: Tensor) {
    let sums = backend.logSumExp(self), losses = Tensor(shape: [targets.count], backend: backend)
    for (row, target) in targets.enumerated() {
      losses.pointer[row] = target < 0 ? 0 : sums.pointer[row] - pointer[row * shape.columns + Int(target)]
    }
    return (losses, sums)
  }

  /// Σ x over all elements, times `factor` → `[1]`.
  public func total(times factor: Float = 1) -> Tensor {
    let sum = floats.prefix(shape.count).reduce(into: 0.0) { $0 += Double($1) }
    let result = Tensor([Float(sum * Double(factor))], shape: [1], backend: backend)
    guard needsGradient else { return result }
    return result.recorded([
      Pullback(to: self) { [shape] upstream in
        Tensor(
          [Float](repeating: upstream.pointer[0] * factor, count: shape.count), shape: shape, backend: upstream.backend)
      }
    ])
  }

  /// Σ of what `loss` says of parts of this matrix's rows, `[1]` each. Gradients are found part by part as well, at
  /// once, and nothing else of a part is kept: so the logits of a large vocabulary are never all in memory.
  public func totalByParts(rows count: Int, _ loss: (_ part: Tensor, _ rows: Range<Int>) -> Tensor) -> Tensor {
    var sum = 0.0, found = Gradients()
    let own = needsGradient ? Tensor(shape: shape, backend: backend) : nil, columns = shape.columns
    for first in stride(from: 0, to: shape.rows, by: max(1, count)) {
      let rows = first..<min(shape.rows, first + max(1, count))
      var part = backend.rows(of: self, at: rows.map { Int32($0) })
      if needsGradient { part = part.requiringGradient() }
      let result = loss(part, rows)
      sum += Double(result.values[0])
      result.addGradients(to: &found, releasing: true)
      guard let own, let leaf = part.history else { continue }
      let target = own.pointer + first * columns
      if let gradient = found.take(leaf) {
        target.update(from: gradient.pointer, count: rows.count * columns)
      } else {
        target.update(repeating: 0, count: rows.count * columns)
      }
    }
    let result = Tensor([Float(sum)], shape: [1], backend: backend)
    let leaves = found.nodes.compactMap { leaf in found[leaf].map { (leaf, $0) } }
    guard needsGradient || !leaves.isEmpty else { return result }
    return result.recorded([
      Pullback(to: [history] + leaves.map(\.0)) { [gradients = [own] + leaves.map(\.1)] upstream in
        let factor = upstream.pointer[0]
        return factor == 1 ? gradients : gradients.map { $0.map { $0.backend.scale($0, by: factor) } }
      }
    ])
  }

  /// What `compute` makes of this tensor; its intermediate results are not kept but computed again for gradients
  /// (Chen et al. 2016).
  ///
  /// - Parameters:
  ///   - keepsResult: whether the result is kept for the gradients of what is made of it; otherwise they are found from
  ///     the one that is computed again, as long as they are found before this one's.
  ///   - compute: gives the same each time.
  public func recomputing(keepsResult: Bool = true, _ compute: @escaping @Sendable (Tensor) -> Tensor) -> Tensor {
    let input = needsGradient ? with(nil).requiringGradient() : self
    let result = compute(input), isWanted = needsGradient, fetch = again
    let leaves = result.leaves.filter { $0 !== input.history }
    guard result.needsGradient else { return result }
    // The second time, with its history, for whoever asks first.
    let second = Lazy<(input: Tensor, result: Tensor)> {
      let input = isWanted ? fetch().requiringGradient() : fetch()
      return (input, compute(input))
    }
    let pullback = Pullback(to: [history] + leaves) { upstream in
      let (input, result) = second.take()
      let found = result.gradients(upstream: upstream, releasing: true)
      return [found[input]] + leaves.map { found[$0] }
    }
    let plain = result.with(nil)
    return keepsResult ? plain.recorded([pullback]) : plain.recorded([pullback], again: { second.value.result.withoutGradient() })
  }
}
