// Everything that can be wrong with data, said so that whoever brought it can mend it.
import Foundation
import Tokenization

/// Why data cannot be used: where, and what was expected there.
public struct TrainingDataError: Error, Equatable, Sendable, CustomStringConvertible {
  public var path: String?
  /// Counted from 1.
  public var line: Int?
  /// The field of a record, such as `messages.2.role`.
  public var field: String?
  public var message: String

  public init(path: String? = nil, line: Int? = nil, field: String? = nil, message: String) {
    self.path = path
    self.line = line
    self.field = field
    self.message = message
  }

  public var description: String {
    let place = [path.map { $0.printable(atMost: 300) }, line.map { "line \($0)" }, field?.printable].compactMap(\.self)
    return place.isEmpty ? message : place.joined(separator: ", ") + ": " + message
  }

  /// What the system said last about a file.
  static func system(_ path: String, _ what: String, code: Int32) -> TrainingDataError {
    TrainingDataError(path: path, message: "\(what): " + String(cString: strerror(code)))
  }
}

/// Something that was left out because it could not be used.
public struct SkippedData: Sendable, Equatable {
  /// Lines that are not UTF-8 or no usable record.
  public var lines = 0
  /// What was wrong with the first of them.
  public var first: TrainingDataError?

  public init() {}

  mutating func add(_ error: TrainingDataError) {
    lines += 1
    first = first ?? error
  }
}
