// Files and settings that make no tokenizer are refused with what is wrong, and nothing is hung or half done.
import Foundation
import TestSupport
import Testing
import TokenizerTraining

@Suite struct HostileTextTests {
  private func failure(
    _ files: [String], _ algorithm: TokenizerTrainer.Algorithm = .byteLevelBPE(.gpt2), threads: Int = 2
  ) -> TrainingError? {
    #expect(throws: TrainingError.self) {
      try TokenizerTrainer(algorithm, options: TrainingOptions(vocabularySize: 300, threads: threads))
        .train(files: files)
    }
  }

  @Test("Bytes that are not UTF-8 are named with their place", arguments: [
    ([0xFF], 0), ([0x41, 0xC0, 0x80], 1), ([0xED, 0xA0, 0x80], 0), ([0xF4, 0x90, 0x80, 0x80], 0),
    ([0xE2, 0x96], 0), (Array("ok 말".utf8) + [0x80], 6), ([0xF0, 0x8F, 0xBF, 0xBF], 0),
  ] as [([UInt8], Int)])
  func notUTF8(bytes: [UInt8], offset: Int) throws {
    let file = try TemporaryFile(bytes)
    #expect(failure([file.path]) == .notUTF8(path: file.path, offset: offset))
    // The same behind several pieces of good text.
    let good = Data(repeating: 0x61, count: 9_999_999) + [0x0A]
    let late = try TemporaryFile(good + bytes)
    #expect(failure([late.path], threads: 1) == .notUTF8(path: late.path, offset: good.count + offset))
  }

  @Test("Missing files, folders and files without text are refused")
  func files() throws {
    let empty = try TemporaryFile([])
    #expect(failure([]) == .noFiles)
    #expect(failure([empty.path]) == .noText([empty.path]))
    #expect(failure([empty.path + "-missing"])
      == .unreadable(path: empty.path + "-missing", reason: "No such file or directory"))
    let folder = FileManager.default.temporaryDirectory.path
    #expect(failure([folder]) == .unreadable(path: folder, reason: "it is a folder"))
    let spaces = try TemporaryFile("  \n \n".utf8)
    #expect(failure([spaces.path], .wordPiece(lowercases: true)) == .noText([spaces.path]))
  }

  @Test("Settings out of range are refused")
  func settings() {
    func refusal(_ options: TrainingOptions) -> TrainingError? {
      #expect(throws: TrainingError.self) { try TokenizerTrainer(.byteLevelBPE(.gpt2), options: options) }
    }
    for size in [Int.min, -1, 0, 1 << 25, Int.max] {
      #expect(refusal(TrainingOptions(vocabularySize: size))
        == .setting("the vocabulary's size", value: size, allowed: 1...(1 << 24)))
    }
    #expect(refusal(TrainingOptions(vocabularySize: 500, minimumFrequency: -1)) != nil)
    #expect(refusal(TrainingOptions(vocabularySize: 500, alphabetLimit: 0)) != nil)
    #expect(refusal(TrainingOptions(vocabularySize: 500, threads: 0)) != nil)
    #expect(refusal(TrainingOptions(vocabularySize: 500, specialTokens: ["a", "b", "a"])) == .repeatedSpecialToken("a"))
    #expect(refusal(TrainingOptions(vocabularySize: 500, specialTokens: [""])) == .emptySpecialToken)
    #expect(throws: TrainingError.self) { try BytePreTokenizer(named: "gpt-2\u{1B}") }
  }

  @Test("A vocabulary far larger than the text can fill takes no room")
  func tooLarge() throws {
    let file = try TemporaryFile("aaab aab ab\n".utf8)
    for algorithm in [
      TokenizerTrainer.Algorithm.byteLevelBPE(.gpt2), .wordPiece(lowercases: true), .unigram(normalizes: false),
    ] {
      let options = TrainingOptions(vocabularySize: 1 << 24, minimumFrequency: 0)
      let count = try TokenizerTrainer(algorithm, options: options).train(files: [file.path]).tokens.count
      #expect((4...300).contains(count))
    }
  }

  @Test("A vocabulary without room for its alphabet is refused")
  func tooSmall() throws {
    for algorithm in [
      TokenizerTrainer.Algorithm.byteLevelBPE(.gpt2), .wordPiece(lowercases: true), .unigram(normalizes: false),
    ] {
      #expect(throws: TrainingError.self) { try train(algorithm, "korean.txt", TrainingOptions(vocabularySize: 20)) }
    }
  }

  @Test("A file that is one endless word is learnt from", arguments: [
    TokenizerTrainer.Algorithm.byteLevelBPE(.llama), .wordPiece(lowercases: false), .unigram(normalizes: true),
  ])
  func oneWord(algorithm: TokenizerTrainer.Algorithm) throws {
    let file = try TemporaryFile(repeatElement(Array("말모이".utf8), count: 40_000).joined())
    let tokenizer = try TokenizerTrainer(
      algorithm, options: TrainingOptions(vocabularySize: 300, specialTokens: ["말"], threads: 2)
    ).train(files: [file.path])
    #expect(tokenizer.tokens.count > 3)
    #expect(!tokenizer.json().isEmpty)
  }

  @Test("Two spellings of one character are two tokens, and special tokens may be spelled like text")
  func canonicalEquivalents() throws {
    let file = try TemporaryFile(String(repeating: "\u{E9} e\u{301} \u{C5} \u{212B}\n", count: 5).utf8)
    let tokenizer = try TokenizerTrainer(
      .wordPiece(lowercases: false), options: TrainingOptions(vocabularySize: 50, specialTokens: ["\u{E9}"])
    ).train(files: [file.path])
    for token in ["\u{E9}", "e", "\u{C5}", "\u{212B}", "e\u{301}"] {
      #expect(tokenizer.tokens.contains(Array(token.utf8)), "\(token.debugDescription)")
    }
    #expect(tokenizer.tokens.count == Set(tokenizer.tokens).count)
  }

  @Test("An observer that throws ends the training")
  func interruption() throws {
    struct Enough: Error {}
    for algorithm in [TokenizerTrainer.Algorithm.byteLevelBPE(.gpt2), .unigram(normalizes: false)] {
      let trainer = try TokenizerTrainer(algorithm, options: TrainingOptions(vocabularySize: 5000, minimumFrequency: 1))
      #expect(throws: Enough.self) {
        try trainer.train(files: [fixtureURL("english.txt").path]) {
          if case .reading = $0 { return }
          throw Enough()
        }
      }
    }
  }
}
