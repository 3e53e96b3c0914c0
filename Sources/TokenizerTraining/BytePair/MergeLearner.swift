// Byte-pair encoding learns by merging the most frequent pair of neighbours again and again (Sennrich et al. 2016,
// https://arxiv.org/abs/1508.07909), here with an index of the words in which each pair is.

/// A pair and the token that it became.
struct Merge: Equatable, Sendable {
  var first: UInt32
  var second: UInt32
  var token: UInt32
}

/// Learns merges from words, in the order in which Hugging Face's `BpeTrainer` finds them.
///
/// Two of its habits matter for equality. A merged pair keeps its count, so that it comes up again if the token that
/// replaced it is spelled like an older one and meets its neighbours anew; and an entry of the queue stands only for
/// the words in which one merge made its pair.
struct MergeLearner: ~Copyable {
  /// What a merge changes for the symbol beside it.
  private struct Neighbour: BitwiseCopyable {
    /// Occurrences beside the pair, which are gone.
    var lost = 0
    /// Occurrences beside the new token, and the words in which they are.
    var gained = 0
    var words: UInt32 = 0
    var lastWord = UInt32.max
    /// Where the next of these words is listed.
    var place = 0
    var isTouched = false
  }

  private let text: SymbolWords
  /// The most tokens that the tables below have room for.
  private let capacity: Int
  private var counts = PairCounts()
  private var queue = MergeQueue()
  /// The words of each queue entry, end to end.
  private var places: [UInt32] = []
  /// By symbol: what stands before the pair, and after it.
  private let before: UnsafeMutablePointer<Neighbour>
  private let after: UnsafeMutablePointer<Neighbour>
  private var touchedBefore: [UInt32] = []
  private var touchedAfter: [UInt32] = []
  /// A symbol, with the highest bit set after the pair, and a word where it now is beside the new token.
  private var events: [(symbol: UInt32, word: UInt32)] = []
  private static let isAfter: UInt32 = 1 << 31

  /// - Parameter vocabulary: the tokens that the words are made of.
  init(_ text: SymbolWords, _ vocabulary: TokenVocabulary, size: Int) {
    self.text = text
    // Every new token takes the place of two symbols somewhere: a short text needs no room for a huge vocabulary.
    capacity = max(vocabulary.count, min(size, vocabulary.count + text.symbolCount))
    before = .allocate(capacity: capacity)
    before.initialize(repeating: Neighbour(), count: capacity)
    after = .allocate(capacity: capacity)
    after.initialize(repeating: Neighbour(), count: capacity)
    countPairs()
  }

  deinit {
    before.deallocate()
    after.deallocate()
  }

  /// Adds a token per merge to `vocabulary` until it has `size` tokens or no pair occurs `minimumFrequency` times.
  /// - Parameter prefix: what the second token of a pair loses, as the `##` of WordPiece.
  mutating func learn(
    into vocabulary: inout TokenVocabulary, size: Int, minimumFrequency: Int, prefix: [UInt8],
    observer: TrainingObserver
  ) throws -> [Merge] {
    var merges: [Merge] = []
    while vocabulary.count < min(size, capacity), var top = queue.pop() {
      let count = counts.counts[Int(top.index)]
      if top.count != count {
        top.count = count
        queue.push(top)
        continue
      }
      if count < max(1, minimumFrequency) { break }
      let left = first(top.pair), right = second(top.pair)
      var ending = vocabulary.tokens[Int(right)][...]
      if ending.starts(with: prefix) { ending = ending.dropFirst(prefix.count) }
      let token = vocabulary.id(adding: vocabulary.tokens[Int(left)] + ending)
      merges.append(Merge(first: left, second: right, token: token))
      for place in top.start..<top.start + Int(top.length) { merge(left, right, into: token, word: places[place]) }
      record(left, right, token)
      if merges.count % 64 == 0 { try observer(.merging(tokens: vocabulary.count, of: size)) }
    }
    return merges
  }

  /// Counts the pairs of all words, and lists the words of each.
  private mutating func countPairs() {
    var wordCounts: [UInt32] = [], lastWord: [UInt32] = []
    /// Calls `body` with each pair of each word, and whether the word had it before.
    func forEachPair(_ counts: inout PairCounts, _ body: (inout PairCounts, Int, Int, Bool) -> Void) {
      for (number, word) in text.words.enumerated() where word.length > 1 {
        for at in Int(word.start)..<Int(word.start) + Int(word.length) - 1 {
          let index = counts.index(of: pair(text.symbols[at], text.symbols[at + 1]))
          if index == lastWord.count {
            lastWord.append(.max)
            wordCounts.append(0)
          }
          let isFirst = lastWord[index] != UInt32(number)
          lastWord[index] = UInt32(number)
          body(&counts, index, number, isFirst)
        }
      }
    }
    forEachPair(&counts) { counts, index, word, isFirst in
      counts.add(text.words[word].count, at: index)
      if isFirst { wordCounts[index] += 1 }
    }
    var starts: [Int] = []
    starts.reserveCapacity(wordCounts.count)
    var total = 0
    for index in wordCounts.indices {
      starts.append(total)
      queue.push(MergeCandidate(
        count: counts.counts[index], pair: counts.pair(at: index), start: total, length: wordCounts[index],
        index: UInt32(index)))
      total += Int(wordCounts[index])
      lastWord[index] = .max
    }
    var places = [UInt32](repeating: 0, count: total)
    forEachPair(&counts) { _, index, word, isFirst in
      guard isFirst else { return }
      places[starts[index]] = UInt32(word)
      starts[index] += 1
    }
    self.places = places
  }

  /// Merges a pair in one word, from the left, and notes what that changes beside it.
  private mutating func merge(_ left: UInt32, _ right: UInt32, into token: UInt32, word number: UInt32) {
    let word = text.words[Int(number)]
    let symbols = text.symbols + Int(word.start)
    let length = Int(word.length)
    var at = 0
    var kept = 0
    while at < length {
      guard symbols[at] == left, at + 1 < length, symbols[at + 1] == right else {
        symbols[kept] = symbols[at]
        at += 1
        kept += 1
        continue
      }
      if kept > 0 {
        let previous = symbols[kept - 1]
        touch(before: previous)
        before[Int(previous)].lost += word.count
        // The new token beside itself is one pair, whichever of the two it is seen from.
        if previous == token {
          gain(after: token, number, word.count)
        } else {
          gain(before: previous, number, word.count)
        }
      }
      if at + 2 < length {
        let next = symbols[at + 2]
        touch(after: next)
        after[Int(next)].lost += word.count
        gain(after: next, number, word.count)
      }
      symbols[kept] = token
      at += 2
      kept += 1
    }
    text.words[Int(number)].length = UInt32(kept)
  }

  @inline(__always)
  private mutating func touch(before symbol: UInt32) {
    if before[Int(symbol)].isTouched { return }
    before[Int(symbol)].isTouched = true
    touchedBefore.append(symbol)
  }

  @inline(__always)
  private mutating func touch(after symbol: UInt32) {
    if after[Int(symbol)].isTouched { return }
    after[Int(symbol)].isTouched = true
    touchedAfter.append(symbol)
  }

  @inline(__always)
  private mutating func gain(before symbol: UInt32, _ word: UInt32, _ count: Int) {
    before[Int(symbol)].gained += count
    if before[Int(symbol)].lastWord == word { return }
    before[Int(symbol)].lastWord = word
    before[Int(symbol)].words += 1
    events.append((symbol, word))
  }

  @inline(__always)
  private mutating func gain(after symbol: UInt32, _ word: UInt32, _ count: Int) {
    touch(after: symbol)
    after[Int(symbol)].gained += count
    if after[Int(symbol)].lastWord == word { return }
    after[Int(symbol)].lastWord = word
    after[Int(symbol)].words += 1
    events.append((symbol | Self.isAfter, word))
  }

  /// Brings what was noted during a merge into the counts, and the new pairs into the queue.
  private mutating func record(_ left: UInt32, _ right: UInt32, _ token: UInt32) {
    for symbol in touchedBefore {
      change(pair(symbol, left), by: -before[Int(symbol)].lost)
      change(pair(symbol, token), by: before[Int(symbol)].gained)
    }
    for symbol in touchedAfter {
      change(pair(right, symbol), by: -after[Int(symbol)].lost)
      change(pair(token, symbol), by: after[Int(symbol)].gained)
    }
    var end = places.count
    for symbol in touchedBefore {
      before[Int(symbol)].place = end
      enqueue(pair(symbol, token), words: before[Int(symbol)].words, at: &end)
    }
    for symbol in touchedAfter {
      after[Int(symbol)].place = end
      enqueue(pair(token, symbol), words: after[Int(symbol)].words, at: &end)
    }
    places.append(contentsOf: repeatElement(0, count: end - places.count))
    for (symbol, word) in events {
      let neighbour = symbol & Self.isAfter == 0 ? before + Int(symbol) : after + Int(symbol & ~Self.isAfter)
      places[neighbour.pointee.place] = word
      neighbour.pointee.place += 1
    }
    for symbol in touchedBefore { before[Int(symbol)] = Neighbour() }
    for symbol in touchedAfter { after[Int(symbol)] = Neighbour() }
    touchedBefore.removeAll(keepingCapacity: true)
    touchedAfter.removeAll(keepingCapacity: true)
    events.removeAll(keepingCapacity: true)
  }

  private mutating func change(_ pair: Pair, by delta: Int) {
    if delta != 0 { counts.add(delta, at: counts.index(of: pair)) }
  }

  private mutating func enqueue(_ pair: Pair, words: UInt32, at end: inout Int) {
    guard words > 0 else { return }
    let index = counts.index(of: pair), count = counts.counts[index]
    if count > 0 {
      queue.push(MergeCandidate(count: count, pair: pair, start: end, length: words, index: UInt32(index)))
    }
    end += Int(words)
  }
}
