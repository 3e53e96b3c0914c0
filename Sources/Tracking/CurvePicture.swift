// Curves as a picture for documents and messages.
import Foundation

extension CurvePlot {
  /// Colours that people who confuse some can tell apart (Okabe and Ito, “Color Universal Design”); after these come
  /// dashes.
  private static let colors = [0x0072B2, 0xD55E00, 0x009E73, 0xCC79A7, 0xE69F00, 0x56B4E9, 0x333333].map(Color.init)
  private static let ink = Color(0x22262B)
  private static let faintInk = Color(0x5F6770)
  private static let grid = Color(0xE4E7EB)
  private static let edge = Color(0x9AA2AB)

  /// The plot as a PNG file. Where values are smoothed, they themselves are drawn faintly behind.
  public func png(width: Int = 1200, height: Int = 700) -> [UInt8] {
    let width = min(max(width, 400), 4000), height = min(max(height, 300), 4000)
    var canvas = Canvas(width: width, height: height, background: Color(0xFFFFFF))
    let heading = title + (smoothing > 0 ? ", smoothed \(String(format: "%g", smoothing))" : "")
      + (isLogarithmic ? ", logarithmic" : "")
    let roomForTitle = Double(width - 56) / 16 * StrokeFont.capitalHeight
    canvas.write(
      StrokeFont.fitted(heading, to: roomForTitle), x: 28, baseline: 40, size: 16, Self.ink, isBold: true)
    let top = drawLegend(on: &canvas) + 24
    guard let axes = axes(ticks: SIMD2(max(2, width / 130), max(2, (height - Int(top)) / 75))) else {
      canvas.write(
        "nothing to draw", x: Double(width) / 2, baseline: Double(height) / 2, size: 14, Self.faintInk, .center)
      return canvas.image.encoded()
    }
    let scale = Self.labelSize / StrokeFont.capitalHeight
    let labels = axes.y.ticks.map { StrokeFont.width($0.label) * scale }.max() ?? 0
    let frame = Frame(left: (labels + 44).rounded(), right: Double(width) - 32, top: top, bottom: Double(height) - 66)
    drawAxes(axes, frame, on: &canvas)
    func placed(_ points: [SIMD2<Double>]) -> [[SIMD2<Double>]] {
      pieces(points).map { piece in
        thinned(piece.map { frame.place(axes.x.position($0.x), axes.y.position($0.y)) })
      }
    }
    if smoothing > 0 {
      for (index, curve) in curves.enumerated() {
        canvas.stroke(placed(curve.points), width: 1.2, Self.color(index), opacity: 0.28)
      }
    }
    for (index, curve) in curves.enumerated() {
      let lines = placed(smoothed(curve.points))
      canvas.stroke(Self.isDashed(index) ? lines.flatMap(dashes) : lines, width: 2.4, Self.color(index))
    }
    return canvas.image.encoded()
  }

  private static let labelSize = 11.0

  private static func color(_ index: Int) -> Color { colors[index % colors.count] }
  private static func isDashed(_ index: Int) -> Bool { index / colors.count % 2 == 1 }

  private struct Frame {
    let left: Double
    let right: Double
    let top: Double
    let bottom: Double

    func place(_ x: Double, _ y: Double) -> SIMD2<Double> {
      SIMD2(left + (right - left) * x, bottom - (bottom - top) * y)
    }
  }

  private func drawAxes(_ axes: (x: Axis, y: Axis), _ frame: Frame, on canvas: inout Canvas) {
    // On the middle of pixels, so that thin lines are sharp.
    func sharp(_ value: Double) -> Double { value.rounded(.down) + 0.5 }
    for (value, label) in axes.y.ticks {
      let y = frame.place(0, axes.y.position(value)).y
      canvas.stroke([[SIMD2(frame.left, sharp(y)), SIMD2(frame.right, sharp(y))]], width: 1, Self.grid)
      canvas.write(
        label, x: frame.left - 12, baseline: y + Self.labelSize / 2, size: Self.labelSize, Self.faintInk, .right)
    }
    for (value, label) in axes.x.ticks {
      let x = frame.place(axes.x.position(value), 0).x
      canvas.stroke([[SIMD2(sharp(x), frame.top), SIMD2(sharp(x), frame.bottom)]], width: 1, Self.grid)
      canvas.stroke([[SIMD2(sharp(x), frame.bottom), SIMD2(sharp(x), frame.bottom + 5)]], width: 1, Self.edge)
      canvas.write(
        label, x: x, baseline: frame.bottom + 12 + Self.labelSize, size: Self.labelSize, Self.faintInk, .center)
    }
    let corner = SIMD2(sharp(frame.left), sharp(frame.bottom))
    canvas.stroke(
      [[SIMD2(corner.x, frame.top), corner, SIMD2(frame.right, corner.y)]], width: 1, Self.edge)
    canvas.write(
      axis.rawValue, x: (frame.left + frame.right) / 2, baseline: frame.bottom + 50, size: Self.labelSize + 1, Self.ink,
      .center)
  }

  /// Names in rows below the title, where no curve can be; answers where they end.
  private func drawLegend(on canvas: inout Canvas) -> Double {
    let scale = Self.labelSize / StrokeFont.capitalHeight
    var x = 28.0, y = 70.0
    for (index, curve) in curves.enumerated() {
      let name = StrokeFont.fitted(curve.name, to: 300 / scale)
      let length = 44 + StrokeFont.width(name) * scale
      if x > 28, x + length > Double(canvas.width) - 28 {
        x = 28
        y += 24
      }
      let line = [SIMD2(x + 2, y - Self.labelSize / 2), SIMD2(x + 30, y - Self.labelSize / 2)]
      canvas.stroke(Self.isDashed(index) ? dashes(line) : [line], width: 3.4, Self.color(index))
      canvas.write(name, x: x + 40, baseline: y, size: Self.labelSize, Self.ink)
      x += length + 26
    }
    return y
  }

  /// Of many points in one column of pixels only the first, the lowest, the highest and the last, in order.
  private func thinned(_ points: [SIMD2<Double>]) -> [SIMD2<Double>] {
    var result: [SIMD2<Double>] = [], start = 0
    while start < points.count {
      let column = points[start].x.rounded(.down)
      let end = points[start...].firstIndex { $0.x.rounded(.down) != column } ?? points.count
      let indices = start..<end
      let lowest = indices.min { points[$0].y < points[$1].y } ?? start
      let highest = indices.max { points[$0].y < points[$1].y } ?? start
      for index in Set([start, lowest, highest, end - 1]).sorted() { result.append(points[index]) }
      start = end
    }
    return result
  }

  /// A line in dashes of ten pixels with gaps of six.
  private func dashes(_ line: [SIMD2<Double>]) -> [[SIMD2<Double>]] {
    var result: [[SIMD2<Double>]] = [], travelled = 0.0
    for (from, to) in zip(line, line.dropFirst()) {
      let along = to - from, length = (along * along).sum().squareRoot()
      var done = 0.0
      while done < length {
        let phase = (travelled + done).truncatingRemainder(dividingBy: 16), isInk = phase < 10
        let part = min(length - done, (isInk ? 10 : 16) - phase)
        let ends = [from + along * (done / length), from + along * ((done + part) / length)]
        if isInk { result.append(ends) }
        done += max(part, 1e-6)
      }
      travelled += length
    }
    return result
  }
}
