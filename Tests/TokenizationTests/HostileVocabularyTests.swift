// Vocabularies come from files of strangers: what contradicts itself is refused by name, and nothing crashes or hangs.
import Testing
import Tokenization

@Suite struct HostileVocabularyTests {
  private func refuses(_ error: TokenizerError, _ vocabulary: TokenizerVocabulary) {
    #expect(throws: error) { try Tokenizer(vocabulary) }
  }

  @Test func countsThatDisagreeAreRefused() {
    refuses(.emptyVocabulary, TokenizerVocabulary(model: .byteLevelBPE, pieces: PackedStrings()))
    var vocabulary = handmadeByteLevel()
    let count = vocabulary.pieces.count
    vocabulary.kinds.removeLast()
    refuses(.countMismatch(field: "token kinds", count: count - 1, expected: count), vocabulary)
    vocabulary = handmadeSentencePiece(["a"])
    vocabulary.scores.append(0)
    refuses(.countMismatch(field: "scores", count: 261, expected: 260), vocabulary)
  }

  @Test func idsOutOfRangeAreRefused() {
    for id in [Int32(-1), 97, .max, .min] {
      var vocabulary = handmadeByteLevel()
      vocabulary.endOfSequence = id
      refuses(.idOutOfRange(field: "end of sequence", id: id, count: 97), vocabulary)
      vocabulary = handmadeByteLevel()
      vocabulary.furtherEndOfGeneration = [id]
      refuses(.idOutOfRange(field: "end of generation", id: id, count: 97), vocabulary)
    }
    var vocabulary = handmadeByteLevel()
    vocabulary.addsBeginningOfSequence = true
    refuses(.missingID(field: "beginning of sequence", neededBy: "adding it"), vocabulary)
  }

  @Test func piecesThatCannotBeToldApartAreRefused() {
    refuses(.duplicatePiece("ab", first: 96, second: 97), handmadeByteLevel(further: ["ab"]))
    let long = String(repeating: "x", count: 5000)
    refuses(.pieceTooLong(id: 97, bytes: 5000, limit: 4096), handmadeByteLevel(further: [long]))
    var vocabulary = handmadeByteLevel(further: [String(long.prefix(600))])
    vocabulary.kinds[97] = .control
    refuses(.pieceTooLong(id: 97, bytes: 600, limit: 512), vocabulary)
  }

  @Test(
    "Merges that are not two pieces making a third are refused",
    arguments: ["ab", "a ", " ab", "", " ", "  ", "a q q", "a é", "a c"])
  func malformedMerge(_ merge: String) {
    var vocabulary = handmadeByteLevel()
    vocabulary.merges = PackedStrings(["a b", merge])
    #expect {
      try Tokenizer(vocabulary)
    } throws: { error in
      guard case .malformedMerge(index: 1, merge, _) = error as? TokenizerError else { return false }
      return true
    }
  }

  @Test func whatTheModelNeedsMustBeThere() {
    var vocabulary = handmadeByteLevel()
    vocabulary.merges = PackedStrings()
    refuses(.missingMerges, vocabulary)
    vocabulary = handmadeByteLevel()
    vocabulary.preTokenizer = "no-such"
    refuses(.unknownPreTokenizer("no-such", supported: Tokenizer.supportedPreTokenizers), vocabulary)

    var pieces = handmadeSentencePiece([]).pieces.map { Array($0) }
    pieces[3 + 0x41] = Array("else".utf8)
    vocabulary = handmadeSentencePiece([])
    vocabulary.pieces = PackedStrings(pieces.map { String(decoding: $0, as: UTF8.self) })
    vocabulary.kinds[3 + 0x41] = .normal
    refuses(.missingByteToken(0x41), vocabulary)
    vocabulary.kinds[3 + 0x41] = .byte
    refuses(.malformedByteToken(id: 0x44, "else"), vocabulary)

    vocabulary = handmadeSentencePiece(["a"])
    vocabulary.scores[259] = .nan
    refuses(.invalidScore(id: 259), vocabulary)
  }

  @Test func errorsSayWhatIsWrong() {
    let error = TokenizerError.unknownPreTokenizer("x", supported: ["gpt-2", "smollm"])
    #expect("\(error)" == "tokenizer: unknown pre-tokenizer 'x'; supported: gpt-2, smollm")
    #expect("\(TokenizerError.missingByteToken(0xA))".hasSuffix("0xA"))
  }

  @Test func randomVocabulariesNeverCrash() throws {
    var random = SplitMix64(state: 7)
    let text = try ReferenceText.load()
    for round in 0..<200 {
      var pieces = handmadeSentencePiece([]).pieces
      for _ in 0..<random.below(60) { pieces.append((0..<random.below(6)).map { _ in UInt8(random.below(256)) }) }
      let kinds = (0..<pieces.count).map { id -> TokenKind in
        id < 259 ? .normal : TokenKind(rawValue: UInt8(1 + random.below(5))) ?? .normal
      }
      var vocabulary = TokenizerVocabulary(model: round % 2 == 0 ? .sentencePiece : .byteLevelBPE, pieces: pieces)
      vocabulary.kinds = kinds
      vocabulary.scores = kinds.map { _ in [0, -0.0, 1, -.infinity, .infinity, -7][random.below(6)] }
      vocabulary.merges = PackedStrings([["0 0", "0 x", "x x"][random.below(3)]])
      guard let tokenizer = try? Tokenizer(vocabulary) else { continue }
      for line in 0..<5 {
        var bytes = Array(text.line(round * 5 + line).utf8)
        bytes.insert(UInt8(random.below(256)), at: random.below(bytes.count + 1))
        let ids = tokenizer.encode(utf8: bytes, specialTokens: .all)
        #expect(ids.allSatisfy { $0 >= 0 && $0 < tokenizer.vocabularyCount })
        _ = tokenizer.decode(ids)
      }
    }
  }
}
