// Curves as they are drawn, in characters and in pixels.
import Foundation
import TestSupport
import Testing
import Tracking

@Suite struct PlotTests {
  private func curve(_ values: [Double], name: String = "a") -> Curve {
    Curve(name: name, points: values.enumerated().map { SIMD2(Double($0), $1) })
  }

  @Test(arguments: [
    (0.0, 10.0, false, ["0", "2", "4", "6", "8", "10"]), (0, 1, false, ["0", "0.2", "0.4", "0.6", "0.8", "1.0"]),
    (1.9, 11, false, ["2", "4", "6", "8", "10"]), (0, 20_000, false, ["0", "5k", "10k", "15k", "20k"]),
    (0, 2.4e6, false, ["0", "0.5M", "1.0M", "1.5M", "2.0M"]), (-3, 3, false, ["-3", "-2", "-1", "0", "1", "2", "3"]),
    (0, 3e-5, false, ["0", "5e-6", "1.0e-5", "1.5e-5", "2.0e-5", "2.5e-5", "3.0e-5"]),
    (1, 1e6, true, ["1", "10", "100", "1000", "10k", "100k", "1M"]),
    (1.9, 11, true, ["2", "3", "5", "10"]), (3.2, 3.4, true, ["3.20", "3.25", "3.30", "3.35", "3.40"]),
  ])
  func `Ticks are round numbers`(low: Double, high: Double, isLogarithmic: Bool, labels: [String]) {
    let axis = Axis(from: low, to: high, padding: 0, isLogarithmic: isLogarithmic, ticks: 5)
    #expect(axis.ticks.map(\.label) == labels)
  }

  @Test func `Any range has a finite number of ticks`() {
    let values = [0, 1, -1, .leastNonzeroMagnitude, Double.leastNonzeroMagnitude * 1e10, 1e-300, 1e299, -1e299, 0.1, 0.1.nextUp, 1e15, 1e16]
    for low in values {
      for high in values where high >= low {
        for isLogarithmic in [false, true] where low > 0 || !isLogarithmic {
          let axis = Axis(from: low, to: high, padding: 0.04, isLogarithmic: isLogarithmic, ticks: 6)
          #expect(axis.ticks.count <= 30, "\(low) \(high)")
          #expect(axis.ticks.allSatisfy { $0.value.isFinite && $0.label.count <= 12 }, "\(low) \(high)")
          let plot = CurvePlot(title: "t", curves: [curve([low, high])], isLogarithmic: isLogarithmic)
          // Logarithms of next to nothing are gaps.
          let lines = isLogarithmic && high < 1e-290 ? 2 : 9
          #expect(plot.text(width: 40, height: 5).split(separator: "\n").count == lines)
        }
      }
    }
  }

  @Test func `A single curve is drawn in dots`() {
    let plot = CurvePlot(title: "loss", curves: [curve([8, 4, 2, 1, 0])])
    #expect(
      plot.text(width: 34, height: 5) == """
        loss
          │⠑⠢⣀
        5 ┤   ⠑⠢⣀
          │      ⠑⠢⢄⣀⡀
          │          ⠈⠉⠑⠒⠢⠤⠤⢄⣀⣀⣀⡀
        0 ┤                     ⠈⠉⠉⠑⠒⠒⠤⠤⢄⣀
          └┬──────────────┬──────────────┬
           0              2              4
                        step
        """ + "\n")
  }

  @Test func `Several curves have a mark each and a legend`() {
    let plot = CurvePlot(
      title: "loss", axis: .tokens, curves: [curve([4, 3, 2, 1, 0], name: "one"), curve([0, 1, 2, 3, 4], name: "둘")])
    #expect(
      plot.text(width: 34, height: 5) == """
        loss
        4 ┤****                       oooo
          │    *******        oooooooo
        2 ┤           oooooooo
          │    ooooooo        ********
        0 ┤oooo                       ****
          └┬──────────────┬──────────────┬
           0              2              4
                       tokens
          *  one
          o  둘
        """ + "\n")
  }

  @Test func `The plot is as wide as it is told`() {
    let plot = CurvePlot(title: "loss", curves: [curve((0..<500).map { sin(Double($0) / 30) * 1000 })])
    for width in [30, 60, 133, 250] {
      #expect(plot.text(width: width, height: 12).split(separator: "\n").map(\.count).max() == width)
    }
  }

  @Test func `What cannot be drawn is a gap`() {
    let gap = CurvePlot(title: "loss", curves: [curve([1, .nan, .infinity, 2, -.infinity, 1])])
    #expect(gap.text(width: 40, height: 4).contains("┤"))
    #expect(CurvePlot(title: "x", curves: [curve([.nan])]).text() == "x\nnothing to draw\n")
    #expect(CurvePlot(title: "x", curves: []).text() == "x\nnothing to draw\n")
    #expect(CurvePlot(title: "x", curves: [curve([0, -1])], isLogarithmic: true).text() == "x\nnothing to draw\n")
    #expect(CurvePlot(title: "x", curves: []).png().count > 500)
  }

  @Test func `Sparklines follow their values`() {
    #expect(RunReport.sparkline([0, 1, 2, 3, 4, 5, 6, 7], width: 8) == "▁▂▃▄▅▆▇█")
    #expect(RunReport.sparkline([0, 0, 7, 7], width: 2) == "▁█")
    #expect(RunReport.sparkline([3, 3, .nan, 3], width: 9) == "▁▁ ▁")
    #expect(RunReport.sparkline([], width: 9) == "" && RunReport.sparkline([.nan], width: 9) == "")
    #expect(RunReport.sparkline([-.greatestFiniteMagnitude, .greatestFiniteMagnitude], width: 2) == "▁█")
  }
}
