// The queue of merge candidates: a binary heap of integers that keeps its memory from word to word.

/// A minimum-first priority queue.
struct MinimumHeap {
  private var entries: [UInt64] = []

  var capacity: Int { entries.capacity }

  mutating func removeAll() { entries.removeAll(keepingCapacity: true) }

  /// Adds an entry; `order()` has to follow before the first `popMinimum()`.
  @inline(__always)
  mutating func appendUnordered(_ entry: UInt64) { entries.append(entry) }

  mutating func order() {
    for index in stride(from: entries.count / 2 - 1, through: 0, by: -1) { siftDown(index) }
  }

  @inline(__always)
  mutating func push(_ entry: UInt64) {
    entries.append(entry)
    entries.withUnsafeMutableBufferPointer { heap in
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
  mutating func popMinimum() -> UInt64? {
    guard let last = entries.popLast() else { return nil }
    guard let top = entries.first else { return last }
    entries[0] = last
    siftDown(0)
    return top
  }

  @inline(__always)
  private mutating func siftDown(_ start: Int) {
    entries.withUnsafeMutableBufferPointer { heap in
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
