// A new order for each epoch, in which any place is found without going through those before it.
import Randomness
import Synchronization

/// The documents of an epoch, laid end to end.
struct EpochOrder: Sendable {
  private let segments: [Range<Int>]
  private let order: [Int]
  /// Where each of `order` ends in the epoch's stream.
  private let ends: [Int]
  /// The rows in the order in which they are used.
  let rows: [Int]

  /// - Parameter epoch: nil for documents and rows in their own order.
  init(_ segments: [Range<Int>], rowCount: Int, seed: UInt64, epoch: Int?) {
    var order = Array(segments.indices), rows = Array(0..<rowCount)
    if let epoch {
      var random = SeededGenerator(seed: seed, stream: RandomStream.documents, index: epoch)
      random.shuffle(&order)
      random = SeededGenerator(seed: seed, stream: RandomStream.rows, index: epoch)
      random.shuffle(&rows)
    }
    var end = 0
    ends = order.map {
      end += segments[$0].count
      return end
    }
    self.segments = segments
    self.order = order
    self.rows = rows
  }

  var tokenCount: Int { ends.last ?? 0 }

  /// A part of a document in a row: its tokens in the corpus, and whether the document goes on.
  struct Piece: Equatable {
    var range: Range<Int>
    var isContinued: Bool
  }

  /// What lies at `range` of the stream, which is not outside of it.
  func pieces(_ range: Range<Int>) -> [Piece] {
    // The first document that ends beyond the range's beginning.
    var low = 0, high = ends.count
    while low < high {
      let middle = (low + high) / 2
      if ends[middle] <= range.lowerBound { low = middle + 1 } else { high = middle }
    }
    var pieces: [Piece] = [], position = range.lowerBound
    while position < range.upperBound, low < ends.count {
      let segment = segments[order[low]]
      let start = segment.upperBound - (ends[low] - position)
      let count = min(ends[low], range.upperBound) - position
      pieces.append(Piece(range: start..<start + count, isContinued: start + count < segment.upperBound))
      position += count
      low += 1
    }
    return pieces
  }
}

/// What is worked out once per epoch. Two are kept, for those who read ahead across the end of one.
final class EpochCache<Value: Sendable>: Sendable {
  private let make: @Sendable (Int) -> Value
  private let kept = Mutex<[(epoch: Int, value: Value)]>([])

  init(make: @escaping @Sendable (Int) -> Value) {
    self.make = make
  }

  subscript(epoch: Int) -> Value {
    kept.withLock { kept in
      if let found = kept.first(where: { $0.epoch == epoch }) { return found.value }
      let value = make(epoch)
      kept = kept.suffix(1) + [(epoch, value)]
      return value
    }
  }
}
