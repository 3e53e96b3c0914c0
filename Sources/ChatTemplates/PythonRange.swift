// Python's `range`: a sequence that is not stored.

/// The integers from `start` by `step` before `stop`, never more than ``TemplateLimits/rangeCount``.
final class PythonRange {
  let start: Int
  let stop: Int
  let step: Int
  let count: Int

  init(start: Int, stop: Int, step: Int) throws {
    guard step != 0 else { throw Failure.value("range() arg 3 must not be zero") }
    let tooBig = Failure.limit("range() of more than \(TemplateLimits.rangeCount) items")
    if step > 0 ? start < stop : start > stop {
      let (span, overflow) = max(start, stop).subtractingReportingOverflow(min(start, stop))
      guard !overflow else { throw tooBig }
      let count = (UInt(span) - 1) / step.magnitude + 1
      guard count <= UInt(TemplateLimits.rangeCount) else { throw tooBig }
      self.count = Int(count)
    } else {
      count = 0
    }
    self.start = start
    self.stop = stop
    self.step = step
  }

  /// The item at `index`; exact in `0..<count`.
  subscript(index: Int) -> Int { start &+ index &* step }

  func contains(_ value: Int) -> Bool {
    guard count > 0 else { return false }
    let last = self[count - 1]
    guard value >= min(start, last), value <= max(start, last) else { return false }
    return (value - start) % step == 0
  }
}
