// The course of a metric as it is drawn, in a terminal or in a picture.
import Foundation
import JSON

/// What a curve is drawn over.
public enum CurveAxis: String, Sendable, CaseIterable {
  case step, tokens, seconds
}

/// A curve and what to call it.
public struct Curve: Sendable {
  public var name: String
  /// From left to right. What is not finite is a gap.
  public var points: [SIMD2<Double>]

  public init(name: String, points: [SIMD2<Double>]) {
    self.name = name
    self.points = points
  }
}

extension RunRecord {
  /// The course of a metric; nil if this run has none of the name.
  public func curve(_ metric: String, over axis: CurveAxis = .step) -> Curve? {
    let points = metrics[metric]
    guard !points.isEmpty else { return nil }
    return Curve(
      name: name == folderName ? name : "\(name) \(id)",
      points: points.map { point in
        switch axis {
        case .step: SIMD2(Double(point.step), point.value)
        case .tokens: SIMD2(Double(point.tokens), point.value)
        case .seconds: SIMD2(point.seconds, point.value)
        }
      })
  }
}

/// Curves of one metric in one frame.
public struct CurvePlot: Sendable {
  public var title: String
  /// What the curves are drawn over, for the label below.
  public var axis: CurveAxis
  public var curves: [Curve]
  /// Whether values lie by their logarithm; what is not positive is a gap then.
  public var isLogarithmic: Bool
  /// How much of the running mean every value keeps, 0 ..< 1, as TensorBoard smooths; 0 draws values as they are.
  public var smoothing: Double

  public init(
    title: String, axis: CurveAxis = .step, curves: [Curve], isLogarithmic: Bool = false, smoothing: Double = 0
  ) {
    self.title = title
    self.axis = axis
    self.curves = curves
    self.isLogarithmic = isLogarithmic
    self.smoothing = min(max(smoothing.isNaN ? 0 : smoothing, 0), 0.9999)
  }

  /// The points as they were logged, for a program; not-a-number and infinite are strings.
  public var json: JSONValue {
    [
      "title": .string(title), "over": .string(axis.rawValue),
      "curves": .array(
        curves.map { curve in
          [
            "name": .string(curve.name),
            "points": .array(curve.points.map { .array([.number($0.x), .number($0.y)]) }),
          ]
        }),
    ]
  }

  /// The unbroken pieces of a curve that can be drawn.
  func pieces(_ points: [SIMD2<Double>]) -> [[SIMD2<Double>]] {
    points.split { point in
      // The difference of two such numbers is finite, and so is all that is computed from them.
      !(point.x.magnitude < 1e300 && point.y.magnitude < 1e300) || isLogarithmic && point.y < Axis.smallest
    }.map(Array.init)
  }

  /// The exponential running mean, without its bias towards the first values.
  func smoothed(_ points: [SIMD2<Double>]) -> [SIMD2<Double>] {
    guard smoothing > 0 else { return points }
    var mean = 0.0, weight = 0.0
    return points.map { point in
      guard point.y.magnitude < 1e300 else { return point }
      mean = smoothing * mean + (1 - smoothing) * point.y
      weight = smoothing * weight + (1 - smoothing)
      return SIMD2(point.x, mean / weight)
    }
  }

  /// The axes that hold all points; nil if there are none.
  func axes(ticks: SIMD2<Int>) -> (x: Axis, y: Axis)? {
    let all = curves.flatMap { pieces($0.points) + pieces(smoothed($0.points)) }.joined()
    guard let first = all.first else { return nil }
    var lowest = first, highest = first
    for point in all {
      lowest = pointwiseMin(lowest, point)
      highest = pointwiseMax(highest, point)
    }
    return (
      Axis(from: lowest.x, to: highest.x, padding: 0, ticks: ticks.x),
      Axis(from: lowest.y, to: highest.y, padding: 0.04, isLogarithmic: isLogarithmic, ticks: ticks.y)
    )
  }
}

/// A range of numbers along an edge, with round ones marked.
package struct Axis {
  /// Below this, logarithms and steps would leave the range of normal numbers.
  static let smallest = 1e-290

  private let lower: Double
  private let upper: Double
  private let isLogarithmic: Bool
  package let ticks: [(value: Double, label: String)]

  /// - Parameters:
  ///   - padding: the share of the range that is left free on both sides.
  ///   - count: about how many ticks there should be.
  package init(
    from lowest: Double, to highest: Double, padding: Double, isLogarithmic: Bool = false, ticks count: Int
  ) {
    self.isLogarithmic = isLogarithmic
    var lower = isLogarithmic ? log10(max(lowest, Self.smallest)) : lowest
    var upper = isLogarithmic ? log10(max(highest, Self.smallest)) : highest
    if upper - lower <= max(lower.magnitude * 1e-9, upper.magnitude * 1e-9, Self.smallest) {
      let room = max(lower.magnitude * 0.05, isLogarithmic ? 0.1 : 1e-9)
      lower -= room
      upper += room
    } else {
      (lower, upper) = (lower - (upper - lower) * padding, upper + (upper - lower) * padding)
    }
    self.lower = lower
    self.upper = upper
    ticks = isLogarithmic
      ? Self.logarithmicTicks(lower, upper, count) : Self.roundTicks(lower, upper, count)
  }

  /// Where a value is, 0 … 1.
  func position(_ value: Double) -> Double { ((isLogarithmic ? log10(value) : value) - lower) / (upper - lower) }

  /// 1, 2 or 5 times a power of ten, so that there are about `count` steps.
  private static func roundStep(_ span: Double, _ count: Int) -> Double {
    let raw = span / Double(max(1, count)), power = pow(10, floor(log10(raw)))
    return power * (raw / power <= 1.5 ? 1 : raw / power <= 3.5 ? 2 : raw / power <= 7.5 ? 5 : 10)
  }

  private static func roundTicks(_ lower: Double, _ upper: Double, _ count: Int) -> [(value: Double, label: String)] {
    let step = roundStep(upper - lower, count)
    guard step > 0, step.isFinite else { return [] }
    let first = (lower / step - 1e-9).rounded(.up)
    let values = (0..<(4 * count + 4)).map { (first + Double($0)) * step }.filter { $0 <= upper + step * 1e-9 }
    let greatest = values.map(\.magnitude).max() ?? 0
    return values.map { ($0, label($0, step: step, greatest: greatest)) }
  }

  private static func logarithmicTicks(
    _ lower: Double, _ upper: Double, _ count: Int
  ) -> [(value: Double, label: String)] {
    let decades = Int(lower.rounded(.down))...Int(upper.rounded(.up))
    func values(_ factors: [Double]) -> [Double] {
      decades.flatMap { decade in factors.map { $0 * pow(10, Double(decade)) } }
        .filter { $0 > 0 && log10($0) >= lower && log10($0) <= upper }
    }
    let sets = [[1, 2, 3, 4, 5, 6, 7, 8, 9], [1, 2, 3, 5], [1, 2, 5], [1, 3], [1.0]].map(values)
    var chosen = sets.first { $0.count <= count + count / 2 } ?? []
    // Within less than a decade round numbers of the range itself are better.
    if chosen.count < 3, pow(10, upper - lower) < 10 {
      let ticks = roundTicks(pow(10, lower), pow(10, upper), count)
      if ticks.count > chosen.count { return ticks }
    }
    // Of more decades than there is room for, every second or third.
    if chosen.isEmpty, let all = sets.last {
      let stride = max(1, (all.count + count - 1) / max(1, count))
      chosen = all.enumerated().filter { $0.offset % stride == 0 }.map(\.element)
    }
    return chosen.map { ($0, label($0, step: pow(10, floor(log10($0))), greatest: $0)) }
  }

  /// With as many digits as the step needs: `0.25`, `1500`, `12k`, `2.5M`, `1e-06`.
  private static func label(_ value: Double, step: Double, greatest: Double) -> String {
    if value == 0 { return "0" }
    if greatest < 1e-3 || greatest >= 1e15 {
      let digits = max(0, Int(floor(log10(value.magnitude)) - floor(log10(step) + 1e-9)))
      let parts = String(format: "%.\(min(digits, 6))e", value).split(separator: "e")
      return parts.count == 2 ? "\(parts[0])e\(Int(parts[1]) ?? 0)" : ""
    }
    let units = [(1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")]
    let (unit, suffix) = greatest < 1e4 ? (1, "") : units.first { greatest >= $0.0 } ?? (1, "")
    let digits = max(0, -Int(floor(log10(step / unit) + 1e-9)))
    return String(format: "%.\(min(digits, 9))f", value / unit) + suffix
  }
}
