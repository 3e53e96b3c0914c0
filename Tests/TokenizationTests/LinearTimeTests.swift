// No text may take more than about its length in time: a server tokenizes whatever it is sent.
import Foundation
import Testing
import Tokenization

@Suite(.serialized) struct LinearTimeTests {
  #if DEBUG
    static let large = 1 << 16  // unoptimised code is a hundred times slower
  #else
    static let large = 1 << 20
  #endif

  static let texts: [(name: String, make: @Sendable (Int) -> [UInt8])] = [
    ("one letter", { Array(repeating: 0x61, count: $0) }),
    ("one capital", { Array(repeating: 0x41, count: $0) }),
    ("spaces", { Array(repeating: 0x20, count: $0) }),
    ("newlines", { Array(repeating: 0x0A, count: $0) }),
    ("line breaks and spaces", { count in (0..<count).map { [0x0D, 0x0A, 0x20][$0 % 3] } }),
    ("Korean without spaces", { count in Array(repeating: Array("말모이글".utf8), count: count / 12).flatMap { $0 } }),
    ("random letters", { random($0, 0x61..<0x7B) }),
    ("random bytes", { random($0, 0..<256) }),
    (
      "openings of special tokens",
      { count in Array(repeating: Array("<|im_st".utf8), count: count / 7).flatMap { $0 } }
    ),
  ]

  static let kinds: [(TokenizerModel, [String])] = [
    (.byteLevelBPE, ["smollm", "tekken", "deepseek-llm"]), (.sentencePiece, [""]),
  ]

  private static func random(_ count: Int, _ range: Range<Int>) -> [UInt8] {
    var random = SplitMix64(state: 1)
    return (0..<count).map { _ in UInt8(range.lowerBound + random.below(range.count)) }
  }

  /// What this thread has had of a processor: other tests run beside this one.
  private static var processorTime: Duration {
    var time = timespec()
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
    return .seconds(time.tv_sec) + .nanoseconds(time.tv_nsec)
  }

  @Test("Four times the text takes about four times as long", arguments: texts.indices)
  func timeGrowsLinearly(_ index: Int) throws {
    for (model, preTokenizers) in Self.kinds {
      for preTokenizer in preTokenizers {
        var vocabulary = try reducedVocabulary(model)
        vocabulary.preTokenizer = preTokenizer
        let tokenizer = try Tokenizer(vocabulary)
        let text = Self.texts[index].make(Self.large)
        func fastest(_ count: Int) -> Duration {
          let part = Array(text[..<min(count, text.count)])
          return (0..<3).map { _ in
            let start = Self.processorTime
            _ = tokenizer.encode(utf8: part, specialTokens: .all)
            return Self.processorTime - start
          }.min() ?? .zero
        }
        let short = fastest(Self.large / 4)
        let long = fastest(Self.large)
        // Quadratic time would make it 16 and, at this size, minutes; the margin is for caches and page faults.
        #expect(long < short * 14 + .milliseconds(20), "\(Self.texts[index].name), \(model) \(preTokenizer)")
        #expect(long < .seconds(5), "\(Self.texts[index].name), \(model) \(preTokenizer)")
      }
    }
  }
}
