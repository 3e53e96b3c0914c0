// What a tokenizer makes of a text, in the numbers by which tokenizers are chosen.
import Tokenization

/// How many tokens a tokenizer needs for a sample, in all and for each kind of words.
public struct TokenizerReport: Sendable, Encodable {
  public struct Row: Sendable, Encodable {
    /// The kind of words; nil for the text as a whole.
    public var kind: WordKind?
    /// Unicode scalars.
    public var characters: Int
    public var bytes: Int
    public var words: Int
    public var tokens: Int
    public var tokensPerCharacter: Double
    public var tokensPerWord: Double
    public var bytesPerToken: Double

    init(_ tokenizer: Tokenizer, kind: WordKind?, text: String, words: Int) {
      self.kind = kind
      self.words = words
      characters = text.unicodeScalars.count
      bytes = text.utf8.count
      tokens = tokenizer.encode(text, addsBoundaryTokens: false).count
      func ratio(_ a: Int, _ b: Int) -> Double { b == 0 ? 0 : Double(a) / Double(b) }
      tokensPerCharacter = ratio(tokens, characters)
      tokensPerWord = ratio(tokens, words)
      bytesPerToken = ratio(bytes, tokens)
    }
  }

  public var name: String
  public var vocabularySize: Int
  public var rows: [Row]

  /// Encodes the sample as a whole, then the words of each kind by themselves, without tokens that begin or end a text.
  public init(name: String, tokenizer: Tokenizer, sample: TextSample) {
    self.name = name
    vocabularySize = tokenizer.vocabularyCount
    rows = [Row(tokenizer, kind: nil, text: sample.text, words: sample.words.values.reduce(0, +))]
    for kind in WordKind.allCases {
      guard let part = sample.parts[kind] else { continue }
      rows.append(Row(tokenizer, kind: kind, text: part, words: sample.words[kind] ?? 0))
    }
  }
}
