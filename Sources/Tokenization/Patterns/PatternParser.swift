// Reads regular expressions in the syntax of Oniguruma as far as tokenizers use it.

/// A regular expression as a tree.
indirect enum PatternNode {
  case empty
  case set(ScalarSet)
  case sequence([PatternNode])
  case alternatives([PatternNode])
  case loop(PatternNode, minimum: Int, maximum: Int, Greed)
  case atomic(PatternNode)
  case look(PatternNode, isAhead: Bool, isNegated: Bool)
  case textStart, textEnd, lastLineEnd, lineStart, lineEnd
  case wordBoundary(isNegated: Bool)

  enum Greed { case greedy, lazy, possessive }

  /// Whether this may match no characters.
  var mayBeEmpty: Bool {
    switch self {
    case .set: false
    case .sequence(let parts): parts.allSatisfy(\.mayBeEmpty)
    case .alternatives(let parts): parts.contains(where: \.mayBeEmpty)
    case .loop(let body, let minimum, _, _): minimum == 0 || body.mayBeEmpty
    case .atomic(let body): body.mayBeEmpty
    default: true
    }
  }

  /// The number of characters of every match; nil if it varies.
  var width: Int? {
    switch self {
    case .set: return 1
    case .sequence(let parts):
      return parts.reduce(0 as Int?) { sum, part in
        guard let sum, let width = part.width else { return nil }
        return sum + width
      }
    case .alternatives(let parts):
      let widths = Set(parts.map(\.width))
      return widths.count == 1 ? widths.first ?? nil : nil
    case .loop(let body, let minimum, let maximum, _):
      guard minimum == maximum, let width = body.width else { return nil }
      return width * minimum
    case .atomic(let body): return body.width
    default: return 0
    }
  }
}

/// Why a regular expression cannot be used.
struct PatternError: Error {
  let message: String
}

struct PatternParser {
  private static let depthLimit = 50

  private let scalars: [Unicode.Scalar]
  private var at = 0
  private var ignoresCase = false
  private var depth = 0

  init(_ pattern: String) { scalars = Array(pattern.unicodeScalars) }

  mutating func parse() throws(PatternError) -> PatternNode {
    let node = try alternatives()
    guard at == scalars.count else { throw error("unexpected ')'") }
    return node
  }

  private func error(_ message: String) -> PatternError { PatternError(message: "\(message) at character \(at)") }

  private var next: Unicode.Scalar? { at < scalars.count ? scalars[at] : nil }

  private func follows(_ text: String) -> Bool { scalars[at...].starts(with: text.unicodeScalars) }

  private mutating func take(_ text: String) -> Bool {
    guard follows(text) else { return false }
    at += text.unicodeScalars.count
    return true
  }

  private mutating func alternatives() throws(PatternError) -> PatternNode {
    depth += 1
    guard depth <= Self.depthLimit else { throw error("groups nested deeper than \(Self.depthLimit)") }
    defer { depth -= 1 }
    let ignoredCase = ignoresCase
    defer { ignoresCase = ignoredCase }
    var parts = [try sequence()]
    while take("|") { parts.append(try sequence()) }
    return parts.count == 1 ? parts[0] : .alternatives(parts)
  }

  private mutating func sequence() throws(PatternError) -> PatternNode {
    var parts: [PatternNode] = []
    while let scalar = next, scalar != "|", scalar != ")" {
      // `(?i)` holds to the end of its group, alternatives included.
      if take("(?i)") {
        ignoresCase = true
        continue
      }
      parts.append(try quantified(try atom()))
    }
    return parts.count == 1 ? parts[0] : .sequence(parts)
  }

  private mutating func quantified(_ atom: PatternNode) throws(PatternError) -> PatternNode {
    var node = atom
    while let scalar = next {
      var bounds: (minimum: Int, maximum: Int)
      var isInterval = false
      switch scalar {
      case "?": bounds = (0, 1)
      case "*": bounds = (0, .max)
      case "+": bounds = (1, .max)
      case "{":
        guard let interval = interval() else { return node }
        bounds = interval
        isInterval = true
      default: return node
      }
      guard bounds.minimum <= 1000, bounds.maximum == .max || bounds.maximum <= 1000 else {
        throw error("a repetition of more than 1000")
      }
      guard bounds.minimum <= bounds.maximum else { throw error("a repetition that ends before it starts") }
      if !isInterval { at += 1 }
      var greed = PatternNode.Greed.greedy
      if take("?") { greed = .lazy } else if !isInterval, take("+") { greed = .possessive }
      if node.mayBeEmpty, bounds.maximum == .max { throw error("an endless repetition of what may be empty") }
      node = .loop(node, minimum: bounds.minimum, maximum: bounds.maximum, greed)
    }
    return node
  }

  /// `{2}`, `{2,}`, `{,3}` or `{2,3}`; anything else in braces is itself.
  private mutating func interval() -> (minimum: Int, maximum: Int)? {
    guard let end = scalars[at...].firstIndex(of: "}") else { return nil }
    let inside = String(String.UnicodeScalarView(scalars[at + 1..<end]))
    let numbers = inside.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
    guard numbers.count <= 2, inside.unicodeScalars.allSatisfy({ $0 == "," || ("0"..."9").contains($0) }),
      inside != "", inside != "," else { return nil }
    let minimum = Int(numbers[0]) ?? (numbers[0].isEmpty ? 0 : Int.max)
    let maximum = numbers.count == 1 ? minimum : numbers[1].isEmpty ? .max : Int(numbers[1]) ?? .max - 1
    at = end + 1
    return (minimum, maximum)
  }

  private mutating func atom() throws(PatternError) -> PatternNode {
    guard let scalar = next else { throw error("expected more") }
    switch scalar {
    case "(": return try group()
    case "[": return .set(try bracket())
    case ".":
      at += 1
      return .set(ScalarSet(0x0A).inverted)
    case "^":
      at += 1
      return .lineStart
    case "$":
      at += 1
      return .lineEnd
    case "\\": return try escape()
    case "*", "+", "?": throw error("nothing to repeat before '\(scalar)'")
    default:
      at += 1
      return .set(literal(scalar.value))
    }
  }

  private func literal(_ code: UInt32) -> ScalarSet {
    ignoresCase ? ScalarSet(code).caseInsensitive : ScalarSet(code)
  }

  private mutating func group() throws(PatternError) -> PatternNode {
    at += 1
    var make: (PatternNode) -> PatternNode = { $0 }
    let ignoredCase = ignoresCase
    defer { ignoresCase = ignoredCase }
    if take("?") {
      if take(":") {
      } else if take("i:") {
        ignoresCase = true
      } else if take("-i:") {
        ignoresCase = false
      } else if take(">") {
        make = { .atomic($0) }
      } else if take("=") {
        make = { .look($0, isAhead: true, isNegated: false) }
      } else if take("!") {
        make = { .look($0, isAhead: true, isNegated: true) }
      } else if take("<=") {
        make = { .look($0, isAhead: false, isNegated: false) }
      } else if take("<!") {
        make = { .look($0, isAhead: false, isNegated: true) }
      } else {
        throw error("expected one of (?: (?i: (?-i: (?> (?= (?! (?<= (?<! or a plain group")
      }
    }
    let body = try alternatives()
    guard take(")") else { throw error("expected ')'") }
    let node = make(body)
    if case .look(_, false, _) = node, body.width == nil { throw error("a look-behind whose length varies") }
    return node
  }

  private mutating func escape() throws(PatternError) -> PatternNode {
    at += 1
    switch next {
    case "A": at += 1; return .textStart
    case "z": at += 1; return .textEnd
    case "Z": at += 1; return .lastLineEnd
    case "b": at += 1; return .wordBoundary(isNegated: false)
    case "B": at += 1; return .wordBoundary(isNegated: true)
    default:
      at -= 1
      let (set, isLiteral) = try escapedSet()
      return .set(isLiteral && ignoresCase ? set.caseInsensitive : set)
    }
  }

  /// A backslash and what it makes of what follows, inside or outside of brackets.
  private mutating func escapedSet() throws(PatternError) -> (set: ScalarSet, isLiteral: Bool) {
    at += 1
    guard let scalar = next else { throw error("expected a character after '\\'") }
    at += 1
    switch scalar {
    case "s": return (.whiteSpace, false)
    case "S": return (ScalarSet.whiteSpace.inverted, false)
    case "d": return (.decimalDigits, false)
    case "D": return (ScalarSet.decimalDigits.inverted, false)
    case "w": return (.word, false)
    case "W": return (ScalarSet.word.inverted, false)
    case "h": return (.hexDigits, false)
    case "H": return (ScalarSet.hexDigits.inverted, false)
    case "n": return (ScalarSet(0x0A), true)
    case "r": return (ScalarSet(0x0D), true)
    case "t": return (ScalarSet(0x09), true)
    case "f": return (ScalarSet(0x0C), true)
    case "v": return (ScalarSet(0x0B), true)
    case "a": return (ScalarSet(0x07), true)
    case "e": return (ScalarSet(0x1B), true)
    case "0": return (ScalarSet(0x00), true)
    case "p", "P": return (try property(isNegated: scalar == "P"), false)
    case "x", "u": return (ScalarSet(try code(scalar)), true)
    case _ where scalar.isASCII && (("a"..."z").contains(scalar) || ("A"..."Z").contains(scalar)),
      "1"..."9":
      throw error("the escape '\\\(scalar)' is not supported")
    default: return (ScalarSet(scalar.value), true)
    }
  }

  private mutating func property(isNegated: Bool) throws(PatternError) -> ScalarSet {
    var name = ""
    if take("{") {
      while let scalar = next, scalar != "}" {
        name.unicodeScalars.append(scalar)
        at += 1
      }
      guard take("}") else { throw error("expected '}'") }
    } else if let scalar = next {
      name = String(scalar)
      at += 1
    }
    var isNegated = isNegated
    if name.hasPrefix("^") {
      name.removeFirst()
      isNegated.toggle()
    }
    guard let set = ScalarSet.property(name) else {
      let names = ScalarSet.propertyNames.joined(separator: ", ")
      throw error("unknown property '\(name.printable)'; supported: \(names)")
    }
    return isNegated ? set.inverted : set
  }

  private mutating func code(_ kind: Unicode.Scalar) throws(PatternError) -> UInt32 {
    let isBraced = take("{")
    let limit = isBraced ? 8 : kind == "x" ? 2 : 4
    var digits = ""
    while let scalar = next, scalar.properties.isASCIIHexDigit, digits.count < limit {
      digits.unicodeScalars.append(scalar)
      at += 1
    }
    guard let code = UInt32(digits, radix: 16), code <= 0x10FFFF, !isBraced || take("}") else {
      throw error("expected a code point in hexadecimal")
    }
    return code
  }

  private mutating func bracket() throws(PatternError) -> ScalarSet {
    at += 1
    depth += 1
    guard depth <= Self.depthLimit else { throw error("brackets nested deeper than \(Self.depthLimit)") }
    defer { depth -= 1 }
    let isNegated = take("^")
    var intersected: ScalarSet?
    var ranges: [ClosedRange<UInt32>] = []
    var isFirst = true
    while let scalar = next, scalar != "]" || isFirst {
      isFirst = false
      if take("&&") {
        let set = ScalarSet(ranges)
        intersected = intersected?.intersection(set) ?? set
        ranges = []
        continue
      }
      if take("[:") {
        ranges += try posixClass().ranges
        continue
      }
      if scalar == "[" {
        ranges += try bracket().ranges
        continue
      }
      let (set, isLiteral) = try member()
      // A hyphen between two characters makes a range; first, last or after a class it is itself.
      if isLiteral, follows("-"), at + 1 < scalars.count, scalars[at + 1] != "]", scalars[at + 1] != "[" {
        let start = at
        at += 1
        let (end, endsRange) = try member()
        if endsRange, let low = set.ranges.first?.lowerBound, let high = end.ranges.first?.lowerBound {
          guard low <= high else { throw error("a range that ends before it starts") }
          ranges.append(low...high)
          continue
        }
        at = start
      }
      ranges += set.ranges
    }
    guard take("]") else { throw error("expected ']'") }
    var set = ScalarSet(ranges)
    if let intersected { set = intersected.intersection(set) }
    if ignoresCase { set = set.caseInsensitive }
    return isNegated ? set.inverted : set
  }

  private mutating func member() throws(PatternError) -> (set: ScalarSet, isLiteral: Bool) {
    guard let scalar = next else { throw error("expected ']'") }
    if scalar == "\\" {
      if follows("\\b") {
        at += 2
        return (ScalarSet(0x08), true)
      }
      return try escapedSet()
    }
    at += 1
    return (ScalarSet(scalar.value), true)
  }

  private mutating func posixClass() throws(PatternError) -> ScalarSet {
    let classes: [(String, ScalarSet)] = [
      ("alpha:]", .letters), ("digit:]", .decimalDigits), ("space:]", .whiteSpace),
      ("alnum:]", ScalarSet.letters.union(.decimalDigits)), ("punct:]", ScalarSet.property("P") ?? ScalarSet()),
      ("xdigit:]", .hexDigits), ("word:]", .word),
    ]
    let isNegated = take("^")
    for (name, set) in classes where take(name) { return isNegated ? set.inverted : set }
    throw error("expected one of [:alpha:] [:digit:] [:space:] [:alnum:] [:punct:] [:xdigit:] [:word:]")
  }
}
