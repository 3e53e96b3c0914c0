// Formats with blocks of 256: sub-blocks whose scales are themselves small integers, found together with the scale of
// those by turns of least squares. BlockFormatsSuper.swift tells how the bytes lie.

/// Sub-block scales as integers, and what they are multiplied with: x ≈ d · scale · level.
struct SymmetricFit {
  var d: Float
  /// One for each sub-block.
  var scales: [Int]
  var error: Float
}

/// The same with a minimum: x ≈ d · scale · q − dmin · minimum.
struct AffineFit {
  var d, dmin: Float
  var scales, minima: [Int]
  var error: Float
}

extension BlockSample {
  /// - Parameters:
  ///   - elements: of a sub-block
  ///   - limits: the least and the greatest scale that can be stored; the least is the farthest from 0
  func symmetricFit(
    _ levels: some Levels, _ search: ScaleSearch, elements: Int, limits: ClosedRange<Int>
  ) -> SymmetricFit {
    let parts = (0..<count * 8 / elements).map { part($0, elements: elements) }
    let wanted = parts.map { $0.scale(levels, search) }
    let farthest = wanted.reduce(0) { $1.magnitude > $0.magnitude ? $1 : $0 }
    guard farthest != 0 else { return SymmetricFit(d: 0, scales: parts.map { _ in 0 }, error: 0) }
    var best = SymmetricFit(d: 0, scales: parts.map { _ in 0 }, error: .infinity)
    for start in [Float(limits.lowerBound), Float(limits.lowerBound) + 0.5, -Float(limits.upperBound)] {
      var d = halfRounded(farthest / start)
      for _ in 0..<3 {
        guard d != 0 else { break }
        var fit = SymmetricFit(d: d, scales: [], error: 0)
        for (part, scale) in zip(parts, wanted) {
          let (integer, error) = part.integerScale(levels, near: scale / d, times: d, limits)
          fit.scales.append(integer)
          fit.error += error
        }
        guard fit.error < best.error else { break }
        best = fit
        d = halfRounded(refit(levels, parts, fit))
      }
    }
    return best.error < .infinity ? best : SymmetricFit(d: 0, scales: parts.map { _ in 0 }, error: 0)
  }

  /// Of the two integers around `wanted` the one that loses less.
  @inline(__always) private func integerScale(
    _ levels: some Levels, near wanted: Float, times d: Float, _ limits: ClosedRange<Int>
  ) -> (scale: Int, error: Float) {
    let low = limits.clamped(wanted.rounded(.down)), high = limits.clamped(wanted.rounded(.up))
    let lowError = error(levels, scale: d * Float(low)), highError = error(levels, scale: d * Float(high))
    return lowError <= highError ? (low, lowError) : (high, highError)
  }

  /// The d that suits the integers best.
  @inline(__always) private func refit(_ levels: some Levels, _ parts: [BlockSample], _ fit: SymmetricFit) -> Float {
    var product = Lanes(), square = Lanes()
    for (part, scale) in zip(parts, fit.scales) {
      let inverse = reciprocal(fit.d * Float(scale))
      for i in 0..<part.count {
        let q = levels.nearest(part.values[i] * inverse) * Float(scale), weighted = part.weights[i] * q
        product += weighted * part.values[i]
        square += weighted * q
      }
    }
    let qq = square.sum()
    return qq > 0 ? product.sum() / qq : fit.d
  }

  /// - Parameters:
  ///   - highest: level
  ///   - limit: the greatest scale and minimum that can be stored
  func affineFit(highest: Float, elements: Int, limit: Int) -> AffineFit {
    let parts = (0..<count * 8 / elements).map { part($0, elements: elements) }
    let wanted = parts.map { $0.range(highest: highest, minimumAtMost: 0) }
    let zeros = parts.map { _ in 0 }
    var best = AffineFit(d: 0, dmin: 0, scales: zeros, minima: zeros, error: .infinity)
    let largest = (wanted.map(\.scale).max() ?? 0, wanted.map { -$0.minimum }.max() ?? 0)
    // Coarse scales are worth a third start.
    for start in (limit > 15 ? [0, 0.5] : [0, 0.4, -1]).map({ Float(limit) + $0 }) {
      var (d, dmin) = (halfRounded(largest.0 / start), halfRounded(largest.1 / start))
      for _ in 0..<3 {
        var fit = AffineFit(d: d, dmin: dmin, scales: [], minima: [], error: 0)
        for (part, (scale, minimum)) in zip(parts, wanted) {
          let found = part.integers(
            highest: highest, scale: scale * reciprocal(d), minimum: -minimum * reciprocal(dmin), d, dmin, limit)
          fit.scales.append(found.scale)
          fit.minima.append(found.minimum)
          fit.error += found.error
        }
        guard fit.error < best.error else { break }
        best = fit
        (d, dmin) = refit(highest: highest, parts, fit)
      }
    }
    return best
  }

  /// Integers near a wanted scale and minimum; for each scale the minimum that suits it.
  @inline(__always) private func integers(
    highest: Float, scale: Float, minimum: Float, _ d: Float, _ dmin: Float, _ limit: Int
  ) -> (scale: Int, minimum: Int, error: Float) {
    let limits = 0...limit, middle = limits.clamped(scale.rounded())
    var best = (scale: 0, minimum: 0, error: Float.infinity)
    for candidate in Swift.max(0, middle - 1)...Swift.min(limit, middle + 1) {
      let step = d * Float(candidate)
      let first = limits.clamped(minimum.rounded())
      let offset = bestOffset(highest: highest, scale: step, minimum: -dmin * Float(first))
      let second = limits.clamped((-offset * reciprocal(dmin)).rounded())
      for choice in first == second ? [first] : [first, second] {
        let error = self.error(highest: highest, scale: step, minimum: -dmin * Float(choice))
        if error < best.error { best = (candidate, choice, error) }
      }
    }
    return best
  }

  /// The minimum that suits the levels which `minimum` gives.
  @inline(__always) private func bestOffset(highest: Float, scale: Float, minimum: Float) -> Float {
    let levels = IntegerLevels(lowest: 0, highest: highest), inverse = reciprocal(scale)
    var sum = Lanes(), total = Lanes()
    for i in 0..<count {
      let q = levels.nearest((values[i] - minimum) * inverse)
      sum += weights[i] * (values[i] - scale * q)
      total += weights[i]
    }
    let weight = total.sum()
    return weight > 0 ? sum.sum() / weight : minimum
  }

  @inline(__always) private func error(highest: Float, scale: Float, minimum: Float) -> Float {
    let levels = IntegerLevels(lowest: 0, highest: highest), inverse = reciprocal(scale)
    var sum = Lanes()
    for i in 0..<count {
      let off = values[i] - levels.nearest((values[i] - minimum) * inverse) * scale - minimum
      sum += weights[i] * off * off
    }
    return sum.sum()
  }

  /// The d and dmin that suit the integers best, by least squares over the whole block.
  @inline(__always) private func refit(
    highest: Float, _ parts: [BlockSample], _ fit: AffineFit
  ) -> (d: Float, dmin: Float) {
    let levels = IntegerLevels(lowest: 0, highest: highest)
    var aa = Lanes(), ab = Lanes(), bb = Lanes(), xa = Lanes(), xb = Lanes()
    for (index, part) in parts.enumerated() {
      let scale = Float(fit.scales[index]), minimum = Float(fit.minima[index])
      let inverse = reciprocal(fit.d * scale)
      for i in 0..<part.count {
        let x = part.values[i], weight = part.weights[i]
        let a = levels.nearest((x + fit.dmin * minimum) * inverse) * scale
        aa += weight * a * a
        ab -= weight * a * minimum
        bb += weight * minimum * minimum
        xa += weight * x * a
        xb -= weight * x * minimum
      }
    }
    let (a, c, b, p, r) = (aa.sum(), ab.sum(), bb.sum(), xa.sum(), xb.sum())
    let determinant = a * b - c * c
    guard determinant > 1e-6 * a * b else { return (a > 0 ? halfRounded(p / a) : fit.d, fit.dmin) }
    let (d, dmin) = ((p * b - r * c) / determinant, (r * a - p * c) / determinant)
    return d > 0 && dmin >= 0 ? (halfRounded(d), halfRounded(dmin)) : (fit.d, fit.dmin)
  }
}

extension ClosedRange<Int> {
  /// The integer that `value`, a whole number of any size, is nearest to.
  @inline(__always) fileprivate func clamped(_ value: Float) -> Int {
    Int(Swift.max(Float(lowerBound), Swift.min(Float(upperBound), value)))
  }
}
