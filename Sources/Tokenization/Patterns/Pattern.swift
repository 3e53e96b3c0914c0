// A small regular-expression matcher over UTF-8: tokenizers bring patterns that nobody has foreseen, and text that
// would hang a careless one.

/// A compiled regular expression. Alternatives are tried in order and repetitions are greedy unless they say otherwise,
/// as in Oniguruma and Perl. Groups do not capture.
struct Pattern: Sendable {
  fileprivate enum Instruction: Sendable {
    case set(Int)
    /// Characters of one set, as many as possible, given back one by one; possessive ones are not given back.
    case run(set: Int, minimum: Int, maximum: Int, isPossessive: Bool)
    case split(preferred: Int, other: Int)
    case jump(Int)
    /// The part up to `end` matches at once or not at all.
    case atomic(end: Int)
    case look(end: Int, back: Int?, isNegated: Bool)
    case textStart, textEnd, lastLineEnd, lineStart, lineEnd
    case wordBoundary(isNegated: Bool)
    case match
  }

  private static let instructionLimit = 20_000

  private var program: [Instruction] = []
  private var sets: [ScalarSet] = []
  /// The characters with which a match may begin; nil where it may be empty or begin with an assertion.
  private var first: ScalarSet?

  init(_ text: String) throws(PatternError) {
    var parser = PatternParser(text)
    let node = try parser.parse()
    first = Self.first(of: node)
    try compile(node)
    program.append(.match)
  }

  private static func first(of node: PatternNode) -> ScalarSet? {
    switch node {
    case .set(let set): return set
    case .alternatives(let parts):
      return parts.reduce(ScalarSet() as ScalarSet?) { all, part in
        guard let all, let set = first(of: part) else { return nil }
        return all.union(set)
      }
    case .sequence(let parts):
      var all = ScalarSet()
      for part in parts {
        if case .look = part { continue }
        if case .loop(let body, 0, _, _) = part, let set = first(of: body) {
          all = all.union(set)
          continue
        }
        guard !part.mayBeEmpty, let set = first(of: part) else { return nil }
        return all.union(set)
      }
      return nil
    case .loop(let body, let minimum, _, _): return minimum > 0 ? first(of: body) : nil
    case .atomic(let body): return first(of: body)
    default: return nil
    }
  }

  private mutating func add(_ instruction: Instruction) throws(PatternError) {
    guard program.count < Self.instructionLimit else {
      throw PatternError(message: "more than \(Self.instructionLimit) steps")
    }
    program.append(instruction)
  }

  private mutating func index(of set: ScalarSet) -> Int {
    if let index = sets.firstIndex(of: set) { return index }
    sets.append(set)
    return sets.count - 1
  }

  private mutating func compile(_ node: PatternNode) throws(PatternError) {
    switch node {
    case .empty: break
    case .set(let set): try add(.set(index(of: set)))
    case .sequence(let parts): for part in parts { try compile(part) }
    case .alternatives(let parts):
      var jumps: [Int] = []
      for (number, part) in parts.enumerated() {
        if number == parts.count - 1 {
          try compile(part)
        } else {
          let split = program.count
          try add(.match)
          try compile(part)
          jumps.append(program.count)
          try add(.match)
          program[split] = .split(preferred: split + 1, other: program.count)
        }
      }
      for jump in jumps { program[jump] = .jump(program.count) }
    case .loop(let body, let minimum, let maximum, let greed):
      try compileLoop(body, minimum, maximum, greed)
    case .atomic(let body):
      let start = program.count
      try add(.match)
      try compile(body)
      try add(.match)
      program[start] = .atomic(end: program.count)
    case .look(let body, let isAhead, let isNegated):
      let start = program.count
      try add(.match)
      try compile(body)
      try add(.match)
      program[start] = .look(end: program.count, back: isAhead ? nil : body.width ?? 0, isNegated: isNegated)
    case .textStart: try add(.textStart)
    case .textEnd: try add(.textEnd)
    case .lastLineEnd: try add(.lastLineEnd)
    case .lineStart: try add(.lineStart)
    case .lineEnd: try add(.lineEnd)
    case .wordBoundary(let isNegated): try add(.wordBoundary(isNegated: isNegated))
    }
  }

  private mutating func compileLoop(
    _ body: PatternNode, _ minimum: Int, _ maximum: Int, _ greed: PatternNode.Greed
  ) throws(PatternError) {
    if case .set(let set) = body, greed != .lazy {
      let isPossessive = greed == .possessive
      return try add(.run(set: index(of: set), minimum: minimum, maximum: maximum, isPossessive: isPossessive))
    }
    if greed == .possessive {
      return try compile(.atomic(.loop(body, minimum: minimum, maximum: maximum, .greedy)))
    }
    func split(_ inside: Int, _ outside: Int) -> Instruction {
      greed == .lazy ? .split(preferred: outside, other: inside) : .split(preferred: inside, other: outside)
    }
    for _ in 0..<minimum { try compile(body) }
    if maximum == .max {
      let start = program.count
      try add(.match)
      try compile(body)
      try add(.jump(start))
      program[start] = split(start + 1, program.count)
    } else {
      var splits: [Int] = []
      for _ in minimum..<maximum {
        splits.append(program.count)
        try add(.match)
        try compile(body)
      }
      for place in splits { program[place] = split(place + 1, program.count) }
    }
  }

  /// Calls `body` with the bounds of each match in `range` of UTF-8 text, in order. What lies outside of the range is
  /// not seen. A pattern that takes far longer than the text is long finds nothing more.
  func forEachMatch(
    in bytes: UnsafeBufferPointer<UInt8>, _ range: Range<Int>, _ body: (Int, Int) -> Void
  ) {
    var matcher = PatternMatcher(bytes: bytes, range: range)
    program.withUnsafeBufferPointer { program in
      sets.withUnsafeBufferPointer { sets in
        var at = range.lowerBound
        var lastEnd = -1
        while at <= range.upperBound {
          if let first {
            while at < range.upperBound {
              let (code, length) = scalar(in: bytes, at: at)
              if first.contains(code) { break }
              at += length
            }
            if at >= range.upperBound { return }
          }
          // An empty match right after another is none.
          if let end = matcher.match(program, sets, 0, at), end > at || end != lastEnd {
            body(at, end)
            lastEnd = end
            at = end
            continue
          }
          if matcher.isExhausted || at >= range.upperBound { return }
          at += scalar(in: bytes, at: at).length
        }
      }
    }
  }
}

private struct PatternMatcher {
  /// Where to go on when the present way fails. A run may be shortened down to `low`.
  private struct Choice {
    var step: Int
    var position: Int
    var low: Int
  }

  private let bytes: UnsafeBufferPointer<UInt8>
  private let start: Int
  private let end: Int
  private var choices: [Choice] = []
  /// Steps left; what is written by strangers may ask for exponentially many.
  private var budget: Int

  init(bytes: UnsafeBufferPointer<UInt8>, range: Range<Int>) {
    self.bytes = bytes
    start = range.lowerBound
    end = range.upperBound
    budget = 256 * (range.count + 1024)
  }

  var isExhausted: Bool { budget <= 0 }

  private func before(_ position: Int) -> Int {
    var at = position - 1
    while at > start, bytes[at] & 0xC0 == 0x80 { at -= 1 }
    return at
  }

  /// The end of the match that begins at `position`, running the program from `first` to the match that ends it.
  mutating func match(
    _ program: UnsafeBufferPointer<Pattern.Instruction>, _ sets: UnsafeBufferPointer<ScalarSet>, _ first: Int,
    _ position: Int
  ) -> Int? {
    let base = choices.count
    defer { choices.removeLast(choices.count - base) }
    var step = first
    var at = position
    while budget > 0 {
      budget -= 1
      var holds = true
      switch program[step] {
      case .match: return at
      case .set(let set):
        if at < end {
          let (code, length) = scalar(in: bytes, at: at)
          holds = sets[set].contains(code)
          at += length
        } else {
          holds = false
        }
        step += 1
      case .run(let set, let minimum, let maximum, let isPossessive):
        let runStart = at
        var count = 0
        var low = at
        while at < end, count < maximum {
          let (code, length) = scalar(in: bytes, at: at)
          if !sets[set].contains(code) { break }
          at += length
          count += 1
          if count == minimum { low = at }
        }
        budget -= count
        holds = count >= minimum
        if minimum == 0 { low = runStart }
        step += 1
        if holds, !isPossessive, at > low { choices.append(Choice(step: step, position: at, low: low)) }
      case .split(let preferred, let other):
        choices.append(Choice(step: other, position: at, low: -1))
        step = preferred
      case .jump(let target): step = target
      case .atomic(let after):
        if let matchEnd = match(program, sets, step + 1, at) { at = matchEnd } else { holds = false }
        step = after
      case .look(let after, let back, let isNegated):
        var from = at
        var isThere = true
        for _ in 0..<(back ?? 0) {
          if from == start { isThere = false } else { from = before(from) }
        }
        let found = isThere && match(program, sets, step + 1, from) != nil
        holds = found != isNegated
        step = after
      default:
        holds = assertion(program[step], at)
        step += 1
      }
      if holds { continue }
      guard choices.count > base, var choice = choices.popLast() else { return nil }
      if choice.low >= 0 {
        choice.position = before(choice.position)
        if choice.position > choice.low { choices.append(choice) }
      }
      step = choice.step
      at = choice.position
    }
    return nil
  }

  private func assertion(_ instruction: Pattern.Instruction, _ at: Int) -> Bool {
    switch instruction {
    case .textStart: at == start
    case .textEnd: at == end
    case .lastLineEnd: at == end || at == end - 1 && bytes[at] == 0x0A
    case .lineStart: at == start || bytes[at - 1] == 0x0A && at < end
    case .lineEnd: at == end || bytes[at] == 0x0A
    case .wordBoundary(let isNegated):
      (isWord(before: at) != (at < end && ScalarSet.word.contains(scalar(in: bytes, at: at).code))) != isNegated
    default: false
    }
  }

  private func isWord(before at: Int) -> Bool {
    at > start && ScalarSet.word.contains(scalar(in: bytes, at: before(at)).code)
  }
}
