// Token ids must be llama.cpp's: a model fed other tokens than it was tested with gets quietly worse.
import Foundation
import TestSupport
import Testing
import Tokenization

private struct Reference: Decodable {
  /// End-of-generation ids.
  let ends: [Int32]
  /// Eight hexadecimal digits for each line of the sample and then each random line.
  let lines: String
  /// The hash of the whole sample.
  let sample: String
  /// The ids of the first line.
  let first: [Int32]

  static let all: [String: Reference] = {
    guard let data = try? fixture("references.json") else { return [:] }
    return (try? JSONDecoder().decode([String: Reference].self, from: data)) ?? [:]
  }()
}

@Suite struct LlamaParityTests {
  static let byteLevel: [String] = Reference.all.keys.filter { !$0.hasPrefix("sentencepiece") }.sorted()
  static let sentencePiece: [String] = Reference.all.keys.filter { $0.hasPrefix("sentencepiece") }.sorted()

  @Test func thereAreReferencesForBothKinds() {
    #expect(Self.byteLevel.count == 25)
    #expect(Self.sentencePiece.count == 4)
  }

  @Test("Byte-level ids equal llama.cpp's with every pre-tokenizer", arguments: byteLevel)
  func byteLevelIDs(_ name: String) throws {
    var vocabulary = try reducedVocabulary(.byteLevelBPE)
    vocabulary.preTokenizer = name.components(separatedBy: ",")[0]
    try check(name, Tokenizer(vocabulary))
  }

  @Test("SentencePiece ids equal llama.cpp's", arguments: sentencePiece)
  func sentencePieceIDs(_ name: String) throws {
    var vocabulary = try reducedVocabulary(.sentencePiece)
    vocabulary.addsSpacePrefix = name.contains("space prefix")
    try check(name, Tokenizer(vocabulary))
  }

  private func check(_ name: String, _ tokenizer: Tokenizer) throws {
    let reference = try #require(Reference.all[name])
    let parsing: SpecialTokenParsing = name.contains("special tokens") ? .all : .none
    let sample = String(decoding: try fixture("sample.txt"), as: UTF8.self)
    var lines = sample.split(separator: "\n", omittingEmptySubsequences: false).dropLast().map { String($0) + "\n" }
    let randomText = try ReferenceText.load()
    let randomCount = reference.lines.utf8.count / 8 - lines.count
    lines += (0..<randomCount).map { randomText.line($0) }

    #expect(tokenizer.encode(lines[0], specialTokens: parsing) == reference.first)
    #expect(tokenizer.endOfGeneration == reference.ends)
    let hashes = Array(reference.lines)
    var differing: [String] = []
    for (number, line) in lines.enumerated() {
      let expected = String(hashes[8 * number..<8 * number + 8])
      if shortHash(tokenizer.encode(line, specialTokens: parsing)) != expected {
        differing.append("\(number): \(line)")
      }
    }
    #expect(randomCount == 600)
    #expect(differing.isEmpty, "\(differing.count) lines differ, first \(differing.first ?? "")")
    let whole = tokenizer.encode(sample, specialTokens: parsing)
    #expect(fnv1a(whole) == UInt64(reference.sample, radix: 16))
  }
}
