// Byte-level tokenizers first cut text into words, each in its own way; this runs the cuts that a name stands for.

/// Cuts text into the words within which merges happen.
package struct PreTokenizer: Sendable {
  enum Stage: Sendable {
    case words(WordRule)
    case runs(RunRule)
    /// `\s+$`.
    case finalSpaces
    case expression(Pattern)
  }

  /// Each stage cuts every piece that the one before it left.
  let stages: [Stage]
  /// A word that is itself in the vocabulary is one token, whatever the merges say.
  var ignoresMerges = false
  var addsBeginningOfSequence = false

  /// Calls `body` with the bounds of each word in order; the words cover the text.
  @inline(__always)
  package func forEachWord(in text: WellFormedText, _ body: (Int, Int) -> Void) {
    cut(text, 0, text.count, stage: 0, body)
  }

  private func cut(_ text: WellFormedText, _ start: Int, _ end: Int, stage: Int, _ body: (Int, Int) -> Void) {
    guard stage < stages.count else { return body(start, end) }
    let isLast = stage + 1 == stages.count
    func emit(_ start: Int, _ end: Int) {
      if isLast { body(start, end) } else { cut(text, start, end, stage: stage + 1, body) }
    }
    var gap = start
    Self.forEachMatch(of: stages[stage], in: text, start, end) { matchStart, matchEnd in
      if gap < matchStart { emit(gap, matchStart) }
      if matchStart < matchEnd { emit(matchStart, matchEnd) }
      gap = matchEnd
    }
    if gap < end { emit(gap, end) }
  }

  /// Calls `body` with the bounds of each match of one stage in order.
  @inline(__always)
  static func forEachMatch(
    of stage: Stage, in text: WellFormedText, _ start: Int, _ end: Int, _ body: (Int, Int) -> Void
  ) {
    var at = start
    switch stage {
    case .words(let rule):
      while at < end {
        let matchEnd = rule.matchEnd(in: text, from: at, to: end)
        if matchEnd == at {
          at += text.character(at: at).length
        } else {
          body(at, matchEnd)
          at = matchEnd
        }
      }
    case .runs(let rule):
      while let found = rule.match(in: text, from: at, to: end) {
        body(found.lowerBound, found.upperBound)
        at = found.upperBound
      }
    case .finalSpaces:
      if let found = finalSpaces(in: text, from: at, to: end) { body(found.lowerBound, found.upperBound) }
    case .expression(let pattern):
      pattern.forEachMatch(in: UnsafeBufferPointer(start: text.base, count: text.count), start..<end, body)
    }
  }

  private static func finalSpaces(in text: WellFormedText, from start: Int, to end: Int) -> Range<Int>? {
    var first = end
    while first > start {
      var character = first - 1
      while character > start, text.base[character] & 0xC0 == 0x80 { character -= 1 }
      if text.classes(at: character).classes != .space { break }
      first = character
    }
    return first < end ? first..<end : nil
  }
}
