// What can be wrong with a run, in words for the person who started it.

/// A run that cannot begin or go on.
public struct TrainingError: Error, Sendable, Equatable, CustomStringConvertible {
  /// The file or folder; nil where it is none.
  public var path: String?
  /// The option or the part of the file.
  public var field: String?
  public var message: String

  public init(path: String? = nil, field: String? = nil, message: String) {
    self.path = path
    self.field = field
    self.message = message
  }

  public var description: String { ([path, field].compactMap(\.self) + [message]).joined(separator: ": ") }
}
