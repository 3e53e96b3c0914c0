// Text to shards: nothing lost, nothing twice, the same for any number of threads.
import Foundation
import TestSupport
import Testing
import Tokenization
import TrainingData

@Suite struct CorpusTests {
  private func stream(_ corpus: TokenCorpus) throws -> [Int32] { try corpus.tokens(0..<corpus.tokenCount) }

  @Test func tokensAreThoseOfHuggingFaceWithAnEndAfterEachDocument() throws {
    let folder = try TemporaryFolder(), references = try References(), tokenizer = try chatTokenizer()
    try folder.write(jsonLines(references.texts.map(\.text)), to: "texts.jsonl")
    let corpus = try TokenCorpus.prepare(
      folder.sources("texts.jsonl"), tokenizer: tokenizer, cache: folder.path("cache"))
    let end = try #require(tokenizer.endOfSequence)
    #expect(try stream(corpus) == references.texts.flatMap { $0.ids + [end] })
    #expect(corpus.documentCount == references.texts.count)
    #expect(corpus.byteCount == references.texts.reduce(0) { $0 + $1.text.utf8.count })
  }

  @Test(arguments: [true, false]) func threadsChangeNothing(deduplicates: Bool) throws {
    let folder = try TemporaryFolder(), tokenizer = try chatTokenizer()
    let texts = documents(300)
    try folder.write(jsonLines(Array(texts[..<150]) + texts[..<50]), to: "a.jsonl")
    folder.compress(jsonLines(Array(texts[150...])), to: "b.jsonl.gz")
    try folder.write(texts[..<40].joined(separator: "<|sep|>"), to: "c.txt")
    let files = try folder.sources("a.jsonl", "b.jsonl.gz", "c.txt")
    var made: [[String: Data]] = []
    for threads in [1, 2, 5] {
      var options = smallSizes(threads: threads)
      options.deduplicates = deduplicates
      options.separator = "<|sep|>"
      let corpus = try TokenCorpus.prepare(
        files, tokenizer: tokenizer, options: options, cache: folder.path("cache-\(threads)"))
      made.append(try contents(of: corpus.path))
      // The texts in c.txt are those of a.jsonl again; long ones, which come in pieces, are not known for the same.
      let expected = deduplicates ? texts : Array(texts[..<150]) + texts[..<50] + texts[150...] + texts[..<40]
      if !deduplicates { #expect(corpus.documentCount == expected.count) }
      #expect(corpus.documentCount + corpus.duplicateCount == 390)
    }
    #expect(made[0].count > 8)
    #expect(made[0] == made[1])
    #expect(made[0] == made[2])
  }

  @Test func longDocumentsInPiecesHaveTheTokensOfTheWhole() throws {
    let folder = try TemporaryFolder(), tokenizer = try chatTokenizer()
    let texts = documents(12, words: 300)
    try folder.write("\u{FEFF}" + texts.joined(separator: "\n---\n"), to: "long.txt")
    var options = smallSizes(threads: 3)
    options.separator = "\n---\n"
    let corpus = try TokenCorpus.prepare(
      folder.sources("long.txt"), tokenizer: tokenizer, options: options, cache: folder.path("cache"))
    let end = try #require(tokenizer.endOfSequence)
    #expect(try tokenizer.decode(stream(corpus), skipSpecialTokens: false)
      == texts.map { $0 + "<|im_end|>" }.joined())
    #expect(corpus.documentCount == 12)
    #expect(corpus.byteCount == texts.reduce(0) { $0 + $1.utf8.count })
    // A document that is read again in other company has the same pieces, so the same tokens.
    try folder.write("x\n---\n" + texts[3] + "\n---\n", to: "one.txt")
    let one = try TokenCorpus.prepare(
      folder.sources("one.txt"), tokenizer: tokenizer, options: options, cache: folder.path("cache"))
    let all = try stream(corpus).split(separator: end), alone = try stream(one).split(separator: end)
    #expect(all[3] == alone[1])
  }

  @Test func aWholeFileIsOneDocumentAndCompressionIsNothing() throws {
    let folder = try TemporaryFolder(), tokenizer = try chatTokenizer()
    let text = documents(40).joined(separator: "\n")
    try folder.write(text, to: "plain.txt")
    folder.compress(text, to: "packed.txt.gz")
    let plain = try TokenCorpus.prepare(folder.sources("plain.txt"), tokenizer: tokenizer, cache: folder.path("cache"))
    let packed = try TokenCorpus.prepare(
      folder.sources("packed.txt.gz"), tokenizer: tokenizer, cache: folder.path("cache"))
    #expect(plain.path != packed.path)
    #expect(plain.documentCount == 1)
    #expect(try stream(plain) == stream(packed))
    #expect(try stream(plain) == tokenizer.encode(text) + [tokenizer.endOfSequence].compactMap(\.self))
  }

  @Test func ofEqualDocumentsTheFirstStaysEvenIfTheyAreLong() throws {
    let folder = try TemporaryFolder(), tokenizer = try chatTokenizer()
    let long = documents(1, words: 4000)[0]
    let texts = ["the sea", long, "the  \n sea ", "The sea", long, "the\tsea", long + " more", "heaven"]
    try folder.write(texts.joined(separator: "|||"), to: "texts.txt")
    var options = smallSizes(threads: 2)
    options.separator = "|||"
    options.deduplicates = true
    let corpus = try TokenCorpus.prepare(
      folder.sources("texts.txt"), tokenizer: tokenizer, options: options, cache: folder.path("cache"))
    #expect(corpus.duplicateCount == 3)
    let kept = ["the sea", long, "The sea", long + " more", "heaven"]
    #expect(try tokenizer.decode(stream(corpus), skipSpecialTokens: false) == kept.map { $0 + "<|im_end|>" }.joined())
    #expect(corpus.byteCount == kept.reduce(0) { $0 + $1.utf8.count })
  }

  @Test func blankDocumentsAreLeftOut() throws {
    let folder = try TemporaryFolder(), tokenizer = try chatTokenizer()
    try folder.write(jsonLines(["the sea", "", " \n", "heaven"]) + "\n\n", to: "texts.jsonl")
    try folder.write("|||  |||the earth|||\n", to: "texts.txt")
    var options = CorpusOptions()
    options.separator = "|||"
    let corpus = try TokenCorpus.prepare(
      folder.sources("texts.jsonl", "texts.txt"), tokenizer: tokenizer, options: options, cache: folder.path("cache"))
    #expect(try tokenizer.decode(stream(corpus), skipSpecialTokens: false)
      == "the sea<|im_end|>heaven<|im_end|>the earth<|im_end|>")
    #expect(corpus.blankCount == 4)
    try folder.write("\n", to: "nothing.txt")
    #expect(throws: TrainingDataError.self) {
      try TokenCorpus.prepare(folder.sources("nothing.txt"), tokenizer: tokenizer, cache: folder.path("cache"))
    }
  }

  @Test func boundaryTokensAreWhatTheTokenizerWants() throws {
    let folder = try TemporaryFolder()
    try folder.write("the sea", to: "text.txt")
    func made(_ tokenizer: Tokenizer, _ end: CorpusOptions.EndOfText = .automatic) throws -> [Int32] {
      var options = CorpusOptions()
      options.endOfText = end
      return try stream(
        TokenCorpus.prepare(
          folder.sources("text.txt"), tokenizer: tokenizer, options: options, cache: folder.path("cache")))
    }
    let bert = try smallTokenizer("bert-uncased"), gpt2 = try smallTokenizer("gpt2"), t5 = try smallTokenizer("t5")
    #expect(try made(bert) == bert.encode("the sea"))
    #expect(try made(bert).first == bert.id(ofPiece: "[CLS]"))
    #expect(try made(gpt2) == gpt2.encode("the sea") + [0])
    #expect(try made(t5) == t5.encode("the sea"))
    #expect(try made(gpt2, .none) == gpt2.encode("the sea"))
    #expect(try made(gpt2, .token(5)) == gpt2.encode("the sea") + [5])
    #expect(throws: TrainingDataError.self) { try made(gpt2, .token(420)) }
  }

  @Test func specialTokensInTextAreText() throws {
    let folder = try TemporaryFolder(), tokenizer = try chatTokenizer()
    try folder.write("a<|im_end|>b", to: "text.txt")
    let corpus = try TokenCorpus.prepare(folder.sources("text.txt"), tokenizer: tokenizer, cache: folder.path("cache"))
    #expect(try stream(corpus).count { $0 == tokenizer.endOfSequence } == 1)
  }

  @Test func vocabulariesBeyond16BitsTakeFourBytes() throws {
    let folder = try TemporaryFolder()
    let tokenizer = try smallTokenizer("gpt2") { json in
      guard case .object(var root) = json, case .array(let tokens)? = root["added_tokens"] else { return }
      root["added_tokens"] = .array(
        tokens + (420...66_000).map { number in
          [
            "id": .int(number), "content": .string("<x\(number)>"), "single_word": false, "lstrip": false,
            "rstrip": false, "normalized": false, "special": number < 66_000 ? true : false,
          ]
        })
      json = .object(root)
    }
    try folder.write("the <x66000> sea", to: "text.txt")
    let corpus = try TokenCorpus.prepare(
      folder.sources("text.txt"), tokenizer: tokenizer, options: smallSizes(), cache: folder.path("cache"))
    #expect(try stream(corpus).contains(66_000))
    #expect(try stream(corpus) == tokenizer.encode("the <x66000> sea") + [0])
    let shard = try #require(try contents(of: corpus.path)["tokens-00000.bin"])
    #expect(shard.count == corpus.tokenCount * 4)
  }
}
