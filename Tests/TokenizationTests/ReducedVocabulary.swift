// Small vocabularies for tests: parts of real ones from Fixtures, and some made by hand.
import Foundation
import TestSupport
import Tokenization

/// Reads the files that Fixtures/make_references.py writes with `write_vocab`.
private struct VocabularyFile {
  private let data: [UInt8]
  private var at = 0

  init(_ name: String) throws { data = [UInt8](try fixture(name)) }

  private mutating func integer(_ size: Int) -> Int {
    defer { at += size }
    return (0..<size).reduce(0) { $0 | Int(data[at + $1]) << (8 * $1) }
  }

  mutating func strings() -> PackedStrings {
    var strings = PackedStrings()
    for _ in 0..<integer(4) {
      let length = integer(2)
      strings.append(data[at..<at + length])
      at += length
    }
    return strings
  }

  mutating func kinds(_ count: Int) -> [TokenKind] {
    (0..<count).compactMap { _ in TokenKind(rawValue: UInt8(integer(1))) }
  }

  mutating func scores() -> [Float] {
    var scores: [Float] = []
    while at < data.count { scores.append(Float(bitPattern: UInt32(integer(4)))) }
    return scores
  }
}

func reducedVocabulary(_ model: TokenizerModel) throws -> TokenizerVocabulary {
  var file = try VocabularyFile(model == .byteLevelBPE ? "byte-level.vocab" : "sentencepiece.vocab")
  var vocabulary = TokenizerVocabulary(model: model, pieces: file.strings())
  vocabulary.merges = file.strings()
  vocabulary.kinds = file.kinds(vocabulary.pieces.count)
  vocabulary.scores = file.scores()
  if model == .byteLevelBPE {
    vocabulary.preTokenizer = "smollm"
    vocabulary.beginningOfSequence = 1
    vocabulary.endOfSequence = 2
    vocabulary.addsBeginningOfSequence = false
  } else {
    vocabulary.beginningOfSequence = 2
    vocabulary.endOfSequence = 1
    vocabulary.unknown = 3
    vocabulary.addsSpacePrefix = false
  }
  return vocabulary
}

/// `<unk> <s> </s>`, the 256 bytes, then `pieces`, better ones first.
func handmadeSentencePiece(_ pieces: [String]) -> TokenizerVocabulary {
  let bytes = (0..<256).map { "<0x" + ($0 < 16 ? "0" : "") + String($0, radix: 16, uppercase: true) + ">" }
  var vocabulary = TokenizerVocabulary(
    model: .sentencePiece, pieces: PackedStrings(["<unk>", "<s>", "</s>"] + bytes + pieces))
  vocabulary.kinds =
    [.unknown, .control, .control] + Array(repeating: .byte, count: 256) + pieces.map { _ in .normal }
  vocabulary.scores = Array(repeating: 0, count: 259) + pieces.indices.map { -Float($0) }
  return vocabulary
}

/// A byte-level vocabulary of ASCII letters and what `merges` make of them.
func handmadeByteLevel(merges: [String] = ["a b"], further: [String] = []) -> TokenizerVocabulary {
  let letters = (0x21...0x7E).map { String(UnicodeScalar(UInt8($0))) } + ["Ġ", "Ċ"]
  let merged = merges.map { $0.split(separator: " ").joined() }
  var vocabulary = TokenizerVocabulary(model: .byteLevelBPE, pieces: PackedStrings(letters + merged + further))
  vocabulary.kinds = Array(repeating: .normal, count: vocabulary.pieces.count)
  vocabulary.merges = PackedStrings(merges)
  vocabulary.preTokenizer = "gpt-2"
  return vocabulary
}
