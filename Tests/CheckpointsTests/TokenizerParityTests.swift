// With a real model's own vocabulary, Malmoi must give the very tokens that llama.cpp gives, on whole books.
import Checkpoints
import Foundation
import TestSupport
import Testing
import Tokenization

@Suite(.enabled(if: TestModels.areComplete, "needs models and texts: see Fixtures/README.md"))
struct TokenizerParityTests {
  /// tokenizer-parity.json, made by tokenizer_parity.py.
  struct References: Decodable {
    struct Text: Decodable {
      let count: Int
      let hash: String
    }
    struct Model: Decodable {
      let texts: [String: Text]
      let strings: [String]
      let pieces: Pieces
    }
    struct Pieces: Decodable {
      let count: Int
      let bytes: String
      let encoded: String
    }
    let texts: [String: String]
    let strings: String
    let models: [String: Model]

    static func stored() throws -> References {
      try JSONDecoder().decode(References.self, from: try fixture("tokenizer-parity.json"))
    }
  }

  static func tokenizer(_ model: String) throws -> Tokenizer {
    try Tokenizer(try GGUFFile(path: try #require(TestModels.path(model))).tokenizerVocabulary())
  }

  @Test("Books give the tokens of llama.cpp", arguments: TestModels.ggufNames, TestModels.bookNames + ["source.txt"])
  func books(model: String, text: String) throws {
    let references = try References.stored()
    let url = try text == "source.txt" ? fixtureURL(text) : URL(fileURLWithPath: #require(TestModels.path(text)))
    let bytes = try Data(contentsOf: url)
    try #require(Self.hash(bytes) == references.texts[text], "\(text) is not the text that the references were made of")
    let expected = try #require(references.models[model]?.texts[text])
    let ids = try Self.tokenizer(model).encode(String(decoding: bytes, as: UTF8.self))
    #expect(ids.count == expected.count)
    #expect(Self.hash(ids) == expected.hash)
  }

  @Test("Every token stands for the bytes that llama.cpp gives it, and these bytes give the same tokens",
    arguments: TestModels.ggufNames)
  func pieces(model: String) throws {
    let expected = try #require(try References.stored().models[model]?.pieces)
    let tokenizer = try Self.tokenizer(model)
    #expect(tokenizer.vocabularyCount == expected.count)
    let pieces = (0..<Int32(tokenizer.vocabularyCount)).map(tokenizer.bytes(of:))
    #expect(Self.hash(pieces.joined()) == expected.bytes)
    let ids = pieces.flatMap { piece in
      piece.withUnsafeBufferPointer { tokenizer.encode(utf8: $0, addsBoundaryTokens: false) }
    }
    #expect(Self.hash(ids) == expected.encoded)
  }

  @Test("Random strings give the tokens of llama.cpp, with and without special ones", arguments: TestModels.ggufNames)
  func strings(model: String) throws {
    let references = try References.stored()
    var random = SeededGenerator(state: 7)
    let strings = (0..<10_000).map { _ in Self.randomString(&random) }
    try #require(Self.hash(Array(strings.joined().utf8)) == references.strings, "the script makes the same strings")
    let expected = try #require(references.models[model]?.strings)
    let tokenizer = try Self.tokenizer(model)
    for (hundred, hash) in expected.enumerated() {
      let ids = (hundred * 100..<hundred * 100 + 100).flatMap { index in
        tokenizer.encode(strings[index], specialTokens: index % 2 == 1 ? .all : .none)
      }
      #expect(Self.hash(ids) == hash, "strings \(hundred * 100) to \(hundred * 100 + 99)")
    }
  }

  @Test("Decoding gives the text back", arguments: TestModels.ggufNames)
  func decodes(model: String) throws {
    let text = try String(contentsOf: fixtureURL("source.txt"), encoding: .utf8)
    let tokenizer = try Self.tokenizer(model)
    #expect(tokenizer.decode(tokenizer.encode(text, addsBoundaryTokens: false)) == text)
  }

  /// FNV-1a.
  static func hash(_ bytes: some Sequence<UInt8>) -> String {
    let hash = bytes.reduce(0xCBF2_9CE4_8422_2325 as UInt64) { ($0 ^ UInt64($1)) &* 0x100_0000_01B3 }
    let digits = String(hash, radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
  }

  static func hash(_ ids: [Int32]) -> String { ids.withUnsafeBytes { hash($0) } }

  /// As in tokenizer_parity.py.
  static func randomString(_ random: inout SeededGenerator) -> String {
    var text = ""
    for _ in 0..<random.below(12) {
      if random.below(4) == 0 {
        text += snippets[random.below(snippets.count)]
        continue
      }
      let range = ranges[random.below(ranges.count)]
      for _ in 0...random.below(6) {
        let scalar = Unicode.Scalar(range.lowerBound + UInt32(random.below(range.count)))
        if let scalar { text.unicodeScalars.append(scalar) }
      }
    }
    return text
  }

  static let ranges: [ClosedRange<UInt32>] = [
    0x20...0x7E, 0x61...0x7A, 0x41...0x5A, 0x30...0x39, 0x20...0x20, 0x09...0x0D, 0x01...0x1F, 0x80...0x24F,
    0x300...0x36F, 0x370...0x52F, 0x590...0x6FF, 0x900...0x97F, 0xE00...0xE7F, 0x1100...0x11FF, 0x2000...0x206F,
    0x2070...0x27BF, 0x3000...0x30FF, 0x4E00...0x9FFF, 0xAC00...0xD7A3, 0xFE00...0xFFFD, 0x1D400...0x1D7FF,
    0x1F300...0x1F64F, 0x20000...0x2A6DF, 0x800...0xD7FF,
  ]
  static let snippets = [
    "'s", "'LL", "don't", "\r\n", "\n\n", "    ", "100,000", "3.14", "https://", "the ", " the", "<|im_start|>",
    "<|im_end|>", "<|endoftext|>", "<start_of_turn>", "<end_of_turn>", "<eos>", "<0x41>", "▁", "Ġ", "말모이", "👩‍🌾",
    "def f(x):",
  ]
}
