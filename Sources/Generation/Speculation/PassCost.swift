// What a forward pass costs here and now. It depends on model, processor, context and company, so it is measured.

/// The time of small forward passes as a straight line over their rows, fitted to the latest ones.
package struct PassCost {
  /// The most rows of a pass that guesses may fill; larger ones are bound by arithmetic, and guesses would only add.
  package static let rows = 16
  /// What a further row costs, as a share of a pass of one, before that has been measured.
  private static let expectedSlope = 0.15
  /// How fast older passes lose their weight.
  private static let decay = 0.98

  /// Weighted sums over passes, x being the rows after the first and y the seconds.
  private var n = 0.0, x = 0.0, y = 0.0, xx = 0.0, xy = 0.0

  package init() {}

  package mutating func add(rows: Int, seconds: Double) {
    let more = Double(rows - 1)
    // Another program's turn on the processor says nothing about this one.
    let time = n > 0 ? min(seconds, 2 * (first + slope * more)) : seconds
    n = n * Self.decay + 1
    x = x * Self.decay + more
    y = y * Self.decay + time
    xx = xx * Self.decay + more * more
    xy = xy * Self.decay + more * time
  }

  /// Seconds for each row after the first. What is expected counts as much as two passes that differ by one row.
  private var slope: Double {
    guard n > 0 else { return 0 }
    let meanX = x / n, meanY = y / n, expected = Self.expectedSlope * meanY / (1 + Self.expectedSlope * meanX)
    let fitted = (xy - x * meanY + 2 * expected) / (xx - x * meanX + 2)
    // Between nothing and the share of a row in a pass that costs nothing else.
    return min(max(fitted, 0.1 * expected), meanY / (1 + meanX))
  }

  /// Seconds of a pass of one row.
  private var first: Double { n > 0 ? y / n - slope * x / n : 0 }

  /// What guesses of one of `sequences` running ones are paid with and bring in.
  package func prices(sequences: Int) -> Prices {
    let slope = slope, count = Double(max(1, sequences)), token = (first + slope * (count - 1)) / count
    return Prices(token: token, row: slope)
  }

  /// Seconds.
  package struct Prices {
    /// For a token without guesses, which is what a guess that comes true saves.
    package var token: Double
    /// For a row more in a pass.
    package var row: Double

    package init(token: Double, row: Double) {
      self.token = token
      self.row = row
    }
  }
}
