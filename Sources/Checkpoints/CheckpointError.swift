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
