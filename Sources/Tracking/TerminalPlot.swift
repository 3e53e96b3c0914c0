// Curves in a terminal: one in dots of Braille characters, several with a mark each.
import Foundation

extension CurvePlot {
  private static let marks: [Character] = ["*", "o", "+", "x", "#", "@", "%", "&"]

  /// The plot as lines of text.
  /// - Parameters:
  ///   - width: columns in all.
  ///   - height: lines of the frame; title, numbers and legend come on top of these.
  public func text(width: Int = 80, height: Int = 20) -> String {
    let height = min(max(height, 4), 200), width = min(max(width, 30), 1000)
    let heading = title.printable + (smoothing > 0 ? " (smoothed)" : "")
    guard let axes = axes(ticks: SIMD2(max(2, width / 14), max(2, height / 4))) else {
      return heading + "\nnothing to draw\n"
    }
    let gutter = axes.y.ticks.map(\.label.count).max() ?? 0
    let columns = max(10, width - gutter - 2)
    let isSingle = curves.count == 1
    // A Braille character has two columns of four dots.
    var grid = isSingle
      ? DotGrid(width: columns * 2, height: height * 4) : DotGrid(width: columns, height: height)
    for (index, curve) in curves.enumerated() {
      for piece in pieces(smoothed(curve.points)) {
        grid.draw(
          piece.map { SIMD2(axes.x.position($0.x), axes.y.position($0.y)) }, UInt8(index % Self.marks.count + 1))
      }
    }

    var labels = Array(repeating: "", count: height)
    for (value, label) in axes.y.ticks {
      labels[min(height - 1, max(0, Int((1 - axes.y.position(value)) * Double(height))))] = label
    }
    var text = heading + "\n"
    for row in 0..<height {
      let line = String((0..<columns).map { isSingle ? grid.braille($0, row) : mark(grid[$0, row]) })
      text += labels[row].leftPadded(to: gutter) + (labels[row].isEmpty ? " │" : " ┤") + line.trimmed + "\n"
    }
    text += belowAxis(axes.x, columns: columns, gutter: gutter)
    if !isSingle {
      for (index, curve) in curves.enumerated() {
        text += "  \(Self.marks[index % Self.marks.count])  \(curve.name.printable)\n"
      }
    }
    return text
  }

  private func mark(_ owner: UInt8) -> Character { owner == 0 ? " " : Self.marks[Int(owner) - 1] }

  /// The lower edge with its ticks, numbers that do not touch, and what is counted.
  private func belowAxis(_ x: Axis, columns: Int, gutter: Int) -> String {
    var edge = Array(repeating: Character("─"), count: columns)
    var numbers = Array(repeating: Character(" "), count: columns + gutter + 2)
    var free = 0
    for (value, label) in x.ticks {
      let column = min(columns - 1, max(0, Int(x.position(value) * Double(columns))))
      edge[column] = "┬"
      let start = min(numbers.count - label.count, max(0, column + gutter + 2 - label.count / 2))
      guard start >= free else { continue }
      numbers.replaceSubrange(start..<(start + label.count), with: label)
      free = start + label.count + 1
    }
    let space = String(repeating: " ", count: gutter + 1)
    let name = axis.rawValue.leftPadded(to: (columns + axis.rawValue.count) / 2)
    return space + "└" + String(edge) + "\n" + String(numbers).trimmed + "\n" + space + " " + name + "\n"
  }
}

extension String {
  fileprivate var trimmed: String {
    var text = self
    while text.last == " " { text.removeLast() }
    return text
  }
}

/// Dots that belong to nobody (0) or to a curve.
private struct DotGrid {
  private let width: Int
  private let height: Int
  private var owners: [UInt8]

  init(width: Int, height: Int) {
    self.width = width
    self.height = height
    owners = Array(repeating: 0, count: width * height)
  }

  subscript(x: Int, y: Int) -> UInt8 { owners[y * width + x] }

  /// Connects points, whose coordinates are shares of width and height from the lower left corner.
  mutating func draw(_ points: [SIMD2<Double>], _ owner: UInt8) {
    let dots = points.map { point in
      SIMD2(
        min(width - 1, max(0, Int(point.x * Double(width)))),
        min(height - 1, max(0, Int((1 - point.y) * Double(height)))))
    }
    for (from, to) in zip(dots, dots.dropFirst() + dots.suffix(1)) {
      let steps = max(abs(to.x - from.x), abs(to.y - from.y), 1)
      for step in 0...steps {
        let share = Double(step) / Double(steps)
        let x = from.x + Int((Double(to.x - from.x) * share).rounded())
        let y = from.y + Int((Double(to.y - from.y) * share).rounded())
        owners[y * width + x] = owner
      }
    }
  }

  /// The character of eight dots (Unicode block U+2800, whose bits go down the left column, the right, then the feet).
  func braille(_ column: Int, _ row: Int) -> Character {
    var bits: UInt32 = 0
    for (bit, dot) in [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (0, 3), (1, 3)].enumerated()
    where self[column * 2 + dot.0, row * 4 + dot.1] != 0 {
      bits |= 1 << UInt32(bit)
    }
    return bits == 0 ? " " : Unicode.Scalar(0x2800 + bits).map(Character.init) ?? " "
  }
}
