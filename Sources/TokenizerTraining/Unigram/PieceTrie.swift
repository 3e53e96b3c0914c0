// Finds all pieces that begin at a place of the text.

/// A prefix tree of pieces, with its edges in one hash table.
struct PieceTrie: Sendable {
  private struct Slot: BitwiseCopyable {
    /// The node in the upper half and the character in the lower one; no edge leads away from node `UInt32.max`.
    var edge = UInt64.max
    var node: UInt32 = 0
    var piece: Int32 = -1
  }

  private var slots: [Slot]
  private var nodeCount: UInt32 = 1

  init(_ pieces: [Piece], of text: UnigramText) {
    var characters = 16
    for piece in pieces { characters += piece.length }
    var capacity = 32
    while capacity < characters * 2 { capacity *= 2 }
    // Most edges are shared: start small.
    capacity = max(32, capacity / 4)
    slots = Array(repeating: Slot(), count: capacity)
    for (number, piece) in pieces.enumerated() { add(text.characters[piece.range], number) }
  }

  private mutating func add(_ characters: ArraySlice<UInt32>, _ number: Int) {
    var node: UInt32 = 0, slot = 0
    for character in characters {
      slot = place(node, character)
      if slots[slot].edge == .max {
        slots[slot] = Slot(edge: UInt64(node) << 32 | UInt64(character), node: nodeCount)
        nodeCount += 1
        if Int(nodeCount) > slots.count / 2 {
          grow()
          slot = place(node, character)
        }
      }
      node = slots[slot].node
    }
    if !characters.isEmpty { slots[slot].piece = Int32(truncatingIfNeeded: number) }
  }

  @inline(__always)
  private func place(_ node: UInt32, _ character: UInt32) -> Int {
    let edge = UInt64(node) << 32 | UInt64(character)
    var slot = Int(truncatingIfNeeded: (edge &* 0x9E37_79B9_7F4A_7C15) >> 20) & (slots.count - 1)
    while slots[slot].edge != edge, slots[slot].edge != .max { slot = (slot + 1) & (slots.count - 1) }
    return slot
  }

  private mutating func grow() {
    let old = slots
    slots = Array(repeating: Slot(), count: old.count * 2)
    for content in old where content.edge != .max {
      slots[place(UInt32(truncatingIfNeeded: content.edge >> 32), UInt32(truncatingIfNeeded: content.edge))] = content
    }
  }

  /// The node that `character` leads to, and the piece that ends there; nil if no piece goes on so.
  @inline(__always)
  func step(_ node: UInt32, _ character: UInt32) -> (node: UInt32, piece: Int32)? {
    let slot = slots[place(node, character)]
    return slot.edge == .max ? nil : (slot.node, slot.piece)
  }
}
