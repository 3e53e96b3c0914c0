// Guesses from the sequence itself: an edited text, a quoted passage, a list of like items repeat what was there.

/// Proposes what followed the latest n tokens when they last occurred. Work per token is constant: an index knows where
/// each run of tokens ended last.
package final class LookupDrafter: Drafter {
  /// Lengths of the runs that are looked for, the surest first.
  private static let lengths = [5, 3, 2]

  /// Hash of a run → the place after it. Runs that share a hash only make a bad guess.
  private var places: [UInt64: Int32] = [:]
  /// Runs that end before this place are in the index.
  private var indexed = 0

  package init() {}

  /// The run that is the whole sequence's end has nothing after it yet, and is left for later.
  package func read(_ tokens: [Int32], upTo count: Int) {
    while indexed < count - 1 {
      indexed += 1
      for length in Self.lengths where length <= indexed {
        places[Self.hash(tokens[indexed - length..<indexed])] = Int32(truncatingIfNeeded: indexed)
      }
    }
  }

  package func draft(_ count: Int, after tokens: [Int32]) -> [Int32] {
    read(tokens, upTo: tokens.count)
    for length in Self.lengths where length <= tokens.count {
      guard let place = places[Self.hash(tokens[(tokens.count - length)...])] else { continue }
      // What reaches the end goes on with the guess itself: a rhythm continues.
      var guess: [Int32] = []
      for source in Int(place)..<Int(place) + count {
        guess.append(source < tokens.count ? tokens[source] : guess[source - tokens.count])
      }
      return guess
    }
    return []
  }

  package func forget(after count: Int) {
    guard count < indexed else { return }
    places = [:]
    indexed = 0
  }

  private static func hash(_ run: ArraySlice<Int32>) -> UInt64 {
    var hash = UInt64(run.count)
    for token in run {
      hash = (hash ^ UInt64(UInt32(bitPattern: token))) &* 0x9e37_79b9_7f4a_7c15
      hash ^= hash >> 32
    }
    return hash
  }
}
