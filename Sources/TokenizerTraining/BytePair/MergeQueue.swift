// The next merge is the most frequent pair; counts only seldom rise, so entries are corrected when they come up.

/// A place where a pair may be merged: how often it was there when the entry was made, and in which words.
struct MergeCandidate: BitwiseCopyable {
  var count: Int
  var pair: Pair
  /// The words' numbers, as a range of a list of all places.
  var start: Int
  var length: UInt32
  /// The pair's number in the counts.
  var index: UInt32

  /// The order of Hugging Face's trainer: more frequent first, then smaller ids.
  @inline(__always)
  func precedes(_ other: MergeCandidate) -> Bool {
    count != other.count ? count > other.count : pair < other.pair
  }
}

/// A heap with eight children per node, since far more is pushed than popped.
struct MergeQueue {
  private var heap: [MergeCandidate] = []

  @inline(__always)
  mutating func push(_ candidate: MergeCandidate) {
    heap.append(candidate)
    var child = heap.count - 1
    while child > 0 {
      let parent = (child - 1) >> 3
      if !candidate.precedes(heap[parent]) { break }
      heap[child] = heap[parent]
      child = parent
    }
    heap[child] = candidate
  }

  mutating func pop() -> MergeCandidate? {
    guard let last = heap.popLast() else { return nil }
    guard let top = heap.first else { return last }
    var parent = 0
    while true {
      let children = parent * 8 + 1
      if children >= heap.count { break }
      var best = children
      for child in children + 1..<max(children + 1, min(children + 8, heap.count))
      where heap[child].precedes(heap[best]) {
        best = child
      }
      if !heap[best].precedes(last) { break }
      heap[parent] = heap[best]
      parent = best
    }
    heap[parent] = last
    return top
  }
}
