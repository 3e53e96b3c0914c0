// Finding special-token spellings in text before the text is tokenized.

/// Which special-token spellings in a text become their tokens. User-defined tokens always do.
public enum SpecialTokenParsing: Sendable, Equatable {
  /// Control and unknown tokens are plain text: for text from users.
  case none
  /// Every spelling counts: for text that the program wrote.
  case all
  /// Spellings that lie wholly inside one of these UTF-8 byte ranges count: for a rendered prompt that mixes both.
  case within([Range<Int>])
}

/// All special tokens of a vocabulary as a byte trie. The leftmost match wins, and of those the longest, as in Hugging
/// Face tokenizers; llama.cpp prefers the longest anywhere, which differs only where two spellings overlap.
struct SpecialTokens: Sendable {
  /// Bounds the work per byte of text, whatever the vocabulary.
  static let byteLimit = 512

  struct Match {
    let start: Int
    let end: Int
    let id: Int32
  }

  private struct Node: Sendable {
    var id: Int32 = -1
    var isUserDefined = false
  }

  private var nodes = [Node()]
  /// Key `node << 8 | byte` to the child node; open addressing, zero where empty since no edge leads to the root.
  private let edgeKeys: FlatTable<UInt64>
  private let edgeNodes: FlatTable<Int32>
  /// One bit for every pair of bytes with which a spelling may begin.
  private let openings: FlatTable<UInt64>
  private let hasUserDefined: Bool
  let isEmpty: Bool

  /// A spelling to look for.
  struct Entry {
    let spelling: ArraySlice<UInt8>
    let id: Int32
    /// Whether it counts even where control tokens are plain text.
    let isUserDefined: Bool
  }

  /// - Throws: `TokenizerError.pieceTooLong`.
  init(pieces: PackedStrings, kinds: [TokenKind]) throws {
    var entries: [Entry] = []
    for (id, kind) in kinds.enumerated() where kind == .control || kind == .userDefined || kind == .unknown {
      entries.append(Entry(spelling: pieces[id], id: Int32(id), isUserDefined: kind == .userDefined))
    }
    try self.init(entries)
  }

  /// - Throws: `TokenizerError.pieceTooLong`.
  init(_ entries: [Entry]) throws {
    let entries = entries.filter { !$0.spelling.isEmpty }
    var byteCount = 0
    for entry in entries {
      let length = entry.spelling.count
      guard length <= Self.byteLimit else {
        throw TokenizerError.pieceTooLong(id: entry.id, bytes: length, limit: Self.byteLimit)
      }
      byteCount += length
    }
    isEmpty = entries.isEmpty
    hasUserDefined = entries.contains(where: \.isUserDefined)
    openings = FlatTable(repeating: 0, count: 65536 / 64)
    let capacity = tableCapacity(for: byteCount)
    edgeKeys = FlatTable(repeating: 0, count: capacity)
    edgeNodes = FlatTable(repeating: 0, count: capacity)
    for entry in entries { insert(entry.spelling, id: entry.id, isUserDefined: entry.isUserDefined) }
  }

  private mutating func insert(_ piece: ArraySlice<UInt8>, id: Int32, isUserDefined: Bool) {
    var node = 0
    for byte in piece {
      let slot = slot(node: node, byte: byte)
      if edgeKeys.start[slot] == 0 {
        edgeKeys.start[slot] = Self.key(node: node, byte: byte)
        edgeNodes.start[slot] = Int32(nodes.count)
        nodes.append(Node())
      }
      node = Int(edgeNodes.start[slot])
    }
    nodes[node] = Node(id: id, isUserDefined: isUserDefined)
    let first = Int(piece[piece.startIndex])
    if piece.count == 1 {
      for word in first * 4..<first * 4 + 4 { openings.start[word] = ~0 }
    } else {
      let pair = first << 8 | Int(piece[piece.startIndex + 1])
      openings.start[pair >> 6] |= 1 << UInt64(pair & 63)
    }
  }

  @inline(__always)
  private static func key(node: Int, byte: UInt8) -> UInt64 { (UInt64(node) << 8 | UInt64(byte)) + 1 }

  /// Where the edge is, or the empty slot where it belongs.
  @inline(__always)
  private func slot(node: Int, byte: UInt8) -> Int {
    let key = Self.key(node: node, byte: byte)
    let mask = edgeKeys.count - 1
    var slot = Int(truncatingIfNeeded: ByteHash.shared(key)) & mask
    while edgeKeys.start[slot] != 0 && edgeKeys.start[slot] != key { slot = (slot + 1) & mask }
    return slot
  }

  /// The first match in `text` that starts at `from` or later.
  func next(in text: UnsafeBufferPointer<UInt8>, from: Int, parsing: AllowedRanges) -> Match? {
    guard !isEmpty, hasUserDefined || parsing.allowsAny, let base = text.baseAddress else { return nil }
    let end = text.count
    var start = from
    while start < end {
      let pair = Int(base[start]) << 8 | (start + 1 < end ? Int(base[start + 1]) : 0)
      let mayOpen = openings.start[pair >> 6] >> UInt64(pair & 63) & 1 != 0
      if mayOpen, let match = longest(base, start, end, parsing) { return match }
      start += 1
    }
    return nil
  }

  private func longest(
    _ base: UnsafePointer<UInt8>, _ start: Int, _ end: Int, _ parsing: AllowedRanges
  ) -> Match? {
    let limit = parsing.end(of: start)
    var match: Match?
    var node = 0
    var at = start
    while at < end {
      let edge = slot(node: node, byte: base[at])
      if edgeKeys.start[edge] == 0 { break }
      node = Int(edgeNodes.start[edge])
      at += 1
      let found = nodes[node]
      if found.id >= 0 && (found.isUserDefined || at <= limit) { match = Match(start: start, end: at, id: found.id) }
    }
    return match
  }
}

/// `SpecialTokenParsing` in the form that matching asks: up to where may a spelling that starts here reach?
struct AllowedRanges {
  private let ranges: [Range<Int>]
  var allowsAny: Bool { !ranges.isEmpty }

  init(_ parsing: SpecialTokenParsing) {
    switch parsing {
    case .none: ranges = []
    case .all: ranges = [0..<Int.max]
    case .within(let given): ranges = given.filter { !$0.isEmpty }.sorted { $0.lowerBound < $1.lowerBound }
    }
  }

  /// The end of the range around `position`, or 0 outside all ranges.
  func end(of position: Int) -> Int {
    var low = 0
    var high = ranges.count
    while low < high {
      let middle = (low + high) / 2
      if ranges[middle].lowerBound <= position { low = middle + 1 } else { high = middle }
    }
    guard low > 0, ranges[low - 1].contains(position) else { return 0 }
    return ranges[low - 1].upperBound
  }
}
