// The numbers of a block, and the search for the scale, or scale and minimum, that loses least of them.
//
// Vectors of eight lanes, each summed by itself, give the same bits on every processor and compile to what it has.

typealias Lanes = SIMD8<Float>

/// Numbers and the weights of their errors; a sub-block is a view of some of them.
struct BlockSample {
  let values: UnsafeMutablePointer<Lanes>
  let weights: UnsafeMutablePointer<Lanes>
  /// Vectors of eight.
  let count: Int

  /// Below this no format's scale can be told from 0.
  static let least: Float = 1e-9
  /// Beyond this no format's scale reaches: 65,504 · 127.
  private static let greatest: Float = 8_319_008

  init(elements: Int) {
    count = elements / 8
    values = .allocate(capacity: count)
    weights = .allocate(capacity: count)
  }

  private init(values: UnsafeMutablePointer<Lanes>, weights: UnsafeMutablePointer<Lanes>, count: Int) {
    self.values = values
    self.weights = weights
    self.count = count
  }

  func deallocate() {
    values.deallocate()
    weights.deallocate()
  }

  /// One of the equal parts of `elements` numbers.
  @inline(__always) func part(_ index: Int, elements: Int) -> BlockSample {
    let size = elements / 8
    return BlockSample(values: values + index * size, weights: weights + index * size, count: size)
  }

  /// Copies a block, without what is not finite, and weighs it.
  ///
  /// Where importance is known, errors count by it alone. Where it is not, those of large numbers count more, as in
  /// ggml: training made weights large where they matter, and a clipped one can ruin a model (docs/QUANTIZATION.md).
  func load(_ source: UnsafePointer<Float>, importance: UnsafePointer<Float>?, atLeast floor: Float) {
    var squares = Lanes()
    for i in 0..<count {
      var lanes = UnsafeRawPointer(source + 8 * i).loadUnaligned(as: Lanes.self)
      lanes.replace(with: Lanes(), where: lanes .!= lanes)
      values[i] = clamp(lanes, -Self.greatest, Self.greatest)
      squares += values[i] * values[i]
    }
    let meanSquare = squares.sum() / Float(8 * count)
    for i in 0..<count {
      guard let importance else {
        weights[i] = (meanSquare + values[i] * values[i]).squareRoot()
        continue
      }
      let weight = UnsafeRawPointer(importance + 8 * i).loadUnaligned(as: Lanes.self)
      weights[i] = clamp(weight.replacing(with: floor, where: .!(weight .> floor)), floor, 1e12)
    }
  }

  @inline(__always) func largestMagnitude() -> Float {
    var largest = Lanes()
    for i in 0..<count {
      largest.replace(with: values[i], where: values[i] .> largest)
      largest.replace(with: -values[i], where: -values[i] .> largest)
    }
    return largest.max()
  }
}

@inline(__always) func clamp(_ x: Lanes, _ low: Float, _ high: Float) -> Lanes {
  x.replacing(with: low, where: x .< low).replacing(with: high, where: x .> high)
}

@inline(__always) func halfRounded(_ value: Float) -> Float {
  HalfPrecision.decode(HalfPrecision.encode(Swift.max(-65_504, Swift.min(65_504, value))))
}

@inline(__always) func reciprocal(_ scale: Float) -> Float { scale.magnitude < 1e-30 ? 0 : 1 / scale }

/// The numbers that an element can be before it is scaled.
protocol Levels {
  var lowest: Float { get }
  var highest: Float { get }
  func nearest(_ x: Lanes) -> Lanes
}

/// All integers between two.
struct IntegerLevels: Levels {
  let lowest, highest: Float

  @inline(__always) func nearest(_ x: Lanes) -> Lanes {
    // Adding 1.5 · 2²³ leaves no bits for a fraction: rounds to nearest, ties to even.
    clamp(x, lowest, highest) + 12_582_912 - 12_582_912
  }
}

/// The levels of the IQ4 formats.
struct IQ4Levels: Levels {
  let lowest: Float = -127
  let highest: Float = 113
  private static let boundaries: [(middle: Float, step: Float)] = zip(iq4Levels, iq4Levels.dropFirst()).map {
    let (low, high) = (Float($0), Float($1))
    return ((low + high) / 2, high - low)
  }

  @inline(__always) func nearest(_ x: Lanes) -> Lanes {
    var result = Lanes(repeating: lowest)
    for (middle, step) in Self.boundaries { result += Lanes().replacing(with: step, where: x .> middle) }
    return result
  }
}

/// Which scales are tried: those that take the largest number of a block to `level`, for levels in a range.
struct ScaleSearch {
  let from, to, step: Float
}

extension BlockSample {
  /// How much of the weighted sum of squares levels · scale explains at best, and the scale that does.
  @inline(__always) private func explained(_ levels: some Levels, inverse: Float) -> (score: Float, scale: Float) {
    var product = Lanes(), square = Lanes()
    for i in 0..<count {
      let q = levels.nearest(values[i] * inverse), weighted = weights[i] * q
      product += weighted * values[i]
      square += weighted * q
    }
    let (xq, qq) = (product.sum(), square.sum())
    return qq > 0 ? (xq / qq * xq, xq / qq) : (0, 0)
  }

  /// The scale with which x ≈ scale · level loses least.
  @inline(__always) func scale(_ levels: some Levels, _ search: ScaleSearch) -> Float {
    let peak = largestMagnitude()
    guard peak >= Self.least else { return 0 }
    var best = explained(levels, inverse: levels.lowest / peak)
    func offer(_ candidate: (score: Float, scale: Float)) {
      if candidate.score > best.score { best = candidate }
    }
    var level = search.from
    while level <= search.to {
      offer(explained(levels, inverse: -level / peak))
      // The range below zero is one level longer; the largest number may be of either sign.
      if levels.lowest != -levels.highest { offer(explained(levels, inverse: level / peak)) }
      level += search.step
    }
    for _ in 0..<4 {
      let previous = best.score
      offer(explained(levels, inverse: reciprocal(best.scale)))
      if best.score <= previous { break }
    }
    return best.scale
  }

  /// The weighted sum of squared errors of x ≈ scale · level.
  @inline(__always) func error(_ levels: some Levels, scale: Float) -> Float {
    let inverse = reciprocal(scale)
    var sum = Lanes()
    for i in 0..<count {
      let off = values[i] - levels.nearest(values[i] * inverse) * scale
      sum += weights[i] * off * off
    }
    return sum.sum()
  }

  /// The scale and minimum with which x ≈ scale · q + minimum loses least, q in 0 … `highest`.
  /// - Parameter bound: what the minimum may not exceed.
  @inline(__always) func range(highest: Float, minimumAtMost bound: Float) -> (scale: Float, minimum: Float) {
    var low = values[0], high = values[0], weightSum = Lanes(), valueSum = Lanes()
    for i in 0..<count {
      low.replace(with: values[i], where: values[i] .< low)
      high.replace(with: values[i], where: values[i] .> high)
      weightSum += weights[i]
      valueSum += weights[i] * values[i]
    }
    let bottom = Swift.min(low.min(), bound), top = Swift.max(high.max(), bottom), width = top - bottom
    let totals = (weights: weightSum.sum(), values: valueSum.sum())
    guard width >= Self.least else { return (0, bottom) }
    let levels = IntegerLevels(lowest: 0, highest: highest)
    var best = fit(levels, scale: width / highest, minimum: bottom, totals, bound)
    // Numbers that were quantized to half as many levels before.
    let halved = fit(levels, scale: width / (highest - 1), minimum: bottom, totals, bound)
    if halved.score > best.score { best = halved }
    for left in Self.trims {
      for right in Self.trims {
        let scale = width * (1 - (left + right) / (highest + 1)) / highest
        let candidate = fit(levels, scale: scale, minimum: bottom + width * left / (highest + 1), totals, bound)
        if candidate.score > best.score { best = candidate }
      }
    }
    for _ in 0..<4 {
      let candidate = fit(levels, scale: best.scale, minimum: best.minimum, totals, bound)
      guard candidate.score > best.score else { break }
      best = candidate
    }
    return (best.scale, best.minimum)
  }

  /// By how many steps of the grid each end of a range is drawn in.
  private static var trims: [Float] { [-0.4, 0, 0.5, 1, 1.6] }

  /// Rounds with one scale and minimum, then finds those that fit the levels best (least squares).
  /// `score` is what they explain of the weighted sum of squares.
  @inline(__always) private func fit(
    _ levels: IntegerLevels, scale: Float, minimum: Float, _ totals: (weights: Float, values: Float), _ bound: Float
  ) -> (score: Float, scale: Float, minimum: Float) {
    let inverse = reciprocal(scale)
    var first = Lanes(), second = Lanes(), product = Lanes()
    for i in 0..<count {
      let q = levels.nearest((values[i] - minimum) * inverse), weighted = weights[i] * q
      first += weighted
      second += weighted * q
      product += weighted * values[i]
    }
    let (q, qq, xq) = (first.sum(), second.sum(), product.sum())
    guard qq > 0 else { return (0, scale, minimum) }
    let determinant = totals.weights * qq - q * q
    var m = bound == .infinity ? minimum : bound  // where it stays when the levels are all the same, or it would exceed
    if determinant > 1e-7 * totals.weights * qq {
      m = Swift.min(bound, (qq * totals.values - q * xq) / determinant)
    }
    let s = (xq - m * q) / qq
    guard s > 0 else { return (0, scale, minimum) }
    let score = s * (2 * xq - s * qq - 2 * m * q) + m * (2 * totals.values - m * totals.weights)
    return (score, s, m)
  }
}
