// What a training gives: a tokenizer.json that Hugging Face's libraries read as their own.
import JSON

/// A vocabulary that was learnt, with what it takes to use it.
public struct TrainedTokenizer: Sendable {
  enum Model: Sendable {
    case bytePair(merges: [Merge])
    case wordPiece
    case unigram(scores: [Double], unknown: Int)
  }

  /// The tokens as bytes of UTF-8, by id.
  public let tokens: [[UInt8]]
  public let specialTokens: [String]
  let model: Model
  let normalizer: JSONValue
  let preTokenizer: JSONValue
  let decoder: JSONValue

  /// The pairs of ids that are merged, first to last; empty for other models than BPE.
  public var merges: [(first: UInt32, second: UInt32)] {
    guard case .bytePair(let merges) = model else { return [] }
    return merges.map { ($0.first, $0.second) }
  }

  /// The logarithm of each token's probability; empty for other models than Unigram.
  public var scores: [Double] {
    guard case .unigram(let scores, _) = model else { return [] }
    return scores
  }

  /// The text of `tokenizer.json`, format 1.0 of Hugging Face's `tokenizers`.
  public func json() -> [UInt8] {
    var special: [JSONValue] = []
    for text in specialTokens {
      guard let id = tokens.firstIndex(of: Array(text.utf8)) else { continue }
      special.append([
        "id": .int(id), "content": .string(text), "single_word": false, "lstrip": false, "rstrip": false,
        "normalized": false, "special": true,
      ])
    }
    var text = TokenizerText()
    text.field("version", "1.0")
    text.field("truncation", nil)
    text.field("padding", nil)
    text.field("added_tokens", .array(special))
    text.field("normalizer", normalizer)
    text.field("pre_tokenizer", preTokenizer)
    text.field("post_processor", nil)
    text.field("decoder", decoder)
    text.open("model")
    writeModel(&text)
    text.close()
    text.close()
    return text.bytes + [0x0A]
  }

  private func writeModel(_ text: inout TokenizerText) {
    switch model {
    case .bytePair(let merges):
      text.field("type", "BPE")
      for name in ["dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix"] { text.field(name, nil) }
      for name in ["fuse_unk", "byte_fallback", "ignore_merges"] { text.field(name, false) }
      text.vocabulary(tokens)
      text.list("merges", merges) {
        [.string(string(Int($0.first))), .string(string(Int($0.second)))]
      }
    case .wordPiece:
      text.field("type", "WordPiece")
      text.field("unk_token", .string(TokenizerTrainer.wordPieceUnknown))
      text.field("continuing_subword_prefix", .string(TokenizerTrainer.wordPiecePrefix))
      text.field("max_input_chars_per_word", 100)
      text.vocabulary(tokens)
    case .unigram(let scores, let unknown):
      text.field("type", "Unigram")
      text.field("unk_id", .int(unknown))
      text.list("vocab", Array(tokens.indices)) { [.string(string($0)), .double(scores[$0])] }
      text.field("byte_fallback", false)
    }
  }

  private func string(_ id: Int) -> String { String(decoding: tokens[id], as: UTF8.self) }
}

/// JSON written as it comes: a dictionary of Swift strings would take two spellings of one character for one key.
private struct TokenizerText {
  private(set) var bytes = Array("{".utf8)
  private var isFirst = true
  private var depth = 1

  mutating func field(_ name: String, _ value: JSONValue) {
    start(name)
    bytes += value.text().utf8
  }

  mutating func open(_ name: String) {
    start(name)
    bytes.append(UInt8(ascii: "{"))
    depth += 1
    isFirst = true
  }

  mutating func close() {
    depth -= 1
    startLine()
    bytes.append(UInt8(ascii: "}"))
    isFirst = false
  }

  mutating func vocabulary(_ tokens: [[UInt8]]) {
    open("vocab")
    for (id, token) in tokens.enumerated() { field(String(decoding: token, as: UTF8.self), .int(id)) }
    close()
  }

  mutating func list<Element>(_ name: String, _ elements: [Element], _ value: (Element) -> JSONValue) {
    start(name)
    bytes.append(UInt8(ascii: "["))
    depth += 1
    isFirst = true
    for element in elements {
      if !isFirst { bytes.append(UInt8(ascii: ",")) }
      isFirst = false
      startLine()
      bytes += value(element).text().utf8
    }
    depth -= 1
    startLine()
    bytes.append(UInt8(ascii: "]"))
    isFirst = false
  }

  private mutating func start(_ name: String) {
    if !isFirst { bytes.append(UInt8(ascii: ",")) }
    isFirst = false
    startLine()
    bytes += JSONValue.string(name).text().utf8
    bytes += ": ".utf8
  }

  private mutating func startLine() {
    bytes.append(UInt8(ascii: "\n"))
    bytes.append(contentsOf: repeatElement(UInt8(ascii: " "), count: 2 * depth))
  }
}
