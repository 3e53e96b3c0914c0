// Unigram: of all ways to cut a word into pieces, the most likely one (Kudo, 2018).

/// Encodes words by the path of the highest sum of piece scores.
struct UnigramEncoder: WordEncoder {
  /// How much less likely an unknown character is than the least likely piece.
  private static let unknownPenalty = 10.0

  private let index: PieceIndex
  private let trie: ByteTrie
  private let scores: FlatTable<Double>
  private let unknown: Int32?
  private let unknownScore: Double
  /// The token of each byte; empty where unknown text does not fall back to bytes.
  private let byteTokens: [Int32]

  /// - Parameters:
  ///   - pieces: those that can be found in text; others are added tokens.
  ///   - leastScore: the score to which that of unknown text refers; nil for the least of all.
  ///   - unknown: nil where the vocabulary has none; what no piece spells is then lost.
  /// - Throws: `TokenizerError.invalidScore`, `countMismatch`.
  init(
    index: PieceIndex, scores: [Double], pieces: some Sequence<Int>, unknown: Int32?, fallsBackToBytes: Bool,
    leastScore: Double? = nil
  ) throws {
    guard scores.count == index.pieces.count else {
      throw TokenizerError.countMismatch(field: "scores", count: scores.count, expected: index.pieces.count)
    }
    let used = Array(pieces)
    self.index = index
    self.unknown = unknown
    self.scores = FlatTable(repeating: 0, count: scores.count)
    var least = Double.infinity
    for id in used {
      guard scores[id].isFinite else { throw TokenizerError.invalidScore(id: Int32(id)) }
      self.scores.start[id] = scores[id]
      least = min(least, scores[id])
    }
    unknownScore = (leastScore ?? (least.isFinite ? least : 0)) - Self.unknownPenalty
    trie = ByteTrie(index.pieces, ids: used)
    let byteTokens = (0..<256).map { index.id(of: ByteToken.spelling(of: UInt8($0))) ?? -1 }
    self.byteTokens = fallsBackToBytes ? byteTokens : []
  }

  /// Whether no piece has a mark after its first character and the mark is one itself, so that text may be cut before
  /// marks.
  static func encodesWordByWord(_ pieces: PackedStrings, _ kinds: [TokenKind]) -> Bool {
    let mark = SentencePieceEncoder.space
    var hasMark = false
    for (piece, kind) in zip(pieces, kinds) where kind == .normal || kind == .userDefined || kind == .unused {
      if piece.elementsEqual(mark) { hasMark = kind == .normal }
      let rest = piece.dropFirst(mark.count)
      if rest.indices.contains(where: { rest[$0...].starts(with: mark) }) { return false }
    }
    return hasMark
  }

  func encodeWord(
    _ word: UnsafePointer<UInt8>, _ length: Int, _ scratch: EncoderScratch, _ emit: (Int32, Int, Int) -> Void
  ) {
    var start = 0
    while start < length {
      var end = min(length, start + PathBuffer.limit)
      while end < length, word[end] & 0xC0 == 0x80 { end -= 1 }
      encodePart(word + start, end - start, scratch.paths) { emit($0, start + $1, start + $2) }
      start = end
    }
  }

  private func encodePart(
    _ word: UnsafePointer<UInt8>, _ length: Int, _ paths: PathBuffer, _ emit: (Int32, Int, Int) -> Void
  ) {
    let nodes = paths.nodes(length + 1)
    nodes[0] = PathBuffer.Node(score: 0, start: 0, id: -1)
    let none = unknown ?? -1
    var at = 0
    while at < length {
      let score = nodes[at].score
      let next = at + min(utf8Length(lead: word[at]), length - at)
      var hasCharacter = false
      trie.forEachPrefix(word, at, length) { id, end in
        let candidate = score + scores.start[Int(id)]
        if nodes[end].start < 0 || candidate > nodes[end].score {
          nodes[end] = PathBuffer.Node(score: candidate, start: Int32(truncatingIfNeeded: at), id: id)
        }
        if end == next { hasCharacter = true }
      }
      if !hasCharacter, nodes[next].start < 0 || score + unknownScore > nodes[next].score {
        nodes[next] = PathBuffer.Node(score: score + unknownScore, start: Int32(truncatingIfNeeded: at), id: none)
      }
      at = next
    }
    // Backwards along the best path; each node is then made to say where the next one ends.
    var end = length
    var following = -1
    while end > 0 {
      let start = Int(nodes[end].start)
      nodes[end].start = Int32(truncatingIfNeeded: following)
      following = end
      end = start
    }
    var start = 0
    var next = following
    while next >= 0 {
      var end = next
      let id = nodes[end].id
      next = Int(nodes[end].start)
      if id != none {
        emit(id, start, end)
      } else {
        // Unknown neighbours are one.
        while next >= 0, nodes[next].id == none {
          end = next
          next = Int(nodes[end].start)
        }
        emitUnknown(word, start, end, emit)
      }
      start = end
    }
  }

  private func emitUnknown(
    _ word: UnsafePointer<UInt8>, _ start: Int, _ end: Int, _ emit: (Int32, Int, Int) -> Void
  ) {
    let id = index.withUnsafeView { $0.id(word + start, end - start) }
    if id >= 0 { return emit(id, start, end) }
    if !byteTokens.isEmpty, (start..<end).allSatisfy({ byteTokens[Int(word[$0])] >= 0 }) {
      for at in start..<end { emit(byteTokens[Int(word[at])], start, end) }
    } else if let unknown {
      emit(unknown, start, end)
    }
  }
}

/// The best way to each place of a word. Not thread-safe.
final class PathBuffer {
  struct Node: BitwiseCopyable {
    var score: Double
    /// Where the last piece of the way starts; -1 where no way leads here.
    var start: Int32
    var id: Int32
  }

  /// Longer words are encoded in parts of so many bytes, so that memory stays bounded.
  static let limit = 1 << 22

  private var table = FlatTable(repeating: Node(score: 0, start: -1, id: -1), count: 256)

  var footprint: Int { table.count * MemoryLayout<Node>.stride }

  /// Room for `count` nodes to which no way leads.
  func nodes(_ count: Int) -> UnsafeMutablePointer<Node> {
    let none = Node(score: 0, start: -1, id: -1)
    if table.count < count {
      table = FlatTable(repeating: none, count: max(count, 2 * table.count))
    } else {
      table.start.update(repeating: none, count: count)
    }
    return table.start
  }
}
