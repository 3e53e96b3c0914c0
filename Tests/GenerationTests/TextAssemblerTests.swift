// Text as it streams: whole characters only, and nothing of a stop string.
import Generation
import Foundation
import TestSupport
import Tokenization
import Testing

@Suite struct `Text assembled from tokens` {
  private let tokenizer: Tokenizer
  private let words = ["stop", " stop", "st", "op", "a", "END", "한국", "👋🏽", "\n\n"]

  /// Tokens 3 … 258 are the bytes, then come `words`; 1 and 2 are control tokens.
  init() throws {
    let bytes = (0..<256).map { value in
      let digits = String(value, radix: 16, uppercase: true)
      return "<0x" + (digits.count == 1 ? "0" : "") + digits + ">"
    }
    let pieces = ["<unk>", "<s>", "</s>"] + bytes + words.map { String($0.map { $0 == " " ? "▁" : $0 }) }
    var vocabulary = TokenizerVocabulary(model: .sentencePiece, pieces: PackedStrings(pieces))
    vocabulary.kinds = [.unknown, .control, .control] + bytes.map { _ in .byte } + words.map { _ in .normal }
    vocabulary.scores = pieces.map { _ in 0 }
    vocabulary.addsSpacePrefix = false
    tokenizer = try Tokenizer(vocabulary)
  }

  private func bytes(_ text: String) -> [Int32] { text.utf8.map { Int32($0) + 3 } }

  private func word(_ text: String) throws -> Int32 { Int32(try #require(words.firstIndex(of: text)) + 259) }

  /// The pieces of text that came, the last one what was held back; and whether a stop string ended it.
  private func assemble(_ tokens: [Int32], stops: [String]) -> (pieces: [String], isStopped: Bool) {
    var assembler = TextAssembler(tokenizer, stopStrings: stops, continuesText: true), pieces: [String] = []
    for token in tokens {
      let (text, isStopped) = assembler.append(token)
      pieces.append(text)
      if isStopped { return (pieces, true) }
    }
    return (pieces + [assembler.finish()], false)
  }

  @Test func `characters appear when their last byte does`() throws {
    let (pieces, isStopped) = assemble(bytes("é한👋") + [try word("a")], stops: [])
    #expect(pieces == ["", "é", "", "", "한", "", "", "", "👋", "a", ""])
    #expect(!isStopped)
  }

  @Test func `a character that is cut off is left out, bytes that are none are replaced`() {
    #expect(assemble(Array(bytes("ab한").dropLast()), stops: []).pieces.joined() == "ab")
    #expect(assemble([0x80 + 3] + bytes("b"), stops: ["x"]).pieces.joined() == "\u{FFFD}b")
  }

  @Test func `control tokens are no text`() throws {
    #expect(assemble([1, try word("a"), 2], stops: []).pieces.joined() == "a")
  }

  @Test func `a stop string ends the text wherever tokens divide it`() throws {
    for tokens in [[try word("stop")], [try word("st"), try word("op")], bytes("stop")] {
      let (pieces, isStopped) = assemble(bytes("say ") + tokens + bytes("more"), stops: ["stop"])
      #expect(pieces.joined() == "say ")
      #expect(isStopped)
    }
  }

  @Test func `what could become a stop string waits, and comes when it does not`() throws {
    let (pieces, isStopped) = assemble(bytes("a") + [try word("st")] + bytes("ay"), stops: ["stop"])
    #expect(pieces == ["a", "", "sta", "y", ""])
    #expect(!isStopped)
    #expect(assemble(bytes("as") + [try word("st")], stops: ["stop"]).pieces == ["a", "", "s", "st"])
  }

  @Test func `stop strings that repeat their own beginning are found`() {
    #expect(assemble(bytes("aaab"), stops: ["aab"]).pieces.joined() == "a")
    #expect(assemble(bytes("xababac"), stops: ["abac"]).pieces.joined() == "xab")
  }

  @Test func `of several stop strings the first in the text counts`() throws {
    let (pieces, isStopped) = assemble([try word("stop"), try word("END")], stops: ["END", "op"])
    #expect(pieces == ["st"])
    #expect(isStopped)
    #expect(assemble(bytes("abcx"), stops: ["abcd", "bc"]).pieces.joined() == "a")
  }

  @Test func `a stop string that begins another stops at once`() {
    for stops in [["abc", "ab"], ["ab", "abc"]] {
      let (pieces, isStopped) = assemble(bytes("xab"), stops: stops)
      #expect(pieces.joined() == "x")
      #expect(isStopped)
    }
  }

  @Test func `a stop string inside what might have become a longer one counts in the end`() {
    #expect(assemble(bytes("xabc"), stops: ["abcd", "bc"]).pieces.joined() == "xa")
  }

  @Test func `stop strings may be of any script, and empty ones are none`() throws {
    #expect(assemble([try word("한국")] + bytes("어"), stops: ["국어"]).pieces.joined() == "한")
    #expect(assemble([try word("👋🏽")], stops: ["👋"]).isStopped)
    #expect(assemble(bytes("abc"), stops: [""]).pieces.joined() == "abc")
  }

  @Test func `random tokens and stop strings give what a search in the whole text gives`() throws {
    var random = SeededRandom(4)
    for _ in 0..<400 {
      func letters(_ count: Int) -> String { String((0..<count).map { _ in random.below(2) == 0 ? "a" : "b" }) }
      let text = letters(12), stops = [letters(2 + random.below(3)), letters(2 + random.below(3))]
      let expected = stops.compactMap { text.range(of: $0)?.lowerBound }.min().map { String(text[..<$0]) } ?? text
      #expect(assemble(bytes(text), stops: stops).pieces.joined() == expected, "\(text) \(stops)")
    }
  }
}
