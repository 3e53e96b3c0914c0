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

  private struct Symbol: BitwiseCopyable {
    var start: Int
    var id: Int32
    var previous: Int32
    var next: Int32
    /// What becomes of this symbol and the next one.
    var mergedID: Int32
    var priority: UInt32
  }

  private var symbols: UnsafeMutablePointer<Symbol>
  private var capacity: Int
  private(set) var count = 0
  private var textEnd = 0
  /// Candidates as `priority << 32 | left symbol`: a binary heap whose stale entries are skipped when they surface.
  private var heap: [UInt64] = []

  init() {
    capacity = 256
    symbols = .allocate(capacity: capacity)
  }

  deinit { symbols.deallocate() }

  /// Bytes held, for those who keep mergers.
  var footprint: Int { capacity * MemoryLayout<Symbol>.stride + heap.capacity * 8 }

  func removeAll() { count = 0 }

  @inline(__always)
  func append(id: Int32, start: Int, length: Int) {
    if count == capacity { grow() }
    let index = Int32(truncatingIfNeeded: count)
    symbols[count] = Symbol(start: start, id: id, previous: index - 1, next: index + 1, mergedID: -1, priority: noMerge)
    count += 1
    textEnd = start + length
  }

  private func grow() {
    let larger = UnsafeMutablePointer<Symbol>.allocate(capacity: capacity * 2)
    larger.moveInitialize(from: symbols, count: count)
    symbols.deallocate()
    symbols = larger
    capacity *= 2
  }

  /// Merges what can be merged and calls `body` with each remaining symbol's id, start and length in order.
  @inline(__always)
  func merge(by rule: some MergeRule, _ body: (Int32, Int, Int) -> Void) {
    guard count > 0 else { return }
    symbols[count - 1].next = -1
    heap.removeAll(keepingCapacity: true)
    for index in 0..<Int32(truncatingIfNeeded: count - 1) where evaluate(index, rule) {
      heap.append(UInt64(symbols[Int(index)].priority) << 32 | UInt64(index))
    }
    for index in stride(from: heap.count / 2 - 1, through: 0, by: -1) { siftDown(index) }

    while let top = popMinimum() {
      let left = Int32(truncatingIfNeeded: top & 0xFFFF_FFFF)
      let index = Int(left)
      guard UInt64(symbols[index].priority) == top >> 32 else { continue }
      let right = Int(symbols[index].next)
      symbols[index].id = symbols[index].mergedID
      symbols[index].next = symbols[right].next
      symbols[right].priority = noMerge
      if symbols[right].next >= 0 { symbols[Int(symbols[right].next)].previous = left }
      let previous = symbols[index].previous
      if previous >= 0, evaluate(previous, rule) { push(previous) }
      if evaluate(left, rule) { push(left) }
    }

    var index: Int32 = 0
    while index >= 0 {
      let symbol = symbols[Int(index)]
      body(symbol.id, symbol.start, end(of: symbol) - symbol.start)
      index = symbol.next
    }
  }

  @inline(__always)
  private func end(of symbol: Symbol) -> Int { symbol.next >= 0 ? symbols[Int(symbol.next)].start : textEnd }

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
    let merge = rule.merge(left: left.pointee.id, right: right.id, start: start, length: end(of: right) - start)
    left.pointee.priority = merge.priority
    left.pointee.mergedID = merge.id
    return merge.priority != noMerge
  }

  @inline(__always)
  private func push(_ index: Int32) {
    let entry = UInt64(symbols[Int(index)].priority) << 32 | UInt64(index)
    heap.append(entry)
    heap.withUnsafeMutableBufferPointer { heap in
      var child = heap.count - 1
      while child > 0 {
        let parent = (child - 1) / 2
        if heap[parent] <= entry { break }
        heap[child] = heap[parent]
        child = parent
      }
      heap[child] = entry
    }
  }

  @inline(__always)
  private func popMinimum() -> UInt64? {
    guard let last = heap.popLast() else { return nil }
    guard let top = heap.first else { return last }
    heap[0] = last
    siftDown(0)
    return top
  }

  @inline(__always)
  private func siftDown(_ start: Int) {
    heap.withUnsafeMutableBufferPointer { heap in
      let entry = heap[start]
      var parent = start
      while true {
        var child = 2 * parent + 1
        if child >= heap.count { break }
        if child + 1 < heap.count, heap[child + 1] < heap[child] { child += 1 }
        if heap[child] >= entry { break }
        heap[parent] = heap[child]
        parent = child
      }
      heap[parent] = entry
    }
  }
}
