// All pieces that begin at a place in the text, in one walk.

/// A trie over the bytes of pieces, as one flat hash table of edges.
struct ByteTrie: Sendable {
  private struct Edge: BitwiseCopyable {
    /// Parent node << 8 | byte, plus one; zero where empty.
    var key: UInt64 = 0
    var node: Int32 = 0
    /// The piece that ends here, or -1.
    var id: Int32 = -1
  }

  private let edges: FlatTable<Edge>

  /// - Parameter ids: the pieces to hold; empty ones are left out.
  init(_ pieces: PackedStrings, ids: some Sequence<Int>) {
    let ids = ids.filter { pieces.offsets[$0] < pieces.offsets[$0 + 1] }
    // No more edges than bytes; sorting would tell how many fewer, at a cost.
    let byteCount = ids.reduce(0) { $0 + pieces.offsets[$1 + 1] - pieces.offsets[$1] }
    let edges = FlatTable(repeating: Edge(), count: tableCapacity(for: byteCount))
    let hash = ByteHash.shared
    let mask = edges.count - 1
    var nodes: Int32 = 0
    pieces.withUnsafePieces { view in
      for id in ids {
        let piece = view.start(of: id)
        let length = view.length(of: id)
        var node: Int32 = 0
        for at in 0..<length {
          let key = Self.key(node, piece[at])
          var slot = Int(truncatingIfNeeded: hash(key)) & mask
          while edges.start[slot].key != 0, edges.start[slot].key != key { slot = (slot + 1) & mask }
          if edges.start[slot].key == 0 {
            nodes += 1
            edges.start[slot] = Edge(key: key, node: nodes, id: -1)
          }
          if at == length - 1 { edges.start[slot].id = Int32(truncatingIfNeeded: id) }
          node = edges.start[slot].node
        }
      }
    }
    self.edges = edges
  }

  @inline(__always)
  private static func key(_ node: Int32, _ byte: UInt8) -> UInt64 {
    (UInt64(UInt32(bitPattern: node)) << 8 | UInt64(byte)) + 1
  }

  /// The root, from which all pieces go out.
  static let root: Int32 = 0

  /// Where all pieces go on that begin with `prefix`; nil if there are none.
  func node(after prefix: [UInt8]) -> Int32? {
    var node = Self.root
    for byte in prefix {
      let key = Self.key(node, byte)
      var slot = Int(truncatingIfNeeded: ByteHash.shared(key)) & (edges.count - 1)
      while edges.start[slot].key != key {
        if edges.start[slot].key == 0 { return nil }
        slot = (slot + 1) & (edges.count - 1)
      }
      node = edges.start[slot].node
    }
    return node
  }

  /// Calls `body` with each piece with which the bytes from `start` to `end` begin, shorter ones first, and its end.
  /// - Parameter first: the node from which pieces go out.
  @inline(__always)
  func forEachPrefix(
    _ bytes: UnsafePointer<UInt8>, _ start: Int, _ end: Int, from first: Int32 = root, _ body: (Int32, Int) -> Void
  ) {
    let hash = ByteHash.shared
    let mask = edges.count - 1
    var node = first
    var at = start
    while at < end {
      let key = Self.key(node, bytes[at])
      var slot = Int(truncatingIfNeeded: hash(key)) & mask
      while edges.start[slot].key != key {
        if edges.start[slot].key == 0 { return }
        slot = (slot + 1) & mask
      }
      let edge = edges.start[slot]
      at += 1
      if edge.id >= 0 { body(edge.id, at) }
      node = edge.node
    }
  }
}
