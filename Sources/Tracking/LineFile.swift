// metrics.jsonl and samples.jsonl: a JSON object per line, read as a stream, so that a huge file does no harm.
import Foundation
import JSON

/// A line of a file of lines.
struct FileLine {
  /// Its number, from 1.
  var number: Int
  /// Where it begins, in bytes.
  var offset: Int
  /// Without the line break; empty if the line is too long.
  var bytes: [UInt8] = []
  /// Whether it is longer than ``greatestLength``.
  var isTooLong = false

  static let greatestLength = 1 << 20

  /// The object in this line.
  func object() throws(JSONError) -> JSONField {
    if isTooLong { throw JSONError(message: "longer than \(Self.greatestLength) bytes") }
    let field = JSONField(try JSONValue(parsing: bytes))
    _ = try field.object()
    return field
  }

  /// Calls `body` with each line until it answers false.
  ///
  /// What stands behind the last line break was being written when the writer died, and is no line.
  /// - Returns: the length of the lines before that where `body` answered false, or of all.
  static func read(_ file: OpenFile, _ body: (FileLine) -> Bool) throws(TrackingError) -> Int {
    var line = FileLine(number: 1, offset: 0)
    var position = 0
    while case let piece = try file.next(1 << 18), !piece.isEmpty {
      var rest = piece[...]
      while let end = rest.firstIndex(of: UInt8(ascii: "\n")) {
        line.add(rest[..<end])
        position += end + 1 - rest.startIndex
        rest = rest[(end + 1)...]
        guard body(line) else { return line.offset }
        line = FileLine(number: line.number + 1, offset: position)
      }
      line.add(rest)
      position += rest.count
    }
    return line.offset
  }

  private mutating func add(_ more: ArraySlice<UInt8>) {
    if isTooLong || bytes.count + more.count > Self.greatestLength {
      isTooLong = true
      bytes = []
    } else {
      bytes += more
    }
  }
}

extension GrowingFile {
  /// Continues a file of lines that say their `step`: those after a step are dropped, since they will be computed
  /// again, and so is what a dying writer left of a line.
  static func continuing(_ file: OpenFile, step: Int) throws(TrackingError) -> GrowingFile {
    let length = try FileLine.read(file) { line in
      guard let found = try? line.object().required("step").int() else { return true }
      return found <= step
    }
    return try GrowingFile(file, keeping: length)
  }
}

/// Up to 20 faults of a file; a file of a million faults is no better described by them all.
struct Faults {
  private(set) var errors: [TrackingError] = []

  mutating func add(_ path: String, _ line: FileLine, _ error: JSONError) {
    guard errors.count < 20 else { return }
    let field = "line \(line.number)" + (error.field.map { ": " + $0.printable } ?? "")
    errors.append(TrackingError(path: path, field: field, message: error.message.printable))
  }
}
