// All ways of cutting a word into pieces: how likely each piece is among them, and which way is best.
#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// The pieces and what they cost, for a pass over the words.
struct UnigramModel: Sendable {
  /// The number of what stands for a character that is no piece any more.
  static let unknown = -1
  /// How much less likely that is than the least likely piece (SentencePiece's `kUnkPenalty`).
  private static let unknownPenalty = 10.0

  let pieces: [Piece]
  let trie: PieceTrie
  let leastScore: Double
  var unknownScore: Double { leastScore - Self.unknownPenalty }

  init(_ pieces: [Piece], of text: UnigramText) {
    self.pieces = pieces
    trie = PieceTrie(pieces, of: text)
    leastScore = pieces.lazy.map(\.score).min() ?? 0
  }
}

/// Room for the lattice of one word after another.
struct Lattice {
  private struct Edge: BitwiseCopyable {
    var start: Int32
    var end: Int32
    var piece: Int32
    var score: Double
  }

  /// A sum of exponentials, kept as its logarithm relative to the greatest.
  private struct LogSum: BitwiseCopyable {
    var greatest = -Double.infinity
    var sum = 0.0

    @inline(__always)
    mutating func add(_ value: Double) {
      if value <= greatest {
        sum += exp(value - greatest)
      } else {
        sum = sum * exp(greatest - value) + 1
        greatest = value
      }
    }

    var value: Double { greatest + log(sum) }
  }

  private var edges: [Edge] = []
  private var sums: [LogSum] = []
  private var before: [Double] = []
  private var after: [Double] = []
  private var best: [(score: Double, edge: Int)] = []
  private var length = 0

  /// Adds to `expected`, by piece, how often it is expected in `count` occurrences of the word.
  /// - Parameter unit: what one occurrence adds.
  mutating func expect(
    _ word: ArraySlice<UInt32>, _ model: UnigramModel, count: Int, unit: Double,
    into expected: UnsafeMutableBufferPointer<Int>
  ) {
    connect(word, model)
    sums.removeAll(keepingCapacity: true)
    sums.append(contentsOf: repeatElement(LogSum(), count: length + 1))
    sums[0].add(0)
    before.removeAll(keepingCapacity: true)
    before.append(contentsOf: repeatElement(-.infinity, count: length + 1))
    var place: Int32 = -1
    for edge in edges {
      if edge.start != place {
        place = edge.start
        before[Int(place)] = sums[Int(place)].value
      }
      sums[Int(edge.end)].add(before[Int(place)] + edge.score)
    }
    let total = sums[length].value
    for index in sums.indices { sums[index] = LogSum() }
    after.removeAll(keepingCapacity: true)
    after.append(contentsOf: repeatElement(-.infinity, count: length + 1))
    after[length] = 0
    let weight = Double(count) * unit
    for index in edges.indices.reversed() {
      let edge = edges[index], start = Int(edge.start)
      let value = edge.score + after[Int(edge.end)]
      sums[start].add(value)
      if index == 0 || edges[index - 1].start != edge.start { after[start] = sums[start].value }
      guard edge.piece >= 0 else { continue }
      expected[Int(edge.piece)] &+= Int((weight * exp(before[start] + value - total)).rounded())
    }
  }

  /// The pieces of the likeliest way, last first; a character that is no piece is ``UnigramModel/unknown``.
  /// - Parameter whole: whether the word may be one piece.
  mutating func bestPath(_ word: ArraySlice<UInt32>, _ model: UnigramModel, whole: Bool = true) -> [Int]? {
    connect(word, model)
    best.removeAll(keepingCapacity: true)
    best.append(contentsOf: repeatElement((score: -Double.infinity, edge: -1), count: length + 1))
    best[0].score = 0
    for (index, edge) in edges.enumerated() {
      if !whole, edge.start == 0, Int(edge.end) == length { continue }
      let score = best[Int(edge.start)].score + edge.score
      if score > best[Int(edge.end)].score { best[Int(edge.end)] = (score, index) }
    }
    var path: [Int] = []
    var at = length
    while at > 0 {
      guard best[at].edge >= 0 else { return nil }
      let edge = edges[best[at].edge]
      path.append(Int(edge.piece))
      at = Int(edge.start)
    }
    return path
  }

  /// Lists the pieces in the word, by their beginning; every character is one, known or not.
  private mutating func connect(_ word: ArraySlice<UInt32>, _ model: UnigramModel) {
    edges.removeAll(keepingCapacity: true)
    length = word.count
    for start in 0..<length {
      var node: UInt32 = 0
      var isKnown = false
      for end in start..<min(length, start + UnigramText.longestPiece) {
        guard let next = model.trie.step(node, word[word.startIndex + end]) else { break }
        node = next.node
        guard next.piece >= 0 else { continue }
        edges.append(Edge(
          start: Int32(start), end: Int32(end + 1), piece: next.piece, score: model.pieces[Int(next.piece)].score))
        if end == start { isKnown = true }
      }
      if !isKnown {
        edges.append(Edge(
          start: Int32(start), end: Int32(start + 1), piece: Int32(UnigramModel.unknown), score: model.unknownScore))
      }
    }
  }
}
