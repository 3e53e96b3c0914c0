// Byte-pair merging in O(n log n), shared by both kinds of vocabulary: always the pair of highest priority, and of
// equals the leftmost.

/// Says which neighbouring symbols may merge, into what, and how urgently.
protocol MergeRule {
  /// The priority (lower merges first; `noMerge` for never) and token of the merge of two neighbours. The symbols have
  /// the ids `left` and `right` (-1 for none) and together are `length` bytes from `start`.
  func merge(left: Int32, right: Int32, start: Int, length: Int) -> (priority: UInt32, id: Int32)
}

/// The priority of a pair that does not merge.
let noMerge = UInt32.max

/// The symbols of one word as a linked list in flat memory, reused from word to word. Not thread-safe.
final class SymbolMerger {
  /// A longer stretch without a place to cut is merged in parts of this many symbols, so that memory stays bounded.
  static let symbolLimit = 1 << 24

  private var symbols: UnsafeMutablePointer<Symbol>
  private var capacity: Int
  private(set) var count = 0
  private var textEnd: Int32 = 0
  /// Candidates as `priority << 32 | left symbol`; stale ones are skipped when they surface.
  private var heap = MinimumHeap()

  init() {
    capacity = 256
    symbols = .allocate(capacity: capacity)
  }

  deinit { symbols.deallocate() }

  /// Bytes held, for those who keep mergers.
  var footprint: Int { capacity * MemoryLayout<Symbol>.stride + heap.capacity * MemoryLayout<UInt64>.stride }

  func removeAll() { count = 0 }

  /// Adds the symbol with token `id` (-1 for none) and `length` bytes, right after the one before.
  @inline(__always)
  func append(id: Int32, length: Int) {
    if count == capacity { grow() }
    let index = Int32(truncatingIfNeeded: count)
    let start = count == 0 ? 0 : textEnd
    symbols[count] = Symbol(start: start, id: id, previous: index - 1, next: index + 1, mergedID: -1, priority: noMerge)
    count += 1
    textEnd = start + Int32(truncatingIfNeeded: length)
  }

  private func grow() {
    let larger = UnsafeMutablePointer<Symbol>.allocate(capacity: capacity * 2)
    larger.moveInitialize(from: symbols, count: count)
    symbols.deallocate()
    symbols = larger
    capacity *= 2
  }

  /// Merges what can be merged and calls `body` with each remaining symbol's id, start and length in order. Starts count
  /// from the first symbol.
  @inline(__always)
  func merge(by rule: some MergeRule, _ body: (Int32, Int, Int) -> Void) {
    guard count > 0 else { return }
    // Locals, because every access to a field of a class is checked for exclusivity.
    let list = SymbolList(symbols: symbols, textEnd: textEnd)
    symbols[count - 1].next = -1
    if count > 1 {
      var heap = MinimumHeap()
      swap(&heap, &self.heap)
      list.merge(by: rule, count: count, &heap)
      swap(&heap, &self.heap)
    }
    var index: Int32 = 0
    while index >= 0 {
      let symbol = list.symbols[Int(index)]
      body(symbol.id, Int(symbol.start), Int(list.end(of: symbol) - symbol.start))
      index = symbol.next
    }
  }
}

private struct Symbol: BitwiseCopyable {
  var start: Int32
  var id: Int32
  var previous: Int32
  var next: Int32
  /// What becomes of this symbol and the next one.
  var mergedID: Int32
  var priority: UInt32
}

private struct SymbolList {
  let symbols: UnsafeMutablePointer<Symbol>
  let textEnd: Int32

  @inline(__always)
  func merge(by rule: some MergeRule, count: Int, _ heap: inout MinimumHeap) {
    heap.removeAll()
    for index in 0..<Int32(truncatingIfNeeded: count - 1) where evaluate(index, rule) {
      heap.appendUnordered(UInt64(symbols[Int(index)].priority) << 32 | UInt64(index))
    }
    heap.order()
    while let top = heap.popMinimum() {
      let left = Int32(truncatingIfNeeded: top & 0xFFFF_FFFF)
      let index = Int(left)
      guard UInt64(symbols[index].priority) == top >> 32 else { continue }
      let right = Int(symbols[index].next)
      symbols[index].id = symbols[index].mergedID
      symbols[index].next = symbols[right].next
      symbols[right].priority = noMerge
      if symbols[right].next >= 0 { symbols[Int(symbols[right].next)].previous = left }
      let previous = symbols[index].previous
      if previous >= 0, evaluate(previous, rule) {
        heap.push(UInt64(symbols[Int(previous)].priority) << 32 | UInt64(previous))
      }
      if evaluate(left, rule) { heap.push(UInt64(symbols[index].priority) << 32 | UInt64(left)) }
    }
  }

  @inline(__always)
  func end(of symbol: Symbol) -> Int32 { symbol.next >= 0 ? symbols[Int(symbol.next)].start : textEnd }

  /// Works out the merge of symbol `index` with the next, and says whether there is one.
  @inline(__always)
  private func evaluate(_ index: Int32, _ rule: some MergeRule) -> Bool {
    let left = symbols + Int(index)
    guard left.pointee.next >= 0 else {
      left.pointee.priority = noMerge
      return false
    }
    let right = symbols[Int(left.pointee.next)]
    let start = left.pointee.start
    let merge = rule.merge(
      left: left.pointee.id, right: right.id, start: Int(start), length: Int(end(of: right) - start))
    left.pointee.priority = merge.priority
    left.pointee.mergedID = merge.id
    return merge.priority != noMerge
  }
}
