// Languages break at tokens, not at bytes: text is cut into words and signs, and those are moved about.

/// A language's inputs: examples, and words that may stand anywhere in them.
struct TextMutator {
  /// The examples, cut into tokens.
  private let corpus: [[String]]
  private let dictionary: [String]

  init(corpus: [String], dictionary: [String], signs: [String]) {
    self.corpus = corpus.map { Self.tokens($0, signs: signs) }
    self.dictionary = dictionary
  }

  /// The first example, unchanged.
  var example: [UInt8] { corpus.first.map { Array($0.joined().utf8) } ?? [] }

  /// The first example with one or two of its numbers changed: still of the language, but of another meaning.
  func otherNumbers(_ random: inout SeededGenerator) -> [UInt8] {
    guard var tokens = corpus.first else { return [] }
    let places = tokens.indices.filter { tokens[$0].first?.isNumber == true }
    guard !places.isEmpty else { return input(&random) }
    for _ in 0...random.below(2) {
      tokens[random.pick(places)] = "\(random.chance(8) ? random.pick(edgeNumbers) : UInt64(random.below(20)))"
    }
    return Array(tokens.joined().utf8)
  }

  /// An example with a few changes.
  func input(_ random: inout SeededGenerator) -> [UInt8] {
    var tokens = random.pick(corpus)
    for _ in 0...random.below(random.chance(4) ? 12 : 2) { change(&tokens, &random) }
    var bytes = Array(tokens.joined().utf8.prefix(1 << 14))
    if random.chance(8) { bytes.damage(&random) }
    return bytes
  }

  private func change(_ tokens: inout [String], _ random: inout SeededGenerator) {
    guard !tokens.isEmpty else { return tokens.append(random.pick(dictionary)) }
    let place = random.below(tokens.count)
    switch random.below(11) {
    case 0, 1: tokens[place] = random.pick(dictionary)
    case 2, 3: tokens.insert(random.pick(dictionary), at: place)
    case 4: tokens.removeSubrange(random.range(in: tokens.count, atMost: 4))
    case 5: tokens.swapAt(place, random.below(tokens.count))
    case 6: tokens.insert(contentsOf: Array(tokens[random.range(in: tokens.count, atMost: 16)]), at: place)
    case 7:
      let other = random.pick(corpus)
      tokens.insert(contentsOf: other[random.range(in: other.count, atMost: 32)], at: place)
    case 8: if random.chance(4) { tokens.removeLast(tokens.count - place) }
    case 9:
      // Depth: one token, or a pair around another, many times over.
      let times = 1 + random.below(random.chance(4) ? 400 : 12)
      let (open, close) = random.pick([("(", ")"), ("[", "]"), ("{", "}"), (random.pick(dictionary), "")])
      tokens[place] = String(repeating: open, count: times) + tokens[place] + String(repeating: close, count: times)
    default: tokens[place] = random.pick(["\(random.pick(edgeNumbers))", "-\(random.pick(edgeNumbers))", "1e999", "\0"])
    }
  }

  /// Words, numbers, white space and signs; longer signs win.
  private static func tokens(_ text: String, signs: [String]) -> [String] {
    var tokens: [String] = [], rest = Substring(text)
    while let first = rest.first {
      let token: Substring
      if let sign = signs.first(where: { rest.hasPrefix($0) }) {
        token = rest.prefix(sign.count)
      } else if first.isLetter || first.isNumber || first == "_" {
        token = rest.prefix { $0.isLetter || $0.isNumber || $0 == "_" }
      } else if first.isWhitespace {
        token = rest.prefix(while: \.isWhitespace)
      } else {
        token = rest.prefix(1)
      }
      tokens.append(String(token))
      rest = rest.dropFirst(token.count)
    }
    return tokens
  }
}
