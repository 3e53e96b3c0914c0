// Messages about vocabularies quote them, and vocabularies come from strangers.
import Testing
import Tokenization

@Suite struct PrintableTextTests {
  @Test func `text is kept where it can be shown and spelled out where not`() {
    #expect("말모이 – é".printable == "말모이 – é")
    #expect("a\n\u{1b}[0m\u{7f}\u{2028}\u{202e}".printable == "a\\u{a}\\u{1b}[0m\\u{7f}\\u{2028}\\u{202e}")
    #expect(String(repeating: "x", count: 81).printable == String(repeating: "x", count: 80) + "…")
    #expect(String(repeating: "x", count: 80).printable.count == 80)
    #expect("abc".printable(atMost: 2) == "ab…")
  }

  @Test func `an error about a vocabulary is one short line whatever the vocabulary says`() {
    let text = "\r\n\u{2029}" + String(repeating: "x", count: 1 << 16)
    let errors: [TokenizerError] = [
      .duplicatePiece(text, first: 0, second: 1), .malformedMerge(index: 0, text, reason: "no space"),
      .malformedByteToken(id: 0, text), .unknownPreTokenizer(text, supported: ["default"]),
    ]
    for error in errors {
      #expect(error.description.split(whereSeparator: \.isNewline).count == 1)
      #expect(error.description.utf8.count < 400)
    }
  }
}
