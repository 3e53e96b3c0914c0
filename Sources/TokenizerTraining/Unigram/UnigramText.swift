// The words that a Unigram model is fitted to, as characters end to end.

/// Distinct words in the order of their characters, each followed by a zero, so that sums do not depend on chance.
struct UnigramText: Sendable {
  /// The longest piece that is considered, in characters (SentencePiece's `max_sentencepiece_length`).
  static let longestPiece = 16

  private(set) var characters: [UInt32] = []
  /// Where each word begins; the last entry is the end of all.
  private(set) var starts: [Int] = []
  private(set) var counts: [Int] = []

  init(_ table: WordTable) {
    var words: [([UInt8], Int)] = []
    words.reserveCapacity(table.entries.count)
    table.forEach { words.append((Array($0), $1)) }
    words.sort { $0.0.lexicographicallyPrecedes($1.0) }
    characters.reserveCapacity(table.bytes.count + words.count)
    for (word, count) in words {
      starts.append(characters.count)
      counts.append(count)
      word.withUnsafeBufferPointer { forEachScalar(in: $0) { characters.append($0) } }
      characters.append(0)
    }
    starts.append(characters.count)
  }

  /// Word `number`'s characters, without the zero.
  func word(_ number: Int) -> Range<Int> { starts[number]..<starts[number + 1] - 1 }
}

/// A part of the text that may become a token.
struct Piece: BitwiseCopyable, Sendable {
  var start: Int
  var length: Int
  /// Its weight, or the logarithm of its probability.
  var score: Double

  var range: Range<Int> { start..<start + length }
}
