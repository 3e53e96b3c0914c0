// The answer does not depend on the company: a model's scores are the same to the bit however its tokens are computed.
import Foundation
import Generation
import Models
import Tensors
import TestSupport
import Testing

/// A cache form, tied or not, that all invariances must hold for.
struct DecoderForm: Sendable, CustomTestStringConvertible {
  var cacheType: CacheType
  var isHeadTied: Bool
  var headWidth: Int
  var testDescription: String { "\(cacheType), head width \(headWidth)\(isHeadTied ? ", tied" : "")" }

  static let all = [
    DecoderForm(cacheType: .i16, isHeadTied: true, headWidth: 32),
    DecoderForm(cacheType: .q8_0, isHeadTied: false, headWidth: 48),
  ]

  func decoder(threads: Int = 2, instructionSet: InstructionSet = .preferred) throws -> Decoder {
    var random = RandomDecoder()
    random.isHeadTied = isHeadTied
    random.headWidth = headWidth
    return try random.make(backend: CPUBackend(threads: threads, instructionSet: instructionSet))
  }
}

@Suite struct `A decoder's scores` {
  private let tokens: [Int32] = {
    var random = SeededRandom(1)
    return random.tokens(600, vocabulary: 300)
  }()

  /// Scores after each token, computed in chunks.
  private func scores(_ decoder: Decoder, _ tokens: [Int32], chunk: Int, cache: KeyValueCache) -> [Float] {
    var result: [Float] = []
    var start = 0
    while start < tokens.count {
      let part = tokens[start..<min(start + chunk, tokens.count)]
      result += decoder.logits(decoder(Array(part), PagedContext([(cache, part.count)]))).values
      start += chunk
    }
    return result
  }

  private func cache(_ decoder: Decoder, _ form: DecoderForm) -> KeyValueCache {
    KeyValueCache(decoder.configuration.pageLayout(form.cacheType))
  }

  @Test(arguments: DecoderForm.all)
  func `do not depend on threads, chunks or instruction sets`(form: DecoderForm) throws {
    let one = try form.decoder(threads: 1)
    let expected = scores(one, tokens, chunk: 600, cache: cache(one, form))
    #expect(expected.allSatisfy { $0.isFinite })
    #expect(Set(expected.prefix(300)).count > 250)
    for (threads, chunk) in [(1, 64), (2, 512), (3, 7), (4, 600)] {
      let decoder = try form.decoder(threads: threads)
      #expect(
        sameBits(scores(decoder, tokens, chunk: chunk, cache: cache(decoder, form)), expected),
        "\(threads) threads, chunks of \(chunk)")
    }
    let short = Array(tokens.prefix(90)), start = Array(expected.prefix(90 * 300))
    let two = try form.decoder(threads: 2)
    #expect(sameBits(scores(two, short, chunk: 1, cache: cache(two, form)), start))
    for set in InstructionSet.allCases where set.isSupported {
      let decoder = try form.decoder(instructionSet: set)
      #expect(sameBits(scores(decoder, short, chunk: 50, cache: cache(decoder, form)), start), "\(set)")
    }
  }

  @Test(arguments: DecoderForm.all) func `do not depend on other sequences in the batch`(form: DecoderForm) throws {
    let decoder = try form.decoder()
    let expected = scores(decoder, Array(tokens.prefix(200)), chunk: 200, cache: cache(decoder, form))
    var random = SeededRandom(2)
    let mine = cache(decoder, form), others = [cache(decoder, form), cache(decoder, form)]
    var result: [Float] = [], start = 0
    while start < 200 {
      let count = min(1 + random.below(30), 200 - start)
      let before = random.tokens(1 + random.below(20), vocabulary: 300)
      let after = random.tokens(1 + random.below(5), vocabulary: 300)
      let context = PagedContext([(others[0], before.count), (mine, count), (others[1], after.count)])
      let states = decoder(before + tokens[start..<start + count] + after, context)
      let rows = (before.count..<before.count + count).map(Int32.init)
      result += decoder.logits(states.rows(at: rows)).values
      start += count
    }
    #expect(sameBits(result, expected))
  }

  @Test(arguments: DecoderForm.all) func `do not depend on what a cache held before`(form: DecoderForm) throws {
    let decoder = try form.decoder(), held = cache(decoder, form)
    let expected = scores(decoder, Array(tokens.prefix(200)), chunk: 200, cache: held)
    for count in [199, 150, 64, 1, 0] {
      held.truncate(to: count)
      let other = scores(decoder, Array(tokens[300..<350]), chunk: 50, cache: held)
      #expect(other.allSatisfy { $0.isFinite })
      held.truncate(to: count)
      let again = scores(decoder, Array(tokens[count..<200]), chunk: 200, cache: held)
      #expect(sameBits(again, Array(expected[(count * 300)...])), "\(count) kept")
    }
  }

  @Test func `of a long context are the same from one thread and from many`() throws {
    var results: [[Float]] = []
    for threads in [1, 8] {
      let decoder = try DecoderForm.all[0].decoder(threads: threads), cache = cache(decoder, DecoderForm.all[0])
      _ = decoder(tokens + tokens, PagedContext([(cache, 1200)]))
      results.append(scores(decoder, [5, 6, 7], chunk: 1, cache: cache))
    }
    #expect(sameBits(results[0], results[1]))
  }

  @Test func `agree with what scoring reports`() throws {
    let decoder = try DecoderForm.all[0].decoder(), text = Array(tokens.prefix(100))
    let all = scores(decoder, text, chunk: 100, cache: cache(decoder, DecoderForm.all[0]))
    let reported = try decoder.score(text, alternatives: 3)
    #expect(reported.map(\.token) == text)
    #expect(reported[0].logProbability == nil)
    for position in 1..<100 {
      let row = all[(position - 1) * 300..<position * 300].map(Double.init)
      let sum = log(row.reduce(0) { $0 + exp($1) })
      let found = try #require(reported[position].logProbability)
      #expect(abs(Double(found) - (row[Int(text[position])] - sum)) < 1e-5)
      let best = row.indices.sorted { row[$0] != row[$1] ? row[$0] > row[$1] : $0 < $1 }.prefix(3)
      #expect(reported[position].alternatives.map(\.token) == best.map(Int32.init))
    }
    #expect(throws: GenerationError.emptyPrompt) { try decoder.score([]) }
    #expect(throws: GenerationError.unknownToken(300, vocabulary: 300)) { try decoder.score([1, 300]) }
    #expect(throws: GenerationError.unknownToken(-1, vocabulary: 300)) {
      try decoder.perplexity(of: text, context: 50, first: -1)
    }
  }
}
