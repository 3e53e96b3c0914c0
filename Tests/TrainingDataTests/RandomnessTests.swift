// Chance that can be called again.
import Randomness
import Testing

@Suite struct RandomnessTests {
  @Test func numbersAreThoseOfTheReference() {
    // The first numbers of SplitMix64 for the seed 1234567, as published with its C source.
    var random = SeededGenerator(seed: 1_234_567)
    #expect(random.next() == 6_457_827_717_110_365_317)
    #expect(random.next() == 3_203_168_211_198_807_973)
    #expect(random.next() == 9_817_491_932_198_370_423)
  }

  @Test func seedsStreamsAndIndexesAreApart() {
    var seen: Set<UInt64> = []
    for seed in 0..<10 as Range<UInt64> {
      for stream in 0..<10 as Range<UInt64> {
        for index in -5..<5 {
          var random = SeededGenerator(seed: seed, stream: stream, index: index)
          seen.insert(random.next())
          var again = SeededGenerator(seed: seed, stream: stream, index: index)
          #expect(seen.contains(again.next()))
        }
      }
    }
    #expect(seen.count == 1000)
  }

  @Test func numbersBelowABoundAreAllAsLikely() {
    var random = SeededGenerator(seed: 5)
    var counts = Array(repeating: 0, count: 7)
    for _ in 0..<70_000 { counts[random.below(7)] += 1 }
    #expect(counts.allSatisfy { 9_600...10_400 ~= $0 })
    #expect([-1, 0, 1].allSatisfy { random.below($0) == 0 })
    let numbers = (0..<10_000).map { _ in random.uniform() }
    #expect(numbers.allSatisfy { 0..<1 ~= $0 })
    #expect(abs(numbers.reduce(0, +) / 10_000 - 0.5) < 0.02)
  }

  @Test func everyOrderIsAsLikely() {
    var random = SeededGenerator(seed: 9), counts: [[Int]: Int] = [:]
    for _ in 0..<24_000 {
      var list = [0, 1, 2, 3]
      random.shuffle(&list)
      counts[list, default: 0] += 1
    }
    #expect(counts.count == 24 && counts.values.allSatisfy { 850...1150 ~= $0 })
  }
}
