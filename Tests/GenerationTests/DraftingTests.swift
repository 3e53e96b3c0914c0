// The parts of speculation by themselves: what is looked up, what a pass costs, how far to guess.
import Generation
import TestSupport
import Testing

@Suite struct `A look-up` {
  private func guess(_ count: Int, after tokens: [Int32]) -> [Int32] { LookupDrafter().draft(count, after: tokens) }

  @Test func `gives what followed the latest tokens when they last occurred`() {
    #expect(guess(3, after: [1, 2, 3, 4, 5, 6, 9, 1, 2]) == [3, 4, 5])
    #expect(guess(2, after: [1, 2, 3, 4, 8, 1, 2, 5, 6, 9, 1, 2]) == [5, 6])
    #expect(guess(3, after: [1, 2, 3, 4, 5]) == [])
    #expect(guess(3, after: [1, 2, 1]) == [], "one token says too little")
    #expect(guess(3, after: [1]) == [])
    #expect(guess(0, after: [1, 2, 3, 1, 2]) == [])
  }

  @Test func `prefers the longest run to the latest`() {
    #expect(guess(2, after: [5, 1, 2, 3, 4, 8, 1, 2, 7, 7, 5, 1, 2]) == [3, 4])
    #expect(guess(2, after: [9, 8, 5, 1, 2, 3, 4, 6, 5, 1, 2, 7, 7, 9, 8, 5, 1, 2]) == [3, 4])
  }

  @Test func `goes on with a rhythm`() {
    #expect(guess(5, after: [1, 2, 3, 1, 2, 3, 1, 2]) == [3, 1, 2, 3, 1])
    #expect(guess(3, after: [7, 7, 7]) == [7, 7, 7])
  }

  @Test func `is the same read at once or token by token, and after forgetting`() {
    var random = SeededRandom(1)
    let tokens = random.tokens(300, vocabulary: 6), steady = LookupDrafter(), changed = LookupDrafter()
    _ = changed.draft(4, after: random.tokens(200, vocabulary: 6))
    changed.forget(after: 0)
    for count in 1...tokens.count {
      let part = Array(tokens.prefix(count)), expected = guess(4, after: part)
      #expect(steady.draft(4, after: part) == expected)
      if count % 7 == 0 { changed.read(tokens, upTo: count) }
      #expect(changed.draft(4, after: part) == expected)
    }
    steady.forget(after: 100)
    let other = tokens.prefix(100) + random.tokens(50, vocabulary: 6)
    #expect(steady.draft(4, after: Array(other)) == guess(4, after: Array(other)))
  }
}

@Suite struct `The cost of a pass` {
  @Test func `is learned from passes of different width`() {
    var cost = PassCost()
    #expect(cost.prices(sequences: 1).token == 0)
    for pass in 0..<100 {
      let rows = [1, 1, 1, 4, 1, 16][pass % 6]
      cost.add(rows: rows, seconds: 10 + 3 * Double(rows - 1))
    }
    let alone = cost.prices(sequences: 1), company = cost.prices(sequences: 4)
    #expect(abs(alone.token - 10) < 0.2 && abs(alone.row - 3) < 0.05)
    #expect(abs(company.token - 19.0 / 4) < 0.1 && company.row == alone.row)
  }

  @Test func `is sensible before much is known, and hardly moved by an interruption`() {
    for rows in [1, 5, 16] {
      var cost = PassCost()
      for _ in 0..<500 { cost.add(rows: rows, seconds: 10) }
      let prices = cost.prices(sequences: 1)
      #expect(prices.token > 2 && prices.token <= 10 && prices.row > 0.05 && prices.row < prices.token)
    }
    var cost = PassCost()
    for pass in 0..<60 { cost.add(rows: pass % 3 == 0 ? 5 : 1, seconds: pass % 3 == 0 ? 14 : 10) }
    cost.add(rows: 5, seconds: 10_000)
    let prices = cost.prices(sequences: 1)
    #expect(prices.token < 11 && prices.row < 1.5)
  }

  @Test func `follows a change`() {
    var cost = PassCost()
    for pass in 0..<300 { cost.add(rows: 1 + pass % 3, seconds: 10 + Double(pass % 3)) }
    for pass in 0..<300 { cost.add(rows: 1 + pass % 3, seconds: 40 + 20 * Double(pass % 3)) }
    let prices = cost.prices(sequences: 1)
    #expect(abs(prices.token - 40) < 2 && abs(prices.row - 20) < 2)
  }
}

@Suite struct `Guessing as far as it pays` {
  /// Guesses as many as it may.
  private final class Eager: Drafter {
    func read(_ tokens: [Int32], upTo count: Int) {}
    func draft(_ count: Int, after tokens: [Int32]) -> [Int32] { Array(repeating: 1, count: count) }
    func forget(after count: Int) {}
  }

  /// - Parameter accept: how many of so many guesses come true.
  /// - Returns: tokens written and guesses made in `passes` passes.
  private func run(
    _ passes: Int, row: Double, accept: (Int) -> Int
  ) -> (written: Int, drafted: Int, last: Int) {
    let speculator = Speculator(Eager(), lossLimit: 0.03), prices = PassCost.Prices(token: 1, row: row)
    var written = 0, drafted = 0, last = 0
    for _ in 0..<passes {
      speculator.propose(after: [1], atMost: 15, vocabulary: 2, prices: prices)
      last = speculator.draft.count
      let accepted = accept(last)
      speculator.settle(accepted: accepted, prices: prices)
      #expect(speculator.draft.isEmpty)
      written += accepted + 1
      drafted += last
    }
    return (written, drafted, last)
  }

  @Test(arguments: [0.02, 0.1, 0.3, 0.6, 1]) func `costs little where guesses fail`(row: Double) {
    let failing = run(1000, row: row) { _ in 0 }
    #expect(failing.drafted > 10)
    #expect(Double(failing.drafted) * row <= 0.3 + 0.03 * 1000 + 0.1)
  }

  @Test(arguments: [0.05, 0.1, 0.25]) func `reaches far where guesses come true`(row: Double) {
    let right = run(100, row: row) { $0 }
    #expect(right.last == 15)
    #expect(right.written > 1000)
  }

  @Test(arguments: [0.05, 0.2, 0.5, 0.9], [0.1, 0.3, 0.5, 0.7, 0.9])
  func `never costs more than a few percent, whatever share comes true`(row: Double, share: Double) {
    var random = SeededRandom(7)
    let result = run(2000, row: row) { count in
      var accepted = 0
      while accepted < count, Double(random.below(1000)) < 1000 * share { accepted += 1 }
      return accepted
    }
    let time = 2000 + Double(result.drafted) * row
    #expect(time / Double(result.written) < 1.04)
    if share > row + 0.3 { #expect(time / Double(result.written) < 0.95) }
  }

  @Test func `passes on no token that the model does not have`() {
    let speculator = Speculator(Eager(), lossLimit: 0.03), prices = PassCost.Prices(token: 1, row: 0.1)
    speculator.propose(after: [1], atMost: 15, vocabulary: 1, prices: prices)
    #expect(speculator.draft.isEmpty)
    speculator.propose(after: [1], atMost: 2, vocabulary: 2, prices: prices)
    #expect(speculator.draft.count == 2)
    speculator.propose(after: [1], atMost: 0, vocabulary: 2, prices: prices)
    #expect(speculator.draft.isEmpty)
    speculator.propose(after: [1], atMost: 5, vocabulary: 2, prices: PassCost().prices(sequences: 1))
    #expect(speculator.draft.isEmpty)
  }
}
