// The way in: files and settings to a tokenizer.
import JSON

/// Learns a tokenizer from text.
public struct TokenizerTrainer: Sendable {
  /// What kind of tokenizer, and how it prepares text.
  public enum Algorithm: Sendable {
    /// Byte-pair encoding of bytes: no text is unknown.
    case byteLevelBPE(BytePreTokenizer)
    /// BERT's words in pieces; `lowercases` also takes accents away.
    case wordPiece(lowercases: Bool)
    /// The pieces under which the text is likeliest; `normalizes` means NFKC.
    case unigram(normalizes: Bool)
  }

  /// The token for what a WordPiece vocabulary cannot spell, added as the first where it is not among the special ones.
  public static let wordPieceUnknown = "[UNK]"
  /// The token for characters that a Unigram vocabulary lacks, added likewise.
  public static let unigramUnknown = "<unk>"
  static let wordPiecePrefix = "##"

  public let algorithm: Algorithm
  public let options: TrainingOptions
  /// The order in which WordPiece's characters within words get their ids; nil for that of code points. Hugging Face's
  /// trainer takes them from a hash table, in another order each time, and equally frequent pairs go by ids.
  package var continuations: [UInt32]?

  /// - Throws: ``TrainingError`` for settings that contradict themselves.
  public init(_ algorithm: Algorithm, options: TrainingOptions) throws(TrainingError) {
    try options.validate()
    var options = options
    func require(_ token: String) {
      if !options.specialTokens.contains(token) { options.specialTokens.insert(token, at: 0) }
    }
    switch algorithm {
    case .byteLevelBPE: break
    case .wordPiece: require(Self.wordPieceUnknown)
    case .unigram: require(Self.unigramUnknown)
    }
    self.algorithm = algorithm
    self.options = options
  }

  /// Learns from UTF-8 files, which are read a line at a time: no token spans two lines.
  ///
  /// Memory grows with the number of distinct words, not with the size of the files. The result does not depend on the
  /// number of threads.
  /// - Throws: ``TrainingError``; whatever `observer` throws, which ends the training.
  public func train(files: [String], observer: @escaping TrainingObserver = { _ in }) throws -> TrainedTokenizer {
    switch algorithm {
    case .byteLevelBPE(let preTokenizer):
      let table = try words(of: files, ByteLevelWords(preTokenizer), observer)
      let result = try BytePairTrainer(options: options).train(table, observer: observer)
      return trained(
        result.vocabulary.tokens, .bytePair(merges: lastOfEach(result.merges)),
        preTokenizer: preTokenizer.json, decoder: BytePreTokenizer.gpt2.json)
    case .wordPiece(let lowercases):
      let table = try words(of: files, BertWords(lowercases: lowercases), observer)
      let result = try BytePairTrainer(
        prefix: Array(Self.wordPiecePrefix.utf8), isByteLevel: false, options: options
      ).train(table, continuations: continuations, observer: observer)
      return trained(
        result.vocabulary.tokens, .wordPiece,
        normalizer: [
          "type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true, "strip_accents": nil,
          "lowercase": .bool(lowercases),
        ],
        preTokenizer: ["type": "BertPreTokenizer"],
        decoder: ["type": "WordPiece", "prefix": .string(Self.wordPiecePrefix), "cleanup": true])
    case .unigram(let normalizes):
      let table = try words(of: files, MetaspaceWords(normalizes: normalizes), observer)
      let pieces = try UnigramTrainer(options: options).train(table, observer: observer)
      let special = options.specialTokens.map { Array($0.utf8) }
      let metaspace: JSONValue = [
        "type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": true,
      ]
      return trained(
        special + pieces.map(\.text),
        .unigram(
          scores: special.map { _ in 0 } + pieces.map(\.score),
          unknown: options.specialTokens.firstIndex(of: Self.unigramUnknown) ?? 0),
        normalizer: normalizes ? ["type": "NFKC"] : nil, preTokenizer: metaspace, decoder: metaspace)
    }
  }

  private func words(
    of files: [String], _ splitter: any WordSplitter, _ observer: @escaping TrainingObserver
  ) throws -> WordTable {
    try WordCounter(splitter: splitter, threads: options.threads, observer: observer).count(files)
  }

  private func trained(
    _ tokens: [[UInt8]], _ model: TrainedTokenizer.Model, normalizer: JSONValue = nil, preTokenizer: JSONValue,
    decoder: JSONValue
  ) -> TrainedTokenizer {
    TrainedTokenizer(
      tokens: tokens, specialTokens: options.specialTokens, model: model, normalizer: normalizer,
      preTokenizer: preTokenizer, decoder: decoder)
  }

  /// A pair that was merged twice has the rank of its last merge, as in Hugging Face's files.
  private func lastOfEach(_ merges: [Merge]) -> [Merge] {
    var seen: Set<Pair> = []
    return Array(merges.reversed().filter { seen.insert(pair($0.first, $0.second)).inserted }.reversed())
  }
}

extension BytePreTokenizer {
  /// The `pre_tokenizer` of a tokenizer.json.
  fileprivate var json: JSONValue {
    func byteLevel(usesExpression: Bool) -> JSONValue {
      [
        "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": .bool(usesExpression),
      ]
    }
    func split(digits: String) -> JSONValue {
      let expression =
        #"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"# + digits
        + #"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#
      return [
        "type": "Sequence",
        "pretokenizers": [
          ["type": "Split", "pattern": ["Regex": .string(expression)], "behavior": "Isolated", "invert": false],
          byteLevel(usesExpression: false),
        ],
      ]
    }
    return switch self {
    case .gpt2: byteLevel(usesExpression: true)
    case .smollm:
      [
        "type": "Sequence",
        "pretokenizers": [["type": "Digits", "individual_digits": true], byteLevel(usesExpression: true)],
      ]
    case .llama: split(digits: #"\p{N}{1,3}"#)
    case .qwen2: split(digits: #"\p{N}"#)
    }
  }
}
