// What normalizers and pre-tokenizers look for in text.

/// Something that can be found in text.
enum TextPattern: Sendable {
  case literal([UInt8])
  /// Each character of these classes, or else each of these code points, alone.
  case characters(TextClasses, ScalarSet)
  /// Runs of word characters, and runs of what is neither word nor white space: `\w+|[^\w\s]+`.
  case wordRuns
  case expression(Pattern)
  /// An expression known well enough to have a scanner of its own.
  case rule(PreTokenizer.Stage)

  /// Calls `body` with the bounds of each match in `range` of UTF-8 text, in order.
  func forEachMatch(
    in bytes: UnsafeBufferPointer<UInt8>, _ range: Range<Int>, _ body: (Int, Int) -> Void
  ) {
    switch self {
    case .literal(let literal): Self.find(literal, in: bytes, range, body)
    case .characters(let classes, let set):
      var at = range.lowerBound
      while at < range.upperBound {
        let (code, length) = scalar(in: bytes, at: at)
        if !TextClasses(of: code).isDisjoint(with: classes) || set.contains(code) { body(at, at + length) }
        at += length
      }
    case .wordRuns:
      func kind(_ classes: TextClasses) -> TextClasses {
        classes.contains(.word) ? .word : classes.contains(.whiteSpace) ? .whiteSpace : .punctuation
      }
      var start = range.lowerBound
      var at = start
      var last = TextClasses.whiteSpace
      while at < range.upperBound {
        let (code, length) = scalar(in: bytes, at: at)
        let next = kind(TextClasses(of: code))
        if next != last {
          if last != .whiteSpace { body(start, at) }
          start = at
          last = next
        }
        at += length
      }
      if last != .whiteSpace, start < at { body(start, at) }
    case .expression(let pattern): pattern.forEachMatch(in: bytes, range, body)
    case .rule(let stage):
      guard let text = WellFormedText(wellFormed: bytes) else { return }
      PreTokenizer.forEachMatch(of: stage, in: text, range.lowerBound, range.upperBound, body)
    }
  }

  private static func find(
    _ literal: [UInt8], in bytes: UnsafeBufferPointer<UInt8>, _ range: Range<Int>, _ body: (Int, Int) -> Void
  ) {
    guard let first = literal.first else {
      // Nothing at all is found between any two characters.
      for at in range where bytes[at] & 0xC0 != 0x80 { body(at, at) }
      return
    }
    let count = literal.count
    var at = range.lowerBound
    while at + count <= range.upperBound {
      if bytes[at] == first, count == 1 || (1..<count).allSatisfy({ bytes[at + $0] == literal[$0] }) {
        body(at, at + count)
        at += count
      } else {
        at += 1
      }
    }
  }
}

extension TextPattern {
  /// The places that matches make in `range`: each match and each gap between them, in order, covering the range.
  func forEachPart(
    in bytes: UnsafeBufferPointer<UInt8>, _ range: Range<Int>, _ body: (Int, Int, _ isMatch: Bool) -> Void
  ) {
    var last = range.lowerBound
    forEachMatch(in: bytes, range) { start, end in
      if last < start { body(last, start, false) }
      body(start, end, true)
      last = end
    }
    if last < range.upperBound { body(last, range.upperBound, false) }
  }
}
