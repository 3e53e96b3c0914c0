// Streams must never show half a character.
import TestSupport
import Testing
import Tokenization

@Suite struct StreamingDecoderTests {
  static let texts = [
    "한국어 말모이를 읽는다.", "👨‍👩‍👧‍👦 and 🏳️‍🌈!", "é\u{301} ñ ½ €", "plain ASCII text", " leading space",
  ]

  @Test("Text is the same however its tokens arrive, and never broken", arguments: texts)
  func everySplit(_ text: String) throws {
    for model in [TokenizerModel.byteLevelBPE, .sentencePiece] {
      let tokenizer = try Tokenizer(reducedVocabulary(model))
      let ids = tokenizer.encode(text)
      for split in 0...ids.count {
        var decoder = StreamingDecoder(tokenizer)
        let head = decoder.append(contentsOf: ids[..<split])
        let tail = decoder.append(contentsOf: ids[split...]) + decoder.finish()
        #expect(head + tail == text)
        #expect(!head.unicodeScalars.contains("\u{FFFD}"))
      }
      var decoder = StreamingDecoder(tokenizer)
      let oneByOne = ids.map { decoder.append($0) }
      #expect(oneByOne.joined() + decoder.finish() == text)
    }
  }

  @Test func everyByteOfEveryCharacterMayComeAlone() throws {
    let tokenizer = try Tokenizer(handmadeSentencePiece(["▁"]))
    for text in Self.texts {
      let ids = Array(text.utf8).compactMap {
        tokenizer.id(ofPiece: "<0x" + ($0 < 16 ? "0" : "") + String($0, radix: 16, uppercase: true) + ">")
      }
      #expect(ids.count == text.utf8.count)
      var decoder = StreamingDecoder(tokenizer, continuesText: true)
      var seen = ""
      for (position, id) in ids.enumerated() {
        seen += decoder.append(id)
        // All complete characters so far have been given out.
        let whole = String(decoding: Array(text.utf8)[...position], as: UTF8.self)
        #expect(whole.unicodeScalars.elementsEqual(seen.unicodeScalars) || whole.unicodeScalars.last == "\u{FFFD}")
      }
      #expect(seen == text)
    }
  }

  @Test func anUnfinishedCharacterIsDroppedAndAnImpossibleOneReplaced() throws {
    let tokenizer = try Tokenizer(handmadeSentencePiece([]))
    func text(_ bytes: [UInt8]) throws -> String {
      tokenizer.decode(try bytes.map { try #require(tokenizer.encode(utf8: [$0], addsBoundaryTokens: false).last) })
    }
    #expect(try text([0x61, 0xF0, 0x9F, 0x98]) == "a")
    #expect(try text([0x61, 0xF0, 0x9F, 0x98, 0x61]) == "a\u{FFFD}a")
    #expect(try text([0xFF]) == "\u{FFFD}")
    #expect(try text([0xC0, 0x80]) == "\u{FFFD}\u{FFFD}")
    #expect(try text([0xE0, 0x80]) == "\u{FFFD}\u{FFFD}")
    #expect(try text([0xED, 0xA0]) == "\u{FFFD}\u{FFFD}")
  }

  @Test func theSpaceThatEncodingAddedIsLeftOutOnce() throws {
    let tokenizer = try Tokenizer(handmadeSentencePiece(["▁a", "▁", "a", "b"]))
    let ids = tokenizer.encode("a a")
    #expect(tokenizer.decode(ids) == "a a")
    #expect(tokenizer.decode(ids, skipSpecialTokens: false) == "<s> a a")
    #expect(tokenizer.decode(tokenizer.encode("  a")) == "  a")
    var decoder = StreamingDecoder(tokenizer, continuesText: true)
    #expect(decoder.append(contentsOf: ids) == " a a")
  }

  @Test func idsOutsideTheVocabularyAreNoText() throws {
    let tokenizer = try Tokenizer(reducedVocabulary(.byteLevelBPE))
    #expect(tokenizer.decode([-1, Int32.max, Int32.min, Int32(tokenizer.vocabularyCount)]) == "")
    #expect(tokenizer.piece(of: -1) == nil)
    #expect(tokenizer.bytes(of: Int32(tokenizer.vocabularyCount)) == [])
  }
}
