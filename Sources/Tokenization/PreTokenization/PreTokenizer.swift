// Byte-level tokenizers first cut text into words, each in its own way; this runs the cuts that a name stands for.

/// Cuts text into the words within which merges happen.
package struct PreTokenizer: Sendable {
  enum Stage: Sendable {
    case words(WordRule)
    case runs(RunRule)
    /// `\s+$`.
    case finalSpaces
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
    var at = start
    var gap = start
    while at < end {
      let match: Range<Int>
      switch stages[stage] {
      case .words(let rule):
        let matchEnd = rule.matchEnd(in: text, from: at, to: end)
        if matchEnd == at {
          at += text.character(at: at).length
          continue
        }
        match = at..<matchEnd
      case .runs(let rule):
        guard let found = rule.match(in: text, from: at, to: end) else { return emitRest(gap, end, emit) }
        match = found
      case .finalSpaces:
        guard let found = Self.finalSpaces(in: text, from: at, to: end) else { return emitRest(gap, end, emit) }
        match = found
      }
      if gap < match.lowerBound { emit(gap, match.lowerBound) }
      emit(match.lowerBound, match.upperBound)
      at = match.upperBound
      gap = at
    }
    emitRest(gap, end, emit)
  }

  @inline(__always)
  private func emitRest(_ gap: Int, _ end: Int, _ emit: (Int, Int) -> Void) {
    if gap < end { emit(gap, end) }
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
