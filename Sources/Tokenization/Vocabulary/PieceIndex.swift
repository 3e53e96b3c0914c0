// From a spelling to its id: one flat open-addressing table over the packed bytes of the vocabulary.

/// The pieces of a vocabulary and where to find each by its bytes. Empty pieces have an id but cannot be found.
struct PieceIndex: Sendable {
  let pieces: PackedStrings
  /// Hash tag in the high half, id + 1 in the low half, 0 where empty.
  private let slots: FlatTable<UInt64>
  private let hash = ByteHash.shared
  let longestPiece: Int

  /// - Throws: `TokenizerError` for no pieces, more than `limit`, one longer than `byteLimit`, or two spelled alike.
  init(_ pieces: PackedStrings, limit: Int = 1 << 24, byteLimit: Int = 4096) throws {
    guard !pieces.isEmpty else { throw TokenizerError.emptyVocabulary }
    guard pieces.count <= limit else { throw TokenizerError.tooManyPieces(pieces.count, limit: limit) }
    let capacity = tableCapacity(for: pieces.count)
    let table = FlatTable<UInt64>(repeating: 0, count: capacity)
    let hash = hash
    longestPiece = try pieces.withUnsafePieces { view in
      var longest = 0
      for id in 0..<view.count {
        let length = view.length(of: id)
        if length == 0 { continue }
        guard length <= byteLimit else {
          throw TokenizerError.pieceTooLong(id: Int32(id), bytes: length, limit: byteLimit)
        }
        longest = max(longest, length)
        let code = hash(view.start(of: id), length)
        let tag = code >> 32
        var slot = Int(truncatingIfNeeded: code) & (capacity - 1)
        while table.start[slot] != 0 {
          let entry = table.start[slot]
          let other = Int(entry & 0xFFFF_FFFF) - 1
          if entry >> 32 == tag, view.matches(other, view.start(of: id), length) {
            throw TokenizerError.duplicatePiece(pieces.string(at: id), first: Int32(other), second: Int32(id))
          }
          slot = (slot + 1) & (capacity - 1)
        }
        table.start[slot] = tag << 32 | UInt64(id + 1)
      }
      return longest
    }
    self.pieces = pieces
    slots = table
  }

  /// The table and the bytes as pointers, valid within `body`.
  @inline(__always)
  func withUnsafeView<Result>(_ body: (View) throws -> Result) rethrows -> Result {
    try pieces.withUnsafePieces { pieces in
      try body(View(pieces: pieces, slots: slots.start, mask: slots.count - 1, longest: longestPiece, hash: hash))
    }
  }

  /// The id of the piece spelled exactly so.
  func id(of spelling: some Collection<UInt8>) -> Int32? {
    let bytes = Array(spelling)
    let id = withUnsafeView { view in
      bytes.withUnsafeBufferPointer { bytes in bytes.baseAddress.map { view.id($0, bytes.count) } ?? -1 }
    }
    return id < 0 ? nil : id
  }

  struct View {
    let pieces: PackedStrings.View
    fileprivate let slots: UnsafePointer<UInt64>
    fileprivate let mask: Int
    let longest: Int
    fileprivate let hash: ByteHash

    fileprivate init(
      pieces: PackedStrings.View, slots: UnsafeMutablePointer<UInt64>, mask: Int, longest: Int, hash: ByteHash
    ) {
      self.pieces = pieces
      self.slots = UnsafePointer(slots)
      self.mask = mask
      self.longest = longest
      self.hash = hash
    }

    /// The id of the piece with these bytes, or -1.
    @inline(__always)
    func id(_ start: UnsafePointer<UInt8>, _ length: Int) -> Int32 {
      if length == 0 || length > longest { return -1 }
      let code = hash(start, length)
      let tag = code >> 32
      var slot = Int(truncatingIfNeeded: code) & mask
      while true {
        let entry = slots[slot]
        if entry == 0 { return -1 }
        if entry >> 32 == tag {
          let id = Int(entry & 0xFFFF_FFFF) - 1
          if pieces.matches(id, start, length) { return Int32(truncatingIfNeeded: id) }
        }
        slot = (slot + 1) & mask
      }
    }
  }
}
