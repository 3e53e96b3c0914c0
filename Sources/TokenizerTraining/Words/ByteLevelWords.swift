// Words of byte-level tokenizers: the same pre-tokenizers that encode text for published models.
import Tokenization

/// How text is cut before bytes are merged.
public enum BytePreTokenizer: String, Sendable, CaseIterable {
  /// GPT-2's expression.
  case gpt2 = "gpt-2"
  /// Every digit alone, then GPT-2's expression.
  case smollm
  /// Llama 3's: numbers of up to three digits, line breaks with what is before them.
  case llama = "llama-bpe"
  /// Llama 3's with every digit alone.
  case qwen2

  /// - Throws: ``TrainingError/unknownPreTokenizer(_:supported:)``
  public init(named name: String) throws(TrainingError) {
    guard let known = Self(rawValue: name) else {
      throw .unknownPreTokenizer(name, supported: Self.allCases.map(\.rawValue))
    }
    self = known
  }
}

struct ByteLevelWords: WordSplitter {
  private let rule: PreTokenizer

  init(_ preTokenizer: BytePreTokenizer) throws(TrainingError) {
    guard let rule = PreTokenizer.named(preTokenizer.rawValue) else {
      throw .unknownPreTokenizer(preTokenizer.rawValue, supported: [])
    }
    self.rule = rule
  }

  func forEachWord(in line: UnsafeBufferPointer<UInt8>, _ body: (UnsafeBufferPointer<UInt8>) -> Void) {
    WellFormedText.with(line) { text in
      rule.forEachWord(in: text) { body(UnsafeBufferPointer(start: text.base + $0, count: $1 - $0)) }
    }
  }
}
