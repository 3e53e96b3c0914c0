// Everything that can be wrong with texts and settings, said so that whoever began the training can mend it.
import Tokenization

/// Why no tokenizer was trained.
public enum TrainingError: Error, Equatable, Sendable, CustomStringConvertible {
  case noFiles
  /// The files hold no text at all.
  case noText([String])
  case unreadable(path: String, reason: String)
  /// `offset` is that of the first byte which is not part of a UTF-8 sequence.
  case notUTF8(path: String, offset: Int)
  case setting(String, value: Int, allowed: ClosedRange<Int>)
  /// The vocabulary has no room for what has to be in it.
  case vocabularyTooSmall(Int, needed: Int, contents: String)
  case emptySpecialToken
  case repeatedSpecialToken(String)
  case unknownPreTokenizer(String, supported: [String])
  case tooMuchText(characters: Int, limit: Int)

  public var description: String {
    switch self {
    case .noFiles:
      "tokenizer training: no files were named"
    case .noText(let paths):
      "tokenizer training: no text in \(paths.prefix(3).map(\.printable).joined(separator: ", "))"
        + (paths.count > 3 ? " and \(paths.count - 3) more" : "")
    case .unreadable(let path, let reason):
      "\(path): cannot be read: \(reason)"
    case .notUTF8(let path, let offset):
      "\(path): not UTF-8 at byte \(offset)"
    case .setting(let name, let value, let allowed):
      "tokenizer training: \(name) is \(value), outside \(allowed.lowerBound) ... \(allowed.upperBound)"
    case .vocabularyTooSmall(let size, let needed, let contents):
      "tokenizer training: a vocabulary of \(size) has no room for \(contents); it needs at least \(needed)"
    case .emptySpecialToken:
      "tokenizer training: a special token is empty"
    case .repeatedSpecialToken(let token):
      "tokenizer training: the special token '\(token.printable)' is given twice"
    case .unknownPreTokenizer(let name, let supported):
      "tokenizer training: unknown pre-tokenizer '\(name.printable)'; supported: \(supported.joined(separator: ", "))"
    case .tooMuchText(let characters, let limit):
      "tokenizer training: the distinct words have \(characters) characters together; the limit is \(limit)"
    }
  }
}
