// Ids and offsets must be those of Hugging Face's library, for every kind of tokenizer that folders bring.
import Foundation
import TestSupport
import Testing
import Tokenization

@Suite struct HuggingFaceParityTests {
  struct Reference: Decodable {
    var lines = ""
    var sample = ""
    var bare = ""
    var pairs = ""
    var first: [Int32] = []
    var offsets: [[Int]] = []
    var decoded: [String] = []
    var truncated: [String: String] = [:]
    /// Of a model of SentencePiece's own.
    var ids = ""

    private enum CodingKeys: CodingKey { case lines, sample, bare, pairs, first, offsets, decoded, truncated, ids }

    init(from decoder: any Decoder) throws {
      let values = try decoder.container(keyedBy: CodingKeys.self)
      if values.contains(.ids) {
        ids = try values.decode(String.self, forKey: .ids)
        return
      }
      lines = try values.decode(String.self, forKey: .lines)
      sample = try values.decode(String.self, forKey: .sample)
      bare = try values.decode(String.self, forKey: .bare)
      pairs = try values.decode(String.self, forKey: .pairs)
      first = try values.decode([Int32].self, forKey: .first)
      offsets = try values.decode([[Int]].self, forKey: .offsets)
      decoded = try values.decode([String].self, forKey: .decoded)
      truncated = try values.decode([String: String].self, forKey: .truncated)
    }
  }

  private struct References: Decodable {
    /// Random lines with characters that are newer than the Unicode of Malmoi's tables.
    let skipped: Set<Int>
    let tokenizers: [String: Reference]
  }

  private static let stored = try? JSONDecoder().decode(References.self, from: fixture("encodings.json"))
  static let references: [String: Reference] = stored?.tokenizers ?? [:]
  static let names = references.keys.filter { !$0.hasPrefix("sp-") }.sorted()

  private static let signs = [
    "<s>", "</s> ", " <mask> ", "[SEP]", "[MASK]x", "<|im_start|>", " hello", "<tool>", "the  ", " a ", "<extra_id_0>",
  ]

  /// The lines of sample.txt and 10,000 random ones.
  private static let texts: (sample: String, lines: [String])? = {
    guard let data = try? fixture("sample.txt"), let random = try? ReferenceText.load() else { return nil }
    let sample = String(decoding: data, as: UTF8.self)
    var lines = sample.split(separator: "\n", omittingEmptySubsequences: false).dropLast().map { String($0) + "\n" }
    for number in 0..<10_500 where !(stored?.skipped.contains(number) ?? false) {
      lines.append(random.line(number) + signs[number % signs.count])
    }
    return (sample, lines)
  }()

  private func tokenizer(_ name: String) throws -> Tokenizer {
    try Tokenizer(folder: fixtureURL("Tokenizers").appendingPathComponent(name).path)
  }

  @Test func `there are references for every kind of tokenizer and 10,000 lines`() throws {
    #expect(Self.names.count == 26)
    #expect(try #require(Self.texts).lines.count > 10_000)
  }

  @Test("Ids, offsets, type ids and masks equal Hugging Face's on 10,000 lines", arguments: names)
  func encodings(_ name: String) throws {
    let reference = try #require(Self.references[name])
    let (sample, lines) = try #require(Self.texts)
    let tokenizer = try tokenizer(name)
    let first = try tokenizer.encoding(of: lines[0])
    #expect(first.ids == reference.first)
    #expect(first.offsets.map { [$0.lowerBound, $0.upperBound] } == reference.offsets)

    let digests = Array(reference.lines)
    var differing: [Int] = []
    for (number, start) in stride(from: 0, to: lines.count, by: 100).enumerated() {
      var digest = Checksum()
      for line in lines[start..<min(start + 100, lines.count)] { digest.add(try tokenizer.encoding(of: line)) }
      if digest.text != String(digests[8 * number..<8 * number + 8]) { differing.append(start) }
    }
    #expect(differing.isEmpty, "among the lines from \(differing)")

    var digest = Checksum()
    digest.add(try tokenizer.encoding(of: sample))
    #expect(digest.text == reference.sample)
    digest = Checksum()
    for line in lines[..<1000] { digest.add(try tokenizer.encoding(of: line, addsSpecialTokens: false)) }
    #expect(digest.text == reference.bare)
    digest = Checksum()
    for number in 0..<500 { digest.add(try tokenizer.encoding(of: lines[number], pair: lines[number + 500])) }
    #expect(digest.text == reference.pairs)
  }

  @Test("Ids of SentencePiece's own models equal SentencePiece's", arguments: [
    "sp-unigram", "sp-pairs", "sp-letters", "sp-words",
  ])
  func sentencePieceModels(_ name: String) throws {
    let reference = try #require(Self.references[name])
    let (_, lines) = try #require(Self.texts)
    let tokenizer = try tokenizer(name)
    var digest = Checksum()
    for line in lines[..<4000] {
      let scalars = line.unicodeScalars
      let isControl = ["<s>", "</s>", "<unk>", "\0"].contains { sign in
        scalars.indices.contains { scalars[$0...].starts(with: sign.unicodeScalars) }
      }
      if !isControl { digest.add(tokenizer.encode(line, addsBoundaryTokens: false)) }
    }
    #expect(digest.text == reference.ids)
  }

  @Test("What is written for GGUF encodes as the folder does", arguments: [
    "gpt2", "llama3", "starcoder", "bert-uncased", "llama2", "sp-unigram",
  ])
  func vocabularies(_ name: String) throws {
    let (_, lines) = try #require(Self.texts)
    let folder = fixtureURL("Tokenizers").appendingPathComponent(name).path
    let tokenizer = try Tokenizer(folder: folder)
    let written = try Tokenizer(TokenizerFolder(path: folder).vocabulary())
    #expect(written.vocabularyCount == tokenizer.vocabularyCount)
    for line in lines[..<90] {
      let text = String(line.dropLast())
      let ids = tokenizer.encode(text, addsBoundaryTokens: false)
      #expect(written.encode(text, addsBoundaryTokens: false) == ids, "\(text)")
    }
  }

  @Test("Word pieces and likely pieces out of GGUF are written as a tokenizer.json with the same ids", arguments: [
    "bert-uncased", "bert-cased", "bert-accents", "t5", "sp-unigram",
  ])
  func writtenFiles(_ name: String) throws {
    let (sample, lines) = try #require(Self.texts)
    let source = fixtureURL("Tokenizers").appendingPathComponent(name).path
    let vocabulary = try TokenizerFolder(path: source).vocabulary()
    let folder = try TemporaryFolder()
    for (file, text) in try vocabulary.folderFiles(chatTemplate: nil) { try folder.write(text.utf8, to: file) }
    let original = try Tokenizer(folder: source), file = try Tokenizer(vocabulary)
    let written = try Tokenizer(folder: folder.path(""))
    #expect(written.padding == file.padding && written.beginningOfSequence == file.beginningOfSequence)
    for line in [sample] + lines {
      // The ids of the original are those of Hugging Face's library, as `encodings` finds. SentencePiece itself takes
      // the longest entry of its map where Hugging Face's takes one for each character, marks what begins with a mark,
      // and keeps control characters at the end.
      let ids = written.encode(line, specialTokens: .all)
      if name == "sp-unigram" {
        if line.utf8.allSatisfy({ (0x20..<0x7F).contains($0) || $0 == 0x0A }) { #expect(ids == file.encode(line, specialTokens: .all), "\(line)") }
      } else {
        #expect(ids == original.encode(line, specialTokens: .all), "\(line)")
        if name != "t5" { #expect(ids == file.encode(line, specialTokens: .all), "\(line)") }
      }
    }
    for (a, b) in zip(lines[..<300], lines[300...]) where name != "sp-unigram" {
      let pair = try written.encoding(of: a, pair: b)
      #expect(pair.ids == (try original.encoding(of: a, pair: b).ids))
      #expect(pair.typeIDs == (try original.encoding(of: a, pair: b).typeIDs))
    }
  }

  @Test("Encoding for generation gives the ids of encoding with offsets", arguments: names)
  func quickIDs(_ name: String) throws {
    let (sample, lines) = try #require(Self.texts)
    let tokenizer = try tokenizer(name)
    for line in [sample] + lines[..<2000] {
      #expect(tokenizer.encode(line, specialTokens: .all) == (try tokenizer.encoding(of: line).ids))
      let plain = try tokenizer.encoding(of: line, addsSpecialTokens: false, specialTokens: .none)
      #expect(tokenizer.encode(line, addsBoundaryTokens: false) == plain.ids)
    }
  }

  @Test("Text is decoded as Hugging Face decodes it, all at once or as it comes", arguments: names)
  func decoding(_ name: String) throws {
    let reference = try #require(Self.references[name])
    let (_, lines) = try #require(Self.texts)
    let tokenizer = try tokenizer(name)
    for (number, expected) in reference.decoded.enumerated() {
      let ids = tokenizer.encode(lines[3 * number], specialTokens: .all)
      #expect(tokenizer.decode(ids) == expected)
    }
    for line in lines[..<500] {
      let ids = tokenizer.encode(line, specialTokens: .all)
      var decoder = StreamingDecoder(tokenizer)
      var streamed = ""
      for id in ids { streamed += decoder.append(id) }
      streamed += decoder.finish()
      #expect(Array(streamed.utf8) == Array(tokenizer.decode(ids).utf8))
    }
  }

  @Test("Truncated and padded batches equal Hugging Face's", arguments: names)
  func batches(_ name: String) throws {
    let reference = try #require(Self.references[name])
    let (_, lines) = try #require(Self.texts)
    let tokenizer = try tokenizer(name)
    #expect(reference.truncated.count == 6)
    for (key, expected) in reference.truncated {
      let words = key.split(separator: " ").map(String.init)
      let strategy = try #require(EncodingTruncation.Strategy(rawValue: words[0]))
      let side = try #require(EncodingSide(rawValue: words[1]))
      let truncation = EncodingTruncation(limit: 24, strategy: strategy, stride: 3, direction: side)
      let padding = EncodingPadding(side: side, multiple: 8, id: 1, typeID: 3)
      var digest = Checksum()
      for number in 0..<60 {
        let (a, b) = (lines[number], lines[number + 60])
        do {
          let batch = try tokenizer.encodings(of: [(a, b), (b, a)], truncation: truncation, padding: padding)
          for encoding in batch { digest.add(encoding) }
        } catch {
          digest.add([-7])
        }
      }
      #expect(digest.text == expected, "\(key)")
    }
  }
}

/// The CRC-32 of 32-bit integers, as Python's zlib gives it.
private struct Checksum {
  private static let table: [UInt32] = (0..<256).map { byte in
    (0..<8).reduce(UInt32(byte)) { value, _ in value & 1 != 0 ? 0xEDB8_8320 ^ value >> 1 : value >> 1 }
  }

  private var state: UInt32 = 0xFFFF_FFFF

  mutating func add(_ values: [Int32]) {
    for value in values {
      for shift in stride(from: UInt32(0), to: 32, by: 8) {
        let byte = UInt32(bitPattern: value) >> shift & 0xFF
        state = Self.table[Int((state ^ byte) & 0xFF)] ^ state >> 8
      }
    }
  }

  mutating func add(_ encoding: TokenEncoding) {
    add(encoding.ids)
    add(encoding.offsets.flatMap { [Int32($0.lowerBound), Int32($0.upperBound)] })
    add(encoding.typeIDs)
    add(encoding.specialTokensMask)
    add(encoding.attentionMask)
    add(encoding.sequences.map { $0.map { Int32($0) } ?? -1 })
  }

  var text: String {
    let digits = String(state ^ 0xFFFF_FFFF, radix: 16)
    return String(repeating: "0", count: 8 - digits.count) + digits
  }
}
