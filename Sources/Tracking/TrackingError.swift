// Runs are read months later, perhaps after a crash or from a stranger: what is wrong is told in one line.

/// Why a run could not be written or read.
public struct TrackingError: Error, Equatable, CustomStringConvertible {
  /// The file or folder as it was named by the caller.
  public let path: String
  /// What in the file is at fault, such as `line 17: loss`.
  public let field: String?
  /// What is wrong and what was expected.
  public let message: String

  public init(path: String, field: String? = nil, message: String) {
    self.path = path
    self.field = field
    self.message = message
  }

  /// One line: `runs/x/metrics.jsonl: line 17: loss: expected a number, found an array`.
  public var description: String { [path, field, message].compactMap { $0 }.joined(separator: ": ") }
}
