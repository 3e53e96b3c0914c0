// A Unigram vocabulary is as good as the likelihood that it gives the text; Hugging Face's is the measure.
import Foundation
import JSON
import TestSupport
import Testing
import TokenizerTraining

@Suite struct UnigramTests {
  @Test("The text is at most 0.5 % less likely than with Hugging Face's vocabulary", arguments: References.unigram)
  func likelihood(_ reference: UnigramReference) throws {
    let tokenizer = try train(
      .unigram(normalizes: false), reference.file, TrainingOptions(vocabularySize: reference.size, threads: 2))
    #expect(tokenizer.tokens.count == reference.size)
    let own = logProbability(of: try words(reference.file), tokenizer)
    #expect(own.isFinite && own >= reference.likelihood * 1.005, "\(own) against \(reference.likelihood)")
  }

  @Test("Threads do not change the result")
  func threads() throws {
    func json(_ threads: Int) throws -> [UInt8] {
      try train(.unigram(normalizes: true), "korean.txt", TrainingOptions(vocabularySize: 600, threads: threads)).json()
    }
    let alone = try json(1)
    #expect(try json(2) == alone)
    #expect(try json(5) == alone)
  }

  @Test("All characters are in the vocabulary, compatibility forms only without NFKC")
  func normalization() throws {
    let file = try TemporaryFile("ﬁne ｆｉｎｅ Å Å 한글 한글\n".utf8)
    func tokens(_ normalizes: Bool) throws -> Set<[UInt8]> {
      Set(try TokenizerTrainer(.unigram(normalizes: normalizes), options: TrainingOptions(vocabularySize: 60))
        .train(files: [file.path]).tokens)
    }
    #expect(try tokens(false).contains(Array("ﬁ".utf8)))
    let normalized = try tokens(true)
    #expect(!normalized.contains(Array("ﬁ".utf8)))
    for character in "▁fine\u{C5}한글\n".unicodeScalars.map(String.init) {
      #expect(normalized.contains(Array(character.utf8)), "\(character.debugDescription)")
    }
  }

  @Test("The file is a Unigram model with its unknown token")
  func file() throws {
    let tokenizer = try train(
      .unigram(normalizes: true), "korean.txt", TrainingOptions(vocabularySize: 600, specialTokens: ["<s>"]))
    let json = try JSONValue(parsing: tokenizer.json())
    #expect(json["model"]?["type"] == "Unigram")
    #expect(json["model"]?.int("unk_id") == 0)
    #expect(json["normalizer"]?["type"] == "NFKC")
    #expect(json["model"]?.array("vocab").count == 600)
    #expect(json.array("added_tokens").map { $0.string("content") } == ["<unk>", "<s>"])
  }

  private func words(_ file: String) throws -> [String: Int] {
    var words: [String: Int] = [:]
    for line in String(decoding: try fixture(file), as: UTF8.self).components(separatedBy: "\n").dropLast() {
      let parts = (line + "\n").split(separator: " ", omittingEmptySubsequences: false)
      // A line that begins with a space has its mark already.
      for part in line.hasPrefix(" ") ? parts.dropFirst() : parts[...] { words["▁" + part, default: 0] += 1 }
    }
    return words
  }

  /// The log-probability of the words, each cut in the likeliest way.
  private func logProbability(of words: [String: Int], _ tokenizer: TrainedTokenizer) -> Double {
    let scores = Dictionary(zip(tokenizer.tokens, tokenizer.scores).dropFirst()) { first, _ in first }
    var total = 0.0
    for (word, count) in words {
      let bytes = Array(word.utf8)
      var best = [0.0] + [Double](repeating: -.infinity, count: bytes.count)
      for start in bytes.indices where best[start].isFinite {
        for end in start + 1..<min(bytes.count, start + 64) + 1 {
          guard let score = scores[Array(bytes[start..<end])] else { continue }
          best[end] = max(best[end], best[start] + score)
        }
      }
      total += Double(count) * best[bytes.count]
    }
    return total
  }
}
