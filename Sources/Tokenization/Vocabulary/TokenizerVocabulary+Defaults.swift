// What BERT's and T5's vocabularies in GGUF leave unsaid, and how their word pieces are spelled there and elsewhere.

extension TokenizerVocabulary {
  /// The vocabulary with what GGUF's readers assume where the file is silent, and word pieces spelled as in `vocab.txt`;
  /// the others as they are.
  /// - Throws: ``TokenizerError`` for kinds or ids that are not of this vocabulary.
  func completed() throws -> TokenizerVocabulary {
    guard model == .wordPiece || model == .unigram else { return self }
    var complete = self
    let count = pieces.count, isWordPiece = model == .wordPiece
    if kinds.isEmpty { complete.kinds = Array(repeating: .normal, count: count) }
    guard complete.kinds.count == count else {
      throw TokenizerError.countMismatch(field: "token kinds", count: kinds.count, expected: count)
    }
    func checked(_ field: String, _ id: Int32?, default fallback: Int32?) throws -> Int32? {
      guard let id else { return fallback.flatMap { $0 < count ? $0 : nil } }
      guard id >= 0, id < count else { throw TokenizerError.idOutOfRange(field: field, id: id, count: count) }
      return id
    }
    complete.beginningOfSequence = try checked(
      "beginning of sequence", beginningOfSequence, default: isWordPiece ? 101 : nil)
    complete.endOfSequence = try checked("end of sequence", endOfSequence, default: isWordPiece ? 102 : 1)
    complete.unknown = try checked("unknown", unknown, default: isWordPiece ? 100 : 2)
    complete.padding = try checked("padding", padding, default: 0)
    guard complete.unknown != nil else {
      throw TokenizerError.missingID(field: "unknown", neededBy: "text beyond the vocabulary")
    }
    complete.addsBeginningOfSequence = addsBeginningOfSequence ?? isWordPiece
    complete.addsEndOfSequence = addsEndOfSequence ?? true
    if isWordPiece {
      complete.lowercases = lowercases ?? true
      complete.stripsAccents = stripsAccents ?? complete.lowercases
      complete.pieces = WordPieceSpelling.continuationsMarked(pieces, complete.kinds)
    } else {
      complete.addsSpacePrefix = addsSpacePrefix ?? true
      complete.removesExtraSpaces = removesExtraSpaces ?? true
    }
    return complete
  }
}

/// BERT marks the pieces that continue words (`##`), GGUF those that begin them (`▁`).
enum WordPieceSpelling {
  static let continuation = Array("##".utf8)
  /// Words of more characters are unknown to every BERT, though no GGUF file says so.
  static let characterLimit = 100
  private static let beginning = SentencePieceEncoder.space

  /// GGUF's spelling of BERT's.
  static func beginningsMarked(_ pieces: PackedStrings, _ kinds: [TokenKind]) -> PackedStrings {
    var result = PackedStrings(capacity: pieces.count, bytes: pieces.bytes.count + 3 * pieces.count)
    for (piece, kind) in zip(pieces, kinds) {
      if kind != .normal {
        result.append(piece)
      } else if piece.starts(with: continuation), piece.count > continuation.count {
        result.append(piece.dropFirst(continuation.count))
      } else {
        result.append(beginning + piece)
      }
    }
    return result
  }

  /// BERT's spelling of GGUF's.
  static func continuationsMarked(_ pieces: PackedStrings, _ kinds: [TokenKind]) -> PackedStrings {
    var result = PackedStrings(capacity: pieces.count, bytes: pieces.bytes.count + pieces.count)
    for (piece, kind) in zip(pieces, kinds) {
      if kind == .control || kind == .unknown || piece.isEmpty {
        result.append(piece)
      } else if piece.starts(with: beginning) {
        result.append(piece.dropFirst(beginning.count))
      } else {
        result.append(kind == .userDefined ? Array(piece) : continuation + piece)
      }
    }
    return result
  }
}
