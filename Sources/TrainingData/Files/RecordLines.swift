// Records in lines, each read by itself, so that what is wrong with one can be said.
import JSON
import Tokenization

/// JSON Lines.
enum RecordLines {
  static func notUTF8(at offset: Int) -> JSONError {
    JSONError(message: "not UTF-8 at byte \(offset) of the line")
  }

  /// Calls `body` with every line of a piece that is not blank, and with its number.
  static func forEach(
    in piece: TextPiece, _ body: (UnsafeBufferPointer<UInt8>, Int) throws(TrainingDataError) -> Void
  ) throws(TrainingDataError) {
    var number = piece.line, rest = piece.bytes[...]
    while !rest.isEmpty {
      let end = rest.firstIndex(of: 0x0A) ?? rest.endIndex
      let line = rest[..<end]
      if line.contains(where: { !($0 == 0x20 || 0x09...0x0D ~= $0) }) {
        let outcome = line.withUnsafeBufferPointer { bytes in
          Result { () throws(TrainingDataError) in try body(bytes, number) }
        }
        try outcome.get()
      }
      number += 1
      rest = rest[min(end + 1, rest.endIndex)...]
    }
  }

  static func record(_ line: UnsafeBufferPointer<UInt8>) throws(JSONError) -> JSONValue {
    if let malformed = firstMalformed(in: line) { throw notUTF8(at: malformed) }
    return try JSONValue(parsing: line)
  }
}

extension JSONError {
  func located(path: String?, line: Int?) -> TrainingDataError {
    TrainingDataError(path: path, line: line, field: field, message: field == nil ? "JSON: " + message : message)
  }
}
