// The simpler half of the pre-tokenizers: runs of characters of one set, such as "three digits" or "Chinese".

/// A set of characters by class and by range.
struct CharacterSet: Sendable {
  var classes: UnicodeClasses = []
  /// Inclusive ranges, ascending.
  var ranges: [ClosedRange<UInt32>] = []
  var isNegated = false

  init(_ classes: UnicodeClasses = [], adding pattern: String = "", negated: Bool = false) {
    self.classes = classes
    isNegated = negated
    ranges = Self.ranges(pattern)
  }

  init(ranges: [ClosedRange<UInt32>]) { self.ranges = ranges }

  /// Reads the inside of a bracket expression without escapes: `a-zA-Z_`, a hyphen first or last standing for itself.
  private static func ranges(_ pattern: String) -> [ClosedRange<UInt32>] {
    let codes = pattern.unicodeScalars.map(\.value)
    var ranges: [ClosedRange<UInt32>] = []
    var at = 0
    while at < codes.count {
      if at + 2 < codes.count, codes[at + 1] == 0x2D, codes[at] <= codes[at + 2] {
        ranges.append(codes[at]...codes[at + 2])
        at += 3
      } else {
        ranges.append(codes[at]...codes[at])
        at += 1
      }
    }
    return ranges.sorted { $0.lowerBound < $1.lowerBound }
  }

  /// llama.cpp turns white space beyond ASCII into a vertical tab before it matches ranges, hence so does this.
  @inline(__always)
  func contains(_ code: UInt32, _ classes: UnicodeClasses) -> Bool {
    if !classes.isDisjoint(with: self.classes) { return !isNegated }
    let code = code >= 0x80 && classes == .space ? 0x0B : code
    var low = 0
    var high = ranges.count
    while low < high {
      let middle = (low + high) / 2
      if ranges[middle].upperBound < code { low = middle + 1 } else { high = middle }
    }
    let isInRange = low < ranges.count && ranges[low].lowerBound <= code
    return isInRange != isNegated
  }
}

/// `leading? set{minimum,maximum}`.
struct RunRule: Sendable {
  enum Leading { case none, space, whiteSpace }

  var leading = Leading.none
  var set: CharacterSet
  var minimum = 1
  var maximum = Int.max

  func match(in text: WellFormedText, from position: Int, to end: Int) -> Range<Int>? {
    var at = position
    while at < end {
      let byte = text.base[at]
      let (classes, length) = text.classes(at: at)
      let mayLead = leading == .whiteSpace && classes == .space || leading == .space && byte == 0x20
      if mayLead, let runEnd = runEnd(text, at + length, end) { return at..<runEnd }
      if let runEnd = runEnd(text, at, end) { return at..<runEnd }
      at += length
    }
    return nil
  }

  @inline(__always)
  private func runEnd(_ text: WellFormedText, _ position: Int, _ end: Int) -> Int? {
    var at = position
    var count = 0
    while at < end, count < maximum {
      let (code, length) = text.character(at: at)
      if !set.contains(code, text.classes(of: code)) { break }
      at += length
      count += 1
    }
    return count >= minimum ? at : nil
  }
}
