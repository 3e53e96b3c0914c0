// A checkpoint comes from a stranger: whatever is wrong with it is told in one line that says where.

/// Why a checkpoint could not be read or written.
public struct CheckpointError: Error, Equatable, CustomStringConvertible {
  /// The file as it was named by the caller.
  public let path: String
  /// What in the file is at fault, such as `tensor blk.0.attn_q.weight` or `key general.alignment`.
  public let field: String?
  /// What is wrong and what was expected.
  public let message: String

  public init(path: String, field: String? = nil, message: String) {
    self.path = path
    self.field = field
    self.message = message
  }

  /// One line: `model.gguf: tensor blk.0.attn_q.weight: …`.
  public var description: String { [path, field, message].compactMap { $0 }.joined(separator: ": ") }
}

extension String {
  /// This text fit for one line of a terminal: nothing in it moves the cursor, and it is cut at 80 characters.
  var printable: String {
    var line = ""
    for scalar in unicodeScalars.prefix(80) {
      line += scalar.isPrintable ? String(scalar) : "\\u{" + String(scalar.value, radix: 16) + "}"
    }
    return unicodeScalars.count > 80 ? line + "…" : line
  }

  /// Whether this may be the name of something: not empty, without control characters.
  var isName: Bool { !isEmpty && unicodeScalars.allSatisfy(\.isPrintable) }
}

extension Unicode.Scalar {
  fileprivate var isPrintable: Bool {
    if isASCII { return value >= 0x20 && value != 0x7F }
    switch properties.generalCategory {
    case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate, .unassigned, .privateUse: return false
    default: return true
    }
  }
}
