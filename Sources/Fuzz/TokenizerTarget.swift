// A vocabulary comes from the file, the text from whoever uses the model; neither is to be trusted.
import Checkpoints
import Tokenization

struct TokenizerTarget: Target {
  private let sketches = [ModelSketch.sentencePiece(), .sentencePiece()]
    + Tokenizer.supportedPreTokenizers.map(ModelSketch.byteLevel)
  private let texts = TextMutator(
    corpus: [
      "Hello, the hello world! It's 12345 — 3.14 I'LL <x><x> <|im_start|>user\nthe <|im_end|>\n\n\t  the",
      "말모이는 '말을 모으다'라는 뜻이다. <s>the</s> é😀👩‍👩‍👧 ﷽ Ǆǅ １２３", "              the      \r\n\r\n x",
      "aaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    ],
    dictionary: [
      " ", "  ", "\n", "\r\n", "\t", "▁", "the", "'s", "'LL", "1", "123", "é", "e\u{301}", "말", "😀", "\u{200D}",
      "\u{FEFF}", "\u{10FFFF}", "\0", "<x>", "<s>", "</s>", "<unk>", "<0x41>", "<|im_end|>", "<", ">", "ſ", "İ", "中文",
      "．", "!!!", "$",
    ],
    signs: ["<|im_start|>", "<|im_end|>", "<x>", "<s>", "</s>"])

  func input(_ random: inout SeededGenerator) -> [UInt8] {
    var sketch = random.pick(sketches)
    if !random.chance(3) { for _ in 0...random.below(3) { sketch.change(&random) } }
    var text = texts.input(&random)
    for _ in 0..<random.below(4) { text.damage(&random) }
    if let place = sketch.metadata.firstIndex(where: { $0.key == ModelSketch.textKey }) {
      sketch.metadata[place].value = .array(GGUFArray(text))
    }
    return sketch.encoded(noise: [0]) ?? []
  }

  func use(_ input: [UInt8]) throws {
    let file = try GGUFFile(data: input, name: "fuzz.gguf")
    let tokenizer = try Tokenizer(file.tokenizerVocabulary())
    let text = file.metadata[ModelSketch.textKey]?.array?.numbers(as: UInt8.self) ?? []
    let halves = [0..<text.count / 3, text.count / 2..<text.count]
    for parsing in [SpecialTokenParsing.none, .all, .within(halves)] {
      let tokens = text.withUnsafeBufferPointer { tokenizer.encode(utf8: $0, specialTokens: parsing) }
      let count = tokenizer.vocabularyCount
      promise(tokens.allSatisfy { $0 >= 0 && $0 < count }, "all of \(tokens) are tokens below \(count)")
      // A space may become the three bytes of ▁, and may be added before every byte that follows a special token.
      promise(tokens.count <= 6 * text.count + 5, "\(text.count) bytes are \(tokens.count) tokens")
      let decoded = tokenizer.decode(tokens)
      var decoder = StreamingDecoder(tokenizer)
      var streamed = ""
      for token in tokens { streamed += decoder.append(token) }
      streamed += decoder.finish()
      promise(Array(streamed.utf8) == Array(decoded.utf8), "a stream gives what decoding gives")
    }
    _ = tokenizer.decode([-1, Int32.min, Int32.max, 0, 1, 2], skipSpecialTokens: false)
  }
}
