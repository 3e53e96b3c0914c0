// From a piece of a file to the texts in it.
import JSON
import Tokenization

/// Finds the documents of pieces, or their parts.
struct PieceTexts: Sendable {
  let textField: String
  let skipsBad: Bool

  init(_ options: CorpusOptions) {
    (textField, skipsBad) = (options.textField, options.skipsBad)
  }

  typealias Body = (_ text: UnsafeBufferPointer<UInt8>, _ isFirst: Bool, _ isLast: Bool) throws(TrainingDataError) -> Void

  /// - Returns: what was skipped.
  /// - Throws: ``TrainingDataError`` for a line that cannot be used, if these are not skipped; what `body` throws.
  func forEach(in piece: TextPiece, _ body: Body) throws(TrainingDataError) -> SkippedData {
    var skipped = SkippedData()
    switch piece.content {
    case .text(let isFirst, let isLast):
      let text = try wellFormed(piece, &skipped)
      try text.withUnsafeBufferPointer { text in
        Result { () throws(TrainingDataError) in try body(text, isFirst, isLast) }
      }.get()
    case .array:
      throw TrainingDataError(path: piece.path, message: "expected text or JSON Lines, found a JSON file")
    case .lines:
      try RecordLines.forEach(in: piece) { (line, number) throws(TrainingDataError) in
        var text: String
        do throws(JSONError) {
          text = try JSONField(RecordLines.record(line)).required(textField).string()
        } catch {
          let located = error.located(path: piece.path, line: number)
          guard skipsBad else { throw located }
          return skipped.add(located)
        }
        try text.withUTF8 { text in Result { () throws(TrainingDataError) in try body(text, true, true) } }.get()
      }
    }
    return skipped
  }

  /// The bytes of a piece of text, without the lines that are not UTF-8 if these are skipped.
  private func wellFormed(_ piece: TextPiece, _ skipped: inout SkippedData) throws(TrainingDataError) -> [UInt8] {
    guard let malformed = piece.bytes.withUnsafeBufferPointer(firstMalformed) else { return piece.bytes }
    guard skipsBad else {
      let line = piece.line + piece.bytes[..<malformed].count { $0 == 0x0A }
      throw RecordLines.notUTF8(at: malformed - (piece.bytes[..<malformed].lastIndex(of: 0x0A) ?? -1) - 1)
        .located(path: piece.path, line: line)
    }
    var kept: [UInt8] = [], number = piece.line, rest = piece.bytes[...]
    while !rest.isEmpty {
      let end = rest.firstIndex(of: 0x0A).map { $0 + 1 } ?? rest.endIndex
      let line = rest[..<end]
      if let malformed = line.withUnsafeBufferPointer(firstMalformed) {
        skipped.add(RecordLines.notUTF8(at: malformed).located(path: piece.path, line: number))
      } else {
        kept += line
      }
      number += 1
      rest = rest[end...]
    }
    return kept
  }
}

extension SourceFile {
  /// Whether the bytes of the file are its text: no records, not compressed.
  /// - Throws: ``TrainingDataError`` for a file that cannot be read.
  public func isPlainText() throws(TrainingDataError) -> Bool {
    guard kind == .text else { return false }
    return try !FileReader(path: path).isCompressed
  }

  /// Calls `body` with the texts of files, one after another, long ones in parts; a document's last part ends with a
  /// line break.
  /// - Throws: ``TrainingDataError``; what `body` throws.
  public static func forEachText(
    of files: [SourceFile], options: CorpusOptions, _ body: (UnsafeRawBufferPointer) throws -> Void
  ) throws {
    let texts = PieceTexts(options)
    var reader = PieceReader(files, options)
    while let piece = try reader.next() {
      var parts: [[UInt8]] = []
      _ = try texts.forEach(in: piece) { (text, _, isLast) in parts.append(Array(text) + (isLast ? [0x0A] : [])) }
      for part in parts { try part.withUnsafeBytes(body) }
    }
  }
}
