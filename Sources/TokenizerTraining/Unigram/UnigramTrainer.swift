// Fits a Unigram language model of pieces to the words (Kudo 2018, https://arxiv.org/abs/1804.10959) and drops pieces
// until as many are left as are wanted.
import Dispatch
import Synchronization
#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// Expectation maximization with pruning, step by step as in SentencePiece and Hugging Face's `UnigramTrainer`.
struct UnigramTrainer {
  private static let passesPerRound = 2
  /// The share of pieces that a round keeps.
  private static let shrinkage = 0.75
  /// A piece that is expected more rarely than this is dropped.
  private static let leastExpected = 0.5
  /// Expected counts are summed as whole multiples of this, so that the order of the sum cannot matter.
  private static let unit = Double(1 << 24)

  var options: TrainingOptions

  /// - Returns: the pieces as UTF-8 with their log-probabilities, likeliest first
  func train(_ table: WordTable, observer: TrainingObserver) throws -> [(text: [UInt8], score: Double)] {
    let text = UnigramText(table)
    guard text.characters.count < Int(Int32.max) else {
      throw TrainingError.tooMuchText(characters: text.characters.count, limit: Int(Int32.max))
    }
    var pieces = Seeds(text).pieces()
    let characters = pieces.prefix { $0.length == 1 }
    let room = options.vocabularySize - options.specialTokens.count
    guard characters.count <= room else {
      throw TrainingError.vocabularyTooSmall(
        options.vocabularySize, needed: characters.count + options.specialTokens.count,
        contents: "all characters and the special tokens")
    }
    let alphabet = characters.sorted { text.characters[$0.start] < text.characters[$1.start] }
    // Hugging Face counts the unknown piece among the pieces of a round.
    let wanted = options.vocabularySize * 11 / 10 - 1
    let rounds = max(0, Int(log(Double(max(1, wanted)) / Double(pieces.count)) / log(Self.shrinkage))) + 1
    var passes = 0
    while true {
      for _ in 0..<Self.passesPerRound {
        try observer(.estimating(pass: passes, of: max(rounds * Self.passesPerRound, passes + 1), pieces: pieces.count))
        pieces = maximized(pieces, expected: expectations(UnigramModel(pieces, of: text), text))
        passes += 1
      }
      if pieces.count <= wanted { break }
      let pruned = pruned(UnigramModel(pieces, of: text), text, wanted: wanted)
      if pruned.count == pieces.count { break }
      pieces = pruned
    }
    return finished(pieces, alphabet: alphabet, text, room: room)
  }

  /// How often each piece is expected in the text.
  private func expectations(_ model: UnigramModel, _ text: UnigramText) -> [Int] {
    sum(over: text.counts.count, width: model.pieces.count) { number, lattice, expected in
      lattice.expect(
        text.characters[text.word(number)], model, count: text.counts[number], unit: Self.unit, into: expected)
    }
  }

  /// The pieces with their new scores: Bayesian estimates, which favour few pieces.
  private func maximized(_ pieces: [Piece], expected: [Int]) -> [Piece] {
    var kept: [Piece] = []
    var sum = 0.0
    for (piece, expected) in zip(pieces, expected) {
      let expected = Double(expected) / Self.unit
      if expected < Self.leastExpected { continue }
      kept.append(Piece(start: piece.start, length: piece.length, score: expected))
      sum += expected
    }
    let total = digamma(sum)
    for index in kept.indices { kept[index].score = digamma(kept[index].score) - total }
    return kept
  }

  /// Drops the pieces without which the text is least less likely, if their place is taken by their own best parts.
  private func pruned(_ model: UnigramModel, _ text: UnigramText, wanted: Int) -> [Piece] {
    let pieces = model.pieces
    let wordTotal = Double(text.counts.reduce(0, +))
    let used = sum(over: text.counts.count, width: pieces.count) { number, lattice, used in
      for piece in lattice.bestPath(text.characters[text.word(number)], model) ?? [] where piece >= 0 {
        used[piece] += text.counts[number]
      }
    }
    let total = Double(used.reduce(0, +))
    var kept: [Piece] = []
    var candidates: [(loss: Double, piece: Piece)] = []
    var lattice = Lattice()
    for (number, piece) in pieces.enumerated() {
      let characters = text.characters[piece.range]
      let parts = piece.length > 1 ? lattice.bestPath(characters, model, whole: false) : nil
      guard let parts else {
        kept.append(piece)
        continue
      }
      let partsScore = parts.reduce(0) { $0 + ($1 < 0 ? model.unknownScore : pieces[$1].score) }
      let frequency = Double(used[number])
      if partsScore > piece.score {
        // Its parts are better than the piece itself.
        if frequency > 0 { kept.append(piece) }
        continue
      }
      guard frequency > 0 else { continue }
      let totalWithout = log(total + frequency * Double(parts.count - 1))
      var scoreWithout = 0.0
      for part in parts { scoreWithout += log((part < 0 ? 0 : Double(used[part])) + frequency) - totalWithout }
      candidates.append((frequency / wordTotal * (log(frequency / total) - scoreWithout), piece))
    }
    let size = max(wanted, Int(Double(pieces.count + 1) * Self.shrinkage) - 1)
    candidates.sort { $0.loss != $1.loss ? $0.loss > $1.loss : $0.piece.start < $1.piece.start }
    return kept + candidates.prefix(max(0, size - kept.count)).map(\.piece)
  }

  /// All characters, then the first pieces up to the vocabulary's size, by score.
  private func finished(
    _ pieces: [Piece], alphabet: [Piece], _ text: UnigramText, room: Int
  ) -> [(text: [UInt8], score: Double)] {
    let least = pieces.lazy.map(\.score).min() ?? 0
    var known: [UInt32: Double] = [:]
    for piece in pieces where piece.length == 1 { known[text.characters[piece.start]] = piece.score }
    // Characters that were dropped get scores of their own, hardly different.
    var penalty = 0.0
    var result = alphabet
    for index in result.indices {
      if let score = known[text.characters[result[index].start]] {
        result[index].score = score
      } else {
        result[index].score = least + penalty
        penalty += 0.0001
      }
    }
    result += pieces.lazy.filter { $0.length > 1 }.prefix(room - result.count)
    let order = result.indices.sorted {
      result[$0].score != result[$1].score ? result[$0].score > result[$1].score : $0 < $1
    }
    return order.map { index in (text.characters[result[index].range].flatMap(utf8(of:)), result[index].score) }
  }

  /// Sums of whole numbers over all words, by whichever threads are free.
  private func sum(
    over count: Int, width: Int,
    _ body: @Sendable (Int, inout Lattice, UnsafeMutableBufferPointer<Int>) -> Void
  ) -> [Int] {
    let next = Atomic(0), block = 256
    let total = Mutex([Int](repeating: 0, count: width))
    DispatchQueue.concurrentPerform(iterations: options.threads) { _ in
      var lattice = Lattice()
      var own = [Int](repeating: 0, count: width)
      own.withUnsafeMutableBufferPointer { own in
        while case let start = next.add(block, ordering: .relaxed).oldValue, start < count {
          for number in start..<min(count, start + block) { body(number, &lattice, own) }
        }
      }
      total.withLock { [own] in for index in own.indices { $0[index] &+= own[index] } }
    }
    return total.withLock { $0 }
  }
}

/// The derivative of the logarithm of the gamma function, by its asymptotic series (Abramowitz and Stegun 6.3.18) above
/// 7, which the recurrence 6.3.5 reaches.
private func digamma(_ value: Double) -> Double {
  var x = value
  var result = 0.0
  while x < 7 {
    result -= 1 / x
    x += 1
  }
  let squared = 1 / (x * x)
  let series = squared * (1.0 / 12 - squared * (1.0 / 120 - squared * (1.0 / 252 - squared / 240)))
  return result + log(x) - 0.5 / x - series
}
