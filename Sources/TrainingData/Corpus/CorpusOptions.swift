// How text becomes a corpus of tokens.
import Tokenization

/// What is done to texts on their way into a ``TokenCorpus``.
public struct CorpusOptions: Sendable, Equatable {
  /// What ends a document.
  public enum EndOfText: Sendable, Equatable {
    /// The tokens that the tokenizer puts after a text, or else its end-of-sequence token, or else the token spelled
    /// `<|endoftext|>` or `</s>`.
    case automatic
    case token(Int32)
    case none
  }

  /// The field of a JSON Lines record that holds the text.
  public var textField = "text"
  /// Splits text files into documents; nil makes each file one document.
  public var separator: String?
  /// Keeps the first of documents that are equal but for white space.
  public var deduplicates = false
  /// Leaves out and counts lines that are not UTF-8 or no usable record, instead of refusing them.
  public var skipsBad = false
  public var endOfText = EndOfText.automatic
  /// How many threads tokenize. The corpus does not depend on it.
  public var threads = 1

  /// A text is tokenized in pieces of about so many bytes.
  package var pieceSize = 1 << 20
  /// Tokens of a shard; a multiple of what a checksum covers.
  package var shardSize = 1 << 27
  /// Bytes that a checksum covers.
  package var blockSize = 1 << 20

  public init() {}

  /// - Throws: ``TrainingDataError`` for settings outside of their range.
  func validate() throws(TrainingDataError) {
    guard 1...1024 ~= threads else { throw TrainingDataError(message: "\(threads) threads; expected 1 ... 1024") }
    if separator?.isEmpty == true { throw TrainingDataError(message: "the separator of documents is empty") }
    if let count = separator?.utf8.count, count > 4096 {
      throw TrainingDataError(message: "the separator of documents has \(count) bytes; expected at most 4096")
    }
  }

  /// What the tokenizer wants around a document.
  /// - Throws: ``TrainingDataError`` where no token ends a document.
  func boundary(of tokenizer: Tokenizer) throws(TrainingDataError) -> (before: [Int32], after: [Int32]) {
    let bare = tokenizer.encode("a", addsBoundaryTokens: false), whole = tokenizer.encode("a")
    let start = whole.indices.first { whole[$0...].starts(with: bare) } ?? 0
    let before = Array(whole[..<start]), after = Array(whole[(start + min(bare.count, whole.count - start))...])
    switch endOfText {
    case .none: return (before, [])
    case .token(let id):
      guard id >= 0, id < tokenizer.vocabularyCount else {
        throw TrainingDataError(message: "the end of a text is token \(id), not in 0 ..< \(tokenizer.vocabularyCount)")
      }
      return (before, [id])
    case .automatic:
      if !after.isEmpty { return (before, after) }
      let spelled = ["<|endoftext|>", "</s>"].lazy.compactMap { tokenizer.id(ofPiece: $0) }.first
      guard let id = tokenizer.endOfSequence ?? spelled else {
        throw TrainingDataError(message: "the tokenizer has no token for the end of a text; name one, or ask for none")
      }
      return (before, [id])
    }
  }
}

/// How far the making of a corpus has come.
public struct CorpusProgress: Sendable, Equatable {
  /// Bytes of the sources, as they lie on the disk.
  public var bytes: Int
  public var totalBytes: Int
  public var documents: Int
  public var tokens: Int
}

/// Takes notice of progress, and throws to stop; called by one thread at a time.
public typealias CorpusObserver = @Sendable (CorpusProgress) throws -> Void
