// What is wrong with a text is said with its file and line, the same for any number of threads.
import Foundation
import TestSupport
import Testing
import TrainingData

@Suite struct MalformedTextTests {
  private func failure(_ folder: TemporaryFolder, _ name: String, threads: Int = 1) throws -> TrainingDataError? {
    #expect(throws: TrainingDataError.self) {
      try TokenCorpus.prepare(
        folder.sources(name), tokenizer: chatTokenizer(), options: smallSizes(threads: threads),
        cache: folder.path("cache"))
    }
  }

  @Test(arguments: [1, 2, 5]) func theFirstBadLineIsNamed(threads: Int) throws {
    let folder = try TemporaryFolder()
    let good = jsonLines(documents(50))
    for (line, message) in [
      ("{\"text\": 5}", "text: expected a string, found an integer"), ("{\"txt\": \"a\"}", "text: missing"),
      ("{\"text\": \"a\"", "JSON: expected ',' or '}' at byte 12"), ("[1]", "JSON: expected an object, found an array"),
    ] {
      try folder.write(good + line + "\n" + good + "nonsense\n", to: "texts.jsonl")
      let error = try #require(try failure(folder, "texts.jsonl", threads: threads))
      #expect(error.line == 51)
      #expect(error.path?.hasSuffix("texts.jsonl") == true)
      #expect(error.description.hasSuffix(message))
    }
  }

  @Test func bytesThatAreNotUTF8AreNamedWithTheirLine() throws {
    let folder = try TemporaryFolder()
    let text = documents(30).joined(separator: "\n")
    let lines = text.count { $0 == "\n" }
    for name in ["bad.txt", "bad.jsonl"] {
      let good = name == "bad.txt" ? text + "\n" : jsonLines(documents(30))
      try folder.write(Array(good.utf8) + Array("ab".utf8) + [0xFF, 0x0A] + Array(good.utf8), to: name)
      let error = try #require(try failure(folder, name))
      #expect(error.line == (name == "bad.txt" ? lines + 2 : 31))
      #expect(error.message.contains("not UTF-8 at byte 2"))
    }
  }

  @Test func badLinesCanBeLeftOutAndCounted() throws {
    let folder = try TemporaryFolder(), tokenizer = try chatTokenizer()
    try folder.write(
      Array("the sea\n".utf8) + [0xC3, 0x28, 0x0A] + Array("the earth\n".utf8) + [0x80], to: "a.txt")
    try folder.write(jsonLines(["heaven"]) + "nonsense\n{\"text\":null}\n" + jsonLines(["form"]), to: "b.jsonl")
    var options = CorpusOptions()
    options.skipsBad = true
    let corpus = try TokenCorpus.prepare(
      folder.sources("a.txt", "b.jsonl"), tokenizer: tokenizer, options: options, cache: folder.path("cache"))
    #expect(corpus.skippedLineCount == 4)
    #expect(try tokenizer.decode(corpus.tokens(0..<corpus.tokenCount), skipSpecialTokens: false)
      == "the sea\nthe earth\n<|im_end|>heaven<|im_end|>form<|im_end|>")
  }

  @Test func damagedCompressionIsAnError() throws {
    let folder = try TemporaryFolder()
    folder.compress(jsonLines(documents(2000)), to: "whole.jsonl.gz")
    let whole = try Data(contentsOf: folder.file("whole.jsonl.gz"))
    try folder.write(whole.prefix(whole.count / 2), to: "cut.jsonl.gz")
    var damaged = whole
    for place in stride(from: whole.count / 2, to: whole.count / 2 + 50, by: 1) { damaged[place] ^= 0x55 }
    try folder.write(damaged, to: "damaged.jsonl.gz")
    for name in ["cut.jsonl.gz", "damaged.jsonl.gz"] {
      let error = try #require(try failure(folder, name, threads: 2))
      #expect(error.path?.hasSuffix(name) == true)
    }
  }

  @Test func aJSONFileIsNoCorpus() throws {
    let folder = try TemporaryFolder()
    try folder.write("[]", to: "texts.json")
    #expect(try failure(folder, "texts.json")?.message.contains("JSON Lines") == true)
  }
}
