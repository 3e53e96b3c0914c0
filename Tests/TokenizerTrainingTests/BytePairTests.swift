// Byte-level BPE has one right answer: the merges of Hugging Face's trainer, in its order.
import Foundation
import JSON
import TestSupport
import Testing
import TokenizerTraining

@Suite struct BytePairTests {
  static let special = ["<|endoftext|>", "a"]

  @Test("There are references to compare with")
  func references() {
    #expect(References.bytePair.count == 20)
    #expect(References.wordPiece.count == 4)
    #expect(References.unigram.count == 3)
  }

  @Test("The merges are those of Hugging Face's trainer, in its order", arguments: References.bytePair, [1, 2])
  func merges(_ reference: BytePairReference, threads: Int) throws {
    let tokenizer = try train(
      .byteLevelBPE(BytePreTokenizer(named: reference.preTokenizer)), reference.file,
      TrainingOptions(
        vocabularySize: reference.size, minimumFrequency: reference.minimum, specialTokens: Self.special,
        threads: threads))
    #expect(tokenizer.merges.flatMap { [Int($0.first), Int($0.second)] } == reference.merges)
    #expect(tokenizer.tokens.count == reference.count)
  }

  @Test("The tokenizer.json says what Hugging Face's says")
  func file() throws {
    let tokenizer = try train(
      .byteLevelBPE(.llama), "korean.txt", TrainingOptions(vocabularySize: 700, specialTokens: Self.special))
    let own = try JSONValue(parsing: tokenizer.json()), reference = try JSONValue(parsing: fixture("korean-700.json"))
    for field in ["version", "added_tokens", "normalizer", "pre_tokenizer"] { #expect(own[field] == reference[field]) }
    #expect(own["decoder"]?["type"] == reference["decoder"]?["type"])
    for field in ["type", "merges"] { #expect(own["model"]?[field] == reference["model"]?[field]) }
    guard case .object(let vocabulary) = own["model"]?["vocab"],
      case .object(let expected) = reference["model"]?["vocab"]
    else {
      Issue.record("no vocabulary")
      return
    }
    #expect(Dictionary(uniqueKeysWithValues: vocabulary.map { ($0, $1) })
      == Dictionary(uniqueKeysWithValues: expected.map { ($0, $1) }))
  }

  @Test("Where files are cut into pieces changes nothing: a text many times over has the merges of one")
  func pieces() throws {
    let text = try fixture("english.txt")
    let times = 150
    // Lines are cut at other places when one more stands before them.
    let shifted = try TemporaryFile(Data("x\n".utf8) + (0..<times).flatMap { _ in text + [0x0A] })
    func merges(_ path: String, minimum: Int, threads: Int) throws -> [UInt32] {
      try TokenizerTrainer(
        .byteLevelBPE(.gpt2),
        options: TrainingOptions(vocabularySize: 2000, minimumFrequency: minimum, threads: threads)
      ).train(files: [path]).merges.flatMap { [$0.first, $0.second] }
    }
    let once = try merges(fixtureURL("english.txt").path, minimum: 2, threads: 1)
    #expect(once.count > 2000)
    for threads in [1, 3] { #expect(try merges(shifted.path, minimum: 2 * times, threads: threads) == once) }
  }

  @Test("A limited alphabet keeps the most frequent bytes")
  func limitedAlphabet() throws {
    let file = try TemporaryFile("zzzz yyy xx w\n".utf8)
    let options = TrainingOptions(vocabularySize: 300, minimumFrequency: 2, alphabetLimit: 10)
    let tokenizer = try TokenizerTrainer(.wordPiece(lowercases: true), options: options).train(files: [file.path])
    let limited = try TokenizerTrainer(
      .wordPiece(lowercases: true),
      options: TrainingOptions(vocabularySize: 300, minimumFrequency: 2, alphabetLimit: 2)
    ).train(files: [file.path])
    func spelled(_ tokenizer: TrainedTokenizer) -> [String] {
      tokenizer.tokens.map { String(decoding: $0, as: UTF8.self) }
    }
    #expect(spelled(tokenizer).prefix(5) == ["[UNK]", "w", "x", "y", "z"])
    #expect(spelled(limited).prefix(3) == ["[UNK]", "y", "z"])
    #expect(!spelled(limited).contains { $0.contains("x") || $0.contains("w") })
  }
}

@Suite struct WordPieceTests {
  @Test(
    "The vocabulary is that of Hugging Face's trainer, given its order of characters", arguments: References.wordPiece)
  func vocabulary(_ reference: WordPieceReference) throws {
    var trainer = try TokenizerTrainer(
      .wordPiece(lowercases: reference.lowercases),
      options: TrainingOptions(vocabularySize: reference.size, specialTokens: ["[UNK]", "[CLS]"]))
    trainer.continuations = reference.vocabulary.compactMap { token in
      let scalars = Array(token.unicodeScalars)
      return scalars.count == 3 && token.hasPrefix("##") ? scalars[2].value : nil
    }
    let tokenizer = try trainer.train(files: [fixtureURL(reference.file).path])
    #expect(tokenizer.tokens == reference.vocabulary.map { Array($0.utf8) })
  }

  @Test("Without that order the size is the same, and so are all but ties", arguments: References.wordPiece)
  func ownOrder(_ reference: WordPieceReference) throws {
    let tokenizer = try train(
      .wordPiece(lowercases: reference.lowercases), reference.file,
      TrainingOptions(vocabularySize: reference.size, specialTokens: ["[CLS]"]))
    let common = Set(tokenizer.tokens).intersection(reference.vocabulary.map { Array($0.utf8) }).count
    #expect(abs(tokenizer.tokens.count - reference.vocabulary.count) <= 5)
    #expect(Double(common) > 0.9 * Double(reference.vocabulary.count))
  }
}
