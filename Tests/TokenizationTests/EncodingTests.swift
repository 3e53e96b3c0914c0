// What callers may rely on whatever the vocabulary: nothing is lost, and special tokens only where allowed.
import Foundation
import TestSupport
import Testing
import Tokenization

@Suite struct EncodingTests {
  @Test(
    "Text comes back from its tokens",
    arguments: [
      "", " ", "a", "  leading and trailing  ", "line\nbreaks\r\n\n\n", "한국어 말모이", "👨‍👩‍👧‍👦🏳️‍🌈", "▁ is a character",
      "tabs\tand\u{a0}other\u{3000}spaces", "0123456789", "<0x41> <s> </s> <bos>", "\u{0}\u{1}\u{7F}",
    ])
  func roundTrip(_ text: String) throws {
    // SentencePiece spells a space ▁, so a written ▁ becomes a space.
    let withSpaces = text.replacingOccurrences(of: "▁", with: " ")
    for vocabulary in [try reducedVocabulary(.sentencePiece), handmadeSentencePiece(["▁a", "▁", "an", "a", "한"])] {
      let tokenizer = try Tokenizer(vocabulary)
      #expect(tokenizer.decode(tokenizer.encode(text)) == withSpaces)
    }
    let tokenizer = try Tokenizer(reducedVocabulary(.byteLevelBPE))
    #expect(tokenizer.decode(tokenizer.encode(text)) == text)
  }

  @Test func randomLinesComeBackFromTheirTokens() throws {
    let text = try ReferenceText.load()
    let tokenizer = try Tokenizer(reducedVocabulary(.byteLevelBPE))
    for number in 0..<300 {
      let line = text.line(number)
      #expect(tokenizer.decode(tokenizer.encode(line)) == line)
    }
  }

  @Test func controlTokensAreParsedOnlyWhereAllowed() throws {
    let tokenizer = try Tokenizer(reducedVocabulary(.byteLevelBPE))
    let start = try #require(tokenizer.id(ofPiece: "<|im_start|>"))
    let text = "<|im_start|>user <|im_start|>"
    #expect(!tokenizer.encode(text).contains(start))
    #expect(tokenizer.encode(text, specialTokens: .all).count { $0 == start } == 2)
    let inFirst = tokenizer.encode(text, specialTokens: .within([0..<12]))
    #expect(inFirst.first == start)
    #expect(inFirst.count { $0 == start } == 1)
    #expect(!tokenizer.encode(text, specialTokens: .within([1..<12, 13..<20])).contains(start))
    #expect(tokenizer.decode(inFirst, skipSpecialTokens: false) == text)
    #expect(tokenizer.decode(inFirst) == "user <|im_start|>")
  }

  @Test func userDefinedTokensAreAlwaysParsedAndTheLongestWins() throws {
    let tokenizer = try Tokenizer(reducedVocabulary(.sentencePiece))
    let three = try #require(tokenizer.id(ofPiece: "\n\n\n"))
    let table = try #require(tokenizer.id(ofPiece: "<table>"))
    #expect(tokenizer.encode("\n\n\n<table>", addsBoundaryTokens: false) == [three, table])
    #expect(tokenizer.decode([table]) == "<table>")
  }

  @Test func boundaryTokensAreAddedWhereTheVocabularyAsks() throws {
    var vocabulary = try reducedVocabulary(.sentencePiece)
    vocabulary.addsEndOfSequence = true
    let tokenizer = try Tokenizer(vocabulary)
    #expect(tokenizer.encode("") == [2, 1])
    #expect(tokenizer.encode("", addsBoundaryTokens: false) == [])
    let ids = tokenizer.encode("a")
    #expect(ids.first == 2 && ids.last == 1 && ids.count == 3)
  }

  @Test func spaceAroundSpecialTokensIsSwallowedWhereAsked() throws {
    var vocabulary = handmadeByteLevel(further: ["<|x|>", "<|y|>"])
    let count = vocabulary.pieces.count
    vocabulary.kinds[count - 2] = .control
    vocabulary.kinds[count - 1] = .control
    vocabulary.swallowsSpaceAfter = [Int32(count - 2)]
    vocabulary.swallowsSpaceBefore = [Int32(count - 1)]
    let tokenizer = try Tokenizer(vocabulary)
    let ids = tokenizer.encode("a <|x|> \n b \t<|y|> c", specialTokens: .all)
    #expect(tokenizer.decode(ids, skipSpecialTokens: false) == "a <|x|>b<|y|> c")
  }

  @Test func mergesGoByRankAndThenFromTheLeft() throws {
    let tokenizer = try Tokenizer(handmadeByteLevel(merges: ["b c", "a b", "a a", "aa a"]))
    func pieces(_ text: String) -> [String] { tokenizer.encode(text).compactMap { tokenizer.piece(of: $0) } }
    #expect(pieces("abc") == ["a", "bc"])
    #expect(pieces("aaaa") == ["aa", "aa"])
    #expect(pieces("aaaaa") == ["aa", "aaa"])
  }

  @Test func sentencePieceMergesByScoreAndFallsBackToBytes() throws {
    let tokenizer = try Tokenizer(handmadeSentencePiece(["bc", "ab", "▁", "a", "b", "c", "▁ab"]))
    func pieces(_ text: String) -> [String] {
      tokenizer.encode(text, addsBoundaryTokens: false).compactMap { tokenizer.piece(of: $0) }
    }
    #expect(pieces("abc") == ["▁", "a", "bc"])
    #expect(pieces("ab") == ["▁ab"])
    #expect(pieces("é") == ["▁", "<0xC3>", "<0xA9>"])
  }

  @Test func bytesThatAreNotUTF8AreTreatedAsDocumented() throws {
    let bytes: [UInt8] = [0x61, 0xFF, 0x20, 0xE3, 0x20, 0x62]
    let sentencePiece = try Tokenizer(reducedVocabulary(.sentencePiece))
    let ids = sentencePiece.encode(utf8: bytes, addsBoundaryTokens: false)
    // A broken lead swallows the ▁ that a space has become, so its bytes come back instead of the space.
    let space: [UInt8] = [0xE2, 0x96, 0x81]
    #expect(ids.flatMap { sentencePiece.bytes(of: $0) } == [0x61, 0xFF] + space + [0xE3] + space + [0x62])
    let byteLevel = try Tokenizer(reducedVocabulary(.byteLevelBPE))
    #expect(byteLevel.decode(byteLevel.encode(utf8: bytes)) == "a\u{FFFD} \u{FFFD} b")
    #expect(byteLevel.encode(utf8: [0xC1, 0xA1]) == byteLevel.encode("a"))
    let surrogate: [UInt8] = [0xED, 0xA0, 0x80]
    #expect(byteLevel.encode(utf8: surrogate).flatMap { byteLevel.bytes(of: $0) } == surrogate)
    #expect(byteLevel.decode(byteLevel.encode(utf8: [0xF4, 0x90, 0x80, 0x80])) == "\u{FFFD}\u{FFFD}\u{FFFD}\u{FFFD}")
    #expect(byteLevel.decode(byteLevel.encode(utf8: [0x61, 0xF0, 0x9F])) == "a\u{FFFD}\u{FFFD}")
  }

  @Test func manyThreadsMayEncodeAtOnce() async throws {
    let tokenizer = try Tokenizer(reducedVocabulary(.byteLevelBPE))
    let text = try ReferenceText.load()
    let lines = (0..<40).map { text.line($0) }
    let expected = lines.map { tokenizer.encode($0) }
    await withTaskGroup(of: Bool.self) { group in
      for _ in 0..<8 { group.addTask { lines.map { tokenizer.encode($0) } == expected } }
      for await isEqual in group { #expect(isEqual) }
    }
  }
}
