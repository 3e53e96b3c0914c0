// A picture on which lines are drawn with smooth edges; letters are lines too.
import Foundation

struct Color {
  let red: UInt8
  let green: UInt8
  let blue: UInt8

  init(_ code: UInt32) {
    red = UInt8(code >> 16 & 255)
    green = UInt8(code >> 8 & 255)
    blue = UInt8(code & 255)
  }
}

struct Canvas {
  let width: Int
  let height: Int
  private(set) var image: PNGImage

  init(width: Int, height: Int, background: Color) {
    self.width = width
    self.height = height
    let pixel = [background.red, background.green, background.blue]
    image = PNGImage(width: width, height: height, pixels: (0..<(width * height)).flatMap { _ in pixel })
  }

  /// Draws lines with round ends, in pixels from the upper left corner. Where they cross they do not become darker.
  mutating func stroke(_ lines: [[SIMD2<Double>]], width lineWidth: Double, _ color: Color, opacity: Double = 1) {
    let points = lines.joined()
    guard let first = points.first else { return }
    let reach = lineWidth / 2 + 0.5
    let low = points.reduce(first) { pointwiseMin($0, $1) } - reach
    let high = points.reduce(first) { pointwiseMax($0, $1) } + reach
    let columns = clamp(low.x, high.x, width), rows = clamp(low.y, high.y, height)
    guard !columns.isEmpty, !rows.isEmpty else { return }
    var cover = Array(repeating: 0.0, count: columns.count * rows.count)
    for line in lines {
      for (from, to) in zip(line, line.dropFirst() + line.suffix(1)) {
        let along = to - from, length = (along * along).sum()
        for y in clamp(min(from.y, to.y) - reach, max(from.y, to.y) + reach, height) {
          for x in clamp(min(from.x, to.x) - reach, max(from.x, to.x) + reach, width) {
            let offset = SIMD2(Double(x) + 0.5, Double(y) + 0.5) - from
            let share = length > 0 ? min(1, max(0, (offset * along).sum() / length)) : 0
            let apart = offset - along * share
            let covered = min(1, reach - (apart * apart).sum().squareRoot())
            let place = (y - rows.lowerBound) * columns.count + x - columns.lowerBound
            if covered > cover[place] { cover[place] = covered }
          }
        }
      }
    }
    for y in rows {
      for x in columns {
        let covered = cover[(y - rows.lowerBound) * columns.count + x - columns.lowerBound] * opacity
        if covered > 0 { blend(x, y, color, covered) }
      }
    }
  }

  private func clamp(_ low: Double, _ high: Double, _ limit: Int) -> Range<Int> {
    let first = Int(min(max(low.rounded(.down), 0), Double(limit)))
    return first..<max(first, Int(min(max(high.rounded(.up), 0), Double(limit))))
  }

  private mutating func blend(_ x: Int, _ y: Int, _ color: Color, _ share: Double) {
    let place = (y * width + x) * 3
    for (channel, value) in [color.red, color.green, color.blue].enumerated() {
      let old = Double(image.pixels[place + channel])
      image.pixels[place + channel] = UInt8(old + (Double(value) - old) * share + 0.5)
    }
  }

  enum Alignment { case left, center, right }

  /// Writes a line of text.
  /// - Parameters:
  ///   - y: where capitals stand.
  ///   - size: the height of capitals.
  mutating func write(
    _ text: String, x: Double, baseline y: Double, size: Double, _ color: Color, _ alignment: Alignment = .left,
    isBold: Bool = false
  ) {
    let scale = size / StrokeFont.capitalHeight, width = StrokeFont.width(text) * scale
    let left = alignment == .left ? x : alignment == .center ? x - width / 2 : x - width
    let lines = StrokeFont.lines(text).map { line in
      line.map { SIMD2(left + $0.x * scale, y + ($0.y - StrokeFont.capitalHeight) * scale) }
    }
    stroke(lines, width: scale * (isBold ? 1.15 : 0.85), color)
  }
}
