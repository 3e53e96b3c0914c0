// Everything that can be wrong with a vocabulary, said so that the file can be mended.

/// Why a vocabulary makes no tokenizer.
public enum TokenizerError: Error, Equatable, Sendable, CustomStringConvertible {
  case emptyVocabulary
  case tooManyPieces(Int, limit: Int)
  /// `field` has `count` entries but the vocabulary has `expected` pieces.
  case countMismatch(field: String, count: Int, expected: Int)
  case idOutOfRange(field: String, id: Int32, count: Int)
  case missingID(field: String, neededBy: String)
  case duplicatePiece(String, first: Int32, second: Int32)
  case pieceTooLong(id: Int32, bytes: Int, limit: Int)
  case invalidScore(id: Int32)
  case missingMerges
  case malformedMerge(index: Int, String, reason: String)
  case missingByteToken(UInt8)
  case malformedByteToken(id: Int32, String)
  case unknownPreTokenizer(String, supported: [String])
  /// A file of a tokenizer, or a field in it such as `model.vocab`, cannot be used.
  case malformedFile(String, field: String?, reason: String)
  /// No file in the folder describes a tokenizer.
  case noTokenizerFile(folder: String, expected: [String])

  public var description: String {
    switch self {
    case .emptyVocabulary:
      "tokenizer: the vocabulary has no pieces"
    case .tooManyPieces(let count, let limit):
      "tokenizer: \(count) pieces; at most \(limit) are supported"
    case .countMismatch(let field, let count, let expected):
      "tokenizer: \(field) has \(count) entries for \(expected) pieces"
    case .idOutOfRange(let field, let id, let count):
      "tokenizer: \(field) is token \(id), outside 0..<\(count)"
    case .missingID(let field, let neededBy):
      "tokenizer: \(neededBy) needs \(field), which the vocabulary does not name"
    case .duplicatePiece(let piece, let first, let second):
      "tokenizer: tokens \(first) and \(second) are both spelled '\(piece.printable)'"
    case .pieceTooLong(let id, let bytes, let limit):
      "tokenizer: token \(id) is \(bytes) bytes long; the limit for its kind is \(limit)"
    case .invalidScore(let id):
      "tokenizer: the score of token \(id) is not a number"
    case .missingMerges:
      "tokenizer: a byte-level vocabulary needs merges"
    case .malformedMerge(let index, let merge, let reason):
      "tokenizer: merge \(index) '\(merge.printable)': \(reason)"
    case .missingByteToken(let byte):
      "tokenizer: no token for byte 0x\(String(byte, radix: 16, uppercase: true))"
    case .malformedByteToken(let id, let piece):
      "tokenizer: token \(id) is a byte token spelled '\(piece.printable)'; expected the form <0x41>"
    case .unknownPreTokenizer(let name, let supported):
      "tokenizer: unknown pre-tokenizer '\(name.printable)'; supported: \(supported.joined(separator: ", "))"
    case .malformedFile(let file, let field, let reason):
      "\(file.printable): \(field.map { $0.printable + ": " } ?? "")\(reason.printable(atMost: 400))"
    case .noTokenizerFile(let folder, let expected):
      "\(folder.printable): no tokenizer here; expected one of \(expected.joined(separator: ", "))"
    }
  }
}
