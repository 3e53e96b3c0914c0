// The merges of a byte-level vocabulary, from pairs of spellings to pairs of ids.

/// Looks up what two neighbouring tokens merge into; the priority is the position in the list of merges.
struct MergeTable: MergeRule, Sendable {
  private struct Slot: BitwiseCopyable {
    var pair: UInt64
    var priority: UInt32
    var id: Int32
  }

  private static let free = UInt64.max
  private let slots: FlatTable<Slot>
  private let hash = ByteHash.shared

  /// - Throws: `TokenizerError.malformedMerge` where a merge is not two pieces whose concatenation is a piece.
  ///
  /// - Parameters:
  ///   - spaces: where in each merge the space is that separates its parts; nil for the first one there is.
  ///   - droppedPrefix: how many bytes of the second part are a mark that the result does not have.
  init(_ merges: PackedStrings, spaces: [Int32]? = nil, droppedPrefix: Int = 0, index: PieceIndex) throws {
    let capacity = tableCapacity(for: merges.count)
    let slots = FlatTable(repeating: Slot(pair: Self.free, priority: noMerge, id: -1), count: capacity)
    self.slots = slots
    let hash = hash
    var scratch: [UInt8] = []
    scratch.reserveCapacity(2 * index.longestPiece)
    try merges.withUnsafePieces { merges in
      try index.withUnsafeView { view in
        var lastMerged: Int32 = -1
        for number in 0..<merges.count {
          let start = merges.start(of: number)
          let length = merges.length(of: number)
          func fail(_ reason: String) -> TokenizerError {
            let text = String(decoding: UnsafeBufferPointer(start: start, count: length), as: UTF8.self)
            return .malformedMerge(index: number, text, reason: reason)
          }
          // The space that separates is the first after the first byte, which may itself be a space.
          var space = 1
          if let spaces {
            space = Int(spaces[number])
          } else {
            while space < length, start[space] != 0x20 { space += 1 }
          }
          guard space > 0, space + 1 + droppedPrefix < length else {
            throw fail("expected two pieces with a space between")
          }
          let left = view.id(start, space)
          let right = view.id(start + space + 1, length - space - 1)
          guard left >= 0, right >= 0 else { throw fail("its parts are not in the vocabulary") }
          let tail = start + space + 1 + droppedPrefix
          let tailLength = length - space - 1 - droppedPrefix

          // Most vocabularies list pieces in the order of their merges.
          var merged = lastMerged + 1
          if !view.pieces.matches(Int(merged), start, space, tail, tailLength) {
            scratch.removeAll(keepingCapacity: true)
            scratch.append(contentsOf: UnsafeBufferPointer(start: start, count: space))
            scratch.append(contentsOf: UnsafeBufferPointer(start: tail, count: tailLength))
            merged = scratch.withUnsafeBufferPointer { joined in
              joined.baseAddress.map { view.id($0, joined.count) } ?? -1
            }
          }
          guard merged >= 0 else { throw fail("its result is not in the vocabulary") }
          lastMerged = merged

          let pair = UInt64(UInt32(bitPattern: left)) << 32 | UInt64(UInt32(bitPattern: right))
          var slot = Int(truncatingIfNeeded: hash(pair)) & (capacity - 1)
          while slots.start[slot].pair != Self.free, slots.start[slot].pair != pair {
            slot = (slot + 1) & (capacity - 1)
          }
          if slots.start[slot].pair == pair { continue }  // said before, and then more urgently
          slots.start[slot] = Slot(pair: pair, priority: UInt32(truncatingIfNeeded: number), id: merged)
        }
      }
    }
  }

  @inline(__always)
  func merge(left: Int32, right: Int32, start: Int, length: Int) -> (priority: UInt32, id: Int32) {
    guard left >= 0, right >= 0 else { return (noMerge, -1) }
    let pair = UInt64(UInt32(bitPattern: left)) << 32 | UInt64(UInt32(bitPattern: right))
    var slot = Int(truncatingIfNeeded: hash(pair)) & (slots.count - 1)
    while true {
      let entry = slots.start[slot]
      if entry.pair == pair { return (entry.priority, entry.id) }
      if entry.pair == Self.free { return (noMerge, -1) }
      slot = (slot + 1) & (slots.count - 1)
    }
  }
}
