// What a checkpoint says about its tokenizer, as plain data: readers fill it in, `Tokenizer` judges it.

/// The algorithm that turns text into tokens.
public enum TokenizerModel: String, Sendable, CaseIterable {
  /// Byte-level byte-pair encoding; GGUF calls it `gpt2`.
  case byteLevelBPE = "gpt2"
  /// SentencePiece byte-pair encoding with byte fallback; GGUF calls it `llama`.
  case sentencePiece = "llama"
  /// BERT's WordPiece; GGUF calls it `bert` and marks the beginnings of words with `▁` instead of what continues them.
  case wordPiece = "bert"
  /// SentencePiece's Unigram; GGUF calls it `t5`.
  case unigram = "t5"
}

/// What a token is for; the raw values are those of GGUF's `tokenizer.ggml.token_type`.
public enum TokenKind: UInt8, Sendable {
  case normal = 1
  case unknown = 2
  /// Steers the model and is no text: beginning of sequence, end of turn, roles.
  case control = 3
  /// Matched in text before anything else, and is text.
  case userDefined = 4
  case unused = 5
  /// Stands for one byte and is spelled `<0x41>`.
  case byte = 6
}

/// A tokenizer as it lies in a checkpoint. Nothing here is checked; `Tokenizer.init` does that.
public struct TokenizerVocabulary: Sendable {
  public var model: TokenizerModel
  /// The token spellings by id, as in the file: those of a byte-level tokenizer in GPT-2's byte-to-unicode alphabet,
  /// those of SentencePiece with `▁` for a space.
  public var pieces: PackedStrings
  /// One kind per piece; empty when the file has none, and then all are normal.
  public var kinds: [TokenKind] = []
  /// One score per piece, higher merged first, or more likely; SentencePiece and Unigram only.
  public var scores: [Float] = []
  /// `left right` in the order in which to merge; byte-level only.
  public var merges = PackedStrings()
  /// GGUF's `tokenizer.ggml.pre`; byte-level only. Empty means `default`.
  public var preTokenizer = ""

  public var beginningOfSequence: Int32?
  public var endOfSequence: Int32?
  public var endOfTurn: Int32?
  public var endOfMessage: Int32?
  public var unknown: Int32?
  public var padding: Int32?
  /// Further ids that end a generation, such as GGUF's `fim_pad_token_id`, `fim_rep_token_id`, `fim_sep_token_id`.
  public var furtherEndOfGeneration: [Int32] = []

  /// Special tokens that swallow the ASCII white space before or after them, as Phi-3's do after.
  public var swallowsSpaceBefore: [Int32] = []
  public var swallowsSpaceAfter: [Int32] = []

  /// Whether encoding puts the beginning-of-sequence token first; nil where the file does not say.
  public var addsBeginningOfSequence: Bool?
  /// Whether encoding puts the end-of-sequence token last; nil where the file does not say.
  public var addsEndOfSequence: Bool?
  /// Whether SentencePiece text begins with a space that was not written; nil where the file does not say.
  public var addsSpacePrefix: Bool?

  /// How Unigram text is normalized: SentencePiece's compiled map, GGUF's `tokenizer.ggml.precompiled_charsmap`.
  public var characterMap: [UInt8] = []
  /// Whether Unigram text has spaces in a row made one and those at its ends taken off; nil where the file is silent.
  public var removesExtraSpaces: Bool?

  /// Whether word pieces are of small letters, and of letters without accents; nil where the file does not say.
  public var lowercases: Bool?
  public var stripsAccents: Bool?

  public init(model: TokenizerModel, pieces: PackedStrings) {
    self.model = model
    self.pieces = pieces
  }
}
