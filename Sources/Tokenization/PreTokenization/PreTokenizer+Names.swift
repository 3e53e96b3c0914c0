// The names that GGUF gives to pre-tokenizers and the expressions they stand for. Where a family's own expression and
// llama.cpp's rendering of it differ, these follow llama.cpp, since GGUF files are made and tested with it.

extension PreTokenizer {
  /// Every supported name.
  static let names: [String] = families.flatMap(\.names).sorted()

  /// The pre-tokenizer called `name`, where the empty name is `default`.
  package static func named(_ name: String) -> PreTokenizer? {
    families.first { $0.names.contains(name.isEmpty ? "default" : name) }?.make()
  }

  private struct Family: Sendable {
    let names: [String]
    let make: @Sendable () -> PreTokenizer
  }

  static let gpt2 = WordRule(
    contractions: .lowercase, prefix: .space, digitLimit: .max, trailing: .none, endsLines: false)
  static let llama3 = WordRule()
  static let qwen2 = WordRule(digitLimit: 1)
  private static let cased = WordRule(
    contractions: .none, separatesCase: true, digitLimit: 1, trailing: .newlinesAndSlashes)
  private static let chineseAndKana = CharacterSet(adding: "\u{4E00}-\u{9FA5}\u{3040}-\u{30FF}")
  private static let chineseAndKorean = CharacterSet(adding: "\u{800}-\u{9FA5}\u{AC00}-\u{D7FF}")

  private static func numbers(atMost limit: Int) -> Stage { .runs(RunRule(set: CharacterSet(.number), maximum: limit)) }
  private static let lineBreak = Stage.runs(RunRule(set: CharacterSet(adding: "\r\n"), maximum: 1))
  private static let threeDigits = Stage.runs(RunRule(set: CharacterSet(adding: "0-9"), minimum: 3, maximum: 3))
  /// Bloom's words: all but white space and these stops.
  private static let bloom = Stage.runs(
    RunRule(
      leading: .space,
      set: CharacterSet(.space, adding: "(|.,!?\u{2026}\u{3002}\u{FF0C}\u{3001}\u{964}\u{6D4}\u{60C})", negated: true)))

  private static let families: [Family] = [
    Family(names: ["default"]) {
      PreTokenizer(stages: [
        .runs(RunRule(set: CharacterSet(.punctuation, adding: "$+<=>^~|"))), .words(gpt2), numbers(atMost: .max),
        threeDigits,
      ])
    },
    Family(names: [
      "gpt-2", "phi-2", "jina-es", "jina-de", "gigachat", "jina-v2-es", "jina-v2-de", "a.x-4.0", "mellum",
      "modern-bert", "jina-v1-en", "jina-v2-code", "roberta-bpe", "mpt", "olmo", "jais", "trillion", "granite-docling",
      "exaone4",
    ]) { PreTokenizer(stages: [.words(gpt2)]) },
    Family(names: [
      "smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b", "mellum2",
    ]) { PreTokenizer(stages: [numbers(atMost: 1), .words(gpt2)]) },
    Family(names: ["falcon"]) {
      PreTokenizer(stages: [
        .runs(RunRule(set: CharacterSet(.punctuation, adding: "$+<=>^~|`"))), .words(gpt2), threeDigits,
      ])
    },
    Family(names: [
      "llama3", "llama-v3", "llama-bpe", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2", "jina-v5-nano",
    ]) { PreTokenizer(stages: [.words(llama3)], ignoresMerges: true, addsBeginningOfSequence: true) },
    Family(names: ["glm4", "glm5"]) { PreTokenizer(stages: [.words(llama3)], ignoresMerges: true) },
    Family(names: ["dbrx", "smaug-bpe", "chatglm-bpe"]) { PreTokenizer(stages: [.words(llama3)]) },
    Family(names: ["minicpm5"]) {
      PreTokenizer(stages: [numbers(atMost: 3), .words(WordRule(digitLimit: .max))], ignoresMerges: true)
    },
    Family(names: [
      "qwen2", "deepseek-r1-qwen", "kormo", "f2llmv2", "megrez", "stablelm2", "hunyuan", "solar-open", "grok-2",
      "bailingmoe", "bailingmoe2", "llada-moe",
    ]) { PreTokenizer(stages: [.words(qwen2)]) },
    Family(names: ["qwen35"]) {
      PreTokenizer(stages: [
        .words(WordRule(letters: [.letter, .mark], digitLimit: 1, symbols: [.punctuation, .symbol, .other]))
      ])
    },
    Family(names: ["seed-coder"]) { PreTokenizer(stages: [.words(WordRule(digitLimit: 1, trailing: .none))]) },
    Family(names: ["ufakzeka"]) { PreTokenizer(stages: [.words(WordRule(contractions: .none, digitLimit: 1))]) },
    Family(names: ["laguna"]) {
      PreTokenizer(stages: [.runs(RunRule(set: CharacterSet(adding: "\n")))] + [.words(qwen2)])
    },
    Family(names: ["tekken"]) {
      PreTokenizer(stages: [.words(cased)], ignoresMerges: true, addsBeginningOfSequence: true)
    },
    Family(names: ["gpt-4o", "llama4", "kanana2", "talkie", "minimax-m2"]) {
      var rule = cased
      rule.contractions = .anyCase
      rule.contractionsEndWords = true
      rule.digitLimit = 3
      return PreTokenizer(stages: [.words(rule)])
    },
    Family(names: ["deepseek-llm"]) {
      PreTokenizer(stages: [
        lineBreak,
        .runs(RunRule(leading: .whiteSpace, set: CharacterSet(ranges: deepSeekLetters))),
        .runs(
          RunRule(
            leading: .whiteSpace,
            set: CharacterSet(adding: "!-/:-~\u{FF01}-\u{FF0F}\u{FF1A}-\u{FF5E}\u{2018}-\u{201F}\u{3000}-\u{3002}"))),
        .finalSpaces, .runs(RunRule(set: chineseAndKorean)), numbers(atMost: .max),
      ])
    },
    Family(names: ["deepseek-coder"]) {
      PreTokenizer(stages: [
        lineBreak,
        .runs(RunRule(leading: .whiteSpace, set: CharacterSet(.letter))),
        .runs(RunRule(leading: .whiteSpace, set: CharacterSet(.punctuation))),
        .runs(RunRule(set: chineseAndKorean)), numbers(atMost: 1),
      ])
    },
    Family(names: ["deepseek-v3", "hunyuan-dense", "joyai-llm", "hy_v4"]) {
      let rule = WordRule(
        contractions: .none, prefix: .any(except: [.letter, .punctuation, .symbol]), letters: [.letter, .mark],
        symbols: [.punctuation, .symbol], joinsPunctuationToLetters: true)
      return PreTokenizer(stages: [numbers(atMost: 3), .runs(RunRule(set: chineseAndKana)), .words(rule)])
    },
    Family(names: ["bloom", "poro-chat", "gpt3-finnish"]) { PreTokenizer(stages: [bloom]) },
    Family(names: ["viking"]) { PreTokenizer(stages: [bloom, numbers(atMost: 1)]) },
  ]

  /// The cased letters of Unicode 11 as DeepSeek's `tokenizer.json` lists them.
  private static let deepSeekLetters: [ClosedRange<UInt32>] = [
    0x41...0x5A, 0x61...0x7A, 0xB5...0xB5, 0xC0...0xD6, 0xD8...0xF6, 0xF8...0x1BA, 0x1BC...0x1BF, 0x1C4...0x293,
    0x295...0x2AF, 0x370...0x373, 0x376...0x376, 0x377...0x377, 0x37B...0x37D, 0x37F...0x37F, 0x386...0x386,
    0x388...0x38A, 0x38C...0x38C, 0x38E...0x3A1, 0x3A3...0x3F5, 0x3F7...0x481, 0x48A...0x52F, 0x531...0x556,
    0x10A0...0x10C5, 0x13A0...0x13F5, 0x13F8...0x13FD, 0x1C90...0x1CBA, 0x1CBD...0x1CBF, 0x1D00...0x1D2B,
    0x1D6B...0x1D77, 0x1D79...0x1D9A, 0x1E00...0x1F15, 0x1F18...0x1F1D, 0x1F20...0x1F45, 0x1F48...0x1F4D,
    0x1F50...0x1F57, 0x1F59...0x1F59, 0x1F5B...0x1F5B, 0x1F5D...0x1F5D, 0x1F5F...0x1F7D, 0x1F80...0x1FB4,
    0x1FB6...0x1FBC, 0x1FBE...0x1FBE, 0x1FC2...0x1FC4, 0x1FC6...0x1FCC, 0x1FD0...0x1FD3, 0x1FD6...0x1FDB,
    0x1FE0...0x1FEC, 0x1FF2...0x1FF4, 0x1FF6...0x1FFC, 0x2102...0x2102, 0x2107...0x2107, 0x210A...0x2113,
    0x2115...0x2115, 0x2119...0x211D, 0x2124...0x2124, 0x2126...0x2126, 0x2128...0x2128, 0x212A...0x212D,
    0x212F...0x2134, 0x2139...0x2139, 0x213C...0x213F, 0x2145...0x2149, 0x214E...0x214E, 0x2183...0x2183,
    0x2184...0x2184, 0x2C00...0x2C7B, 0x2C7E...0x2CE4, 0x2CEB...0x2CEE, 0x2CF2...0x2CF2, 0x2CF3...0x2CF3,
    0xA640...0xA66D, 0xA680...0xA69B, 0xA722...0xA76F, 0xA771...0xA787, 0xA78B...0xA78E, 0xAB70...0xABBF,
    0xFB00...0xFB06, 0xFB13...0xFB17, 0xFF21...0xFF3A, 0xFF41...0xFF5A, 0x10400...0x1044F, 0x104B0...0x104D3,
    0x104D8...0x104FB, 0x10C80...0x10CB2, 0x10CC0...0x10CF2, 0x118A0...0x118DF, 0x1E900...0x1E943,
  ]
}
