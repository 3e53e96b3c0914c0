// A report is only as good as its sorting of words.
import Testing
import TokenizerTraining

@Suite struct ReportTests {
  @Test("Words are sorted by how they are written", arguments: [
    ("naïve", .latin), ("don't,", .latin), ("말모이는", .hangul), ("GPU를", .hangul), ("漢字", .han), ("1,234.5", .digits),
    ("--threads=2", .code), ("x_1", .code), ("Sources/JSON", .code), ("слово", .other), ("…", .other),
  ] as [(String, WordKind)])
  func kinds(word: String, kind: WordKind) {
    var sample = TextSample()
    sample.add(" \(word)\n")
    #expect(sample.words == [kind: 1])
    #expect(sample.parts == [kind: word])
    sample.add("\(word) b2")
    #expect(sample.parts[kind]?.hasPrefix(word + " " + word) == true)
  }
}
