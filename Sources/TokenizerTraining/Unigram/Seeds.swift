// What the pieces are chosen from: all characters, and the substrings that are frequent for their length.
#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// The first pieces, as SentencePiece finds them: the inner nodes of the suffix tree of the distinct words, by
/// frequency times length.
struct Seeds {
  static let limit = 1_000_000
  private let text: UnigramText
  /// A node whose string is longer is of no use, so that suffixes are compared only this far.
  private let depth = UnigramText.longestPiece + 1

  init(_ text: UnigramText) { self.text = text }

  /// Every character, then substrings, each from the heaviest down; scores are logarithms of shares of the weight.
  func pieces() -> [Piece] {
    var pieces = characters()
    let nodes = repeated().sorted { precedes($0, $1) }
    pieces += nodes.prefix(max(0, Self.limit - pieces.count))
    var sum = 0.0
    for piece in pieces { sum += piece.score }
    for index in pieces.indices { pieces[index].score = log(pieces[index].score) - log(sum) }
    return pieces
  }

  private func precedes(_ first: Piece, _ second: Piece) -> Bool {
    first.score != second.score
      ? first.score > second.score
      : text.characters[second.range].lexicographicallyPrecedes(text.characters[first.range])
  }

  private func characters() -> [Piece] {
    var found: [UInt32: Piece] = [:]
    for (number, count) in text.counts.enumerated() {
      for at in text.word(number) where text.characters[at] != 0 {
        found[text.characters[at], default: Piece(start: at, length: 1, score: 0)].score += Double(count)
      }
    }
    return found.values.sorted { precedes($0, $1) }
  }

  /// The substrings of at least two characters that occur more than once and are followed by different ones.
  private func repeated() -> [Piece] {
    let suffixes = sortedSuffixes()
    guard var previous = suffixes.first else { return [] }
    var found: [Piece] = []
    /// Nodes that are still open: the length of their string, and the first suffix that begins with it.
    var open: [(length: Int, first: Int)] = [(0, 0)]
    func close(downTo length: Int, at end: Int) -> Int {
      var first = end
      while let node = open.last, node.length > length {
        open.removeLast()
        first = node.first
        let start = Int(suffixes[first])
        // The word's end counts as a character that is alike everywhere.
        let holdsEnd = text.characters[start + node.length - 1] == 0
        if node.length > 1, node.length <= UnigramText.longestPiece, !holdsEnd {
          found.append(Piece(start: start, length: node.length, score: Double((end - first) * node.length)))
        }
      }
      return first
    }
    for index in suffixes.indices.dropFirst() {
      let length = commonLength(Int(previous), Int(suffixes[index]))
      let first = min(close(downTo: length, at: index), index - 1)
      if let last = open.last, last.length < length { open.append((length, first)) }
      previous = suffixes[index]
    }
    _ = close(downTo: 0, at: suffixes.count)
    return found
  }

  private func commonLength(_ first: Int, _ second: Int) -> Int {
    for offset in 0..<depth {
      let character = text.characters[first + offset]
      if character != text.characters[second + offset] { return offset }
      if character == 0 { return offset + 1 }
    }
    return depth
  }

  /// The places where words go on, in the order of what follows, by three-way radix quicksort (Bentley and Sedgewick
  /// 1997).
  private func sortedSuffixes() -> [UInt32] {
    var suffixes: [UInt32] = []
    suffixes.reserveCapacity(text.characters.count)
    for (at, character) in text.characters.enumerated() where character != 0 { suffixes.append(UInt32(at)) }
    text.characters.withUnsafeBufferPointer { characters in
      suffixes.withUnsafeMutableBufferPointer { suffixes in
        var waiting = [(range: 0..<suffixes.count, depth: 0)]
        while let (range, depth) = waiting.popLast() {
          guard range.count > 1, depth < self.depth else { continue }
          let middle = characters[Int(suffixes[range.lowerBound + range.count / 2]) + depth]
          var low = range.lowerBound, at = low, high = range.upperBound
          while at < high {
            let character = characters[Int(suffixes[at]) + depth]
            if character < middle {
              suffixes.swapAt(low, at)
              low += 1
              at += 1
            } else if character > middle {
              high -= 1
              suffixes.swapAt(at, high)
            } else {
              at += 1
            }
          }
          waiting.append((range.lowerBound..<low, depth))
          if middle != 0 { waiting.append((low..<high, depth + 1)) }
          waiting.append((high..<range.upperBound, depth))
        }
      }
    }
    return suffixes
  }
}
