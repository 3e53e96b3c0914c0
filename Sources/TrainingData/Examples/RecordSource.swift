// Records out of files, a line or an element of an array each, worked on by many threads and kept in order.
import ChatTemplates
import Conversations
import Foundation
import JSON
import Tokenization

extension TrainingRecord {
  /// The first records of files, to be looked at.
  /// - Parameter format: nil for the one that the first record shows.
  /// - Throws: ``TrainingDataError`` for a record before that which cannot be used.
  public static func first(
    _ count: Int, of files: [SourceFile], format: RecordFormat? = nil
  ) throws -> [TrainingRecord] {
    let source = RecordSource(files: files, skipsBad: false)
    let format = try format ?? source.recognizedFormat()
    var records: [TrainingRecord] = [], reader = source.reader
    while records.count < count, let piece = try reader.next() {
      // What is wrong with a record that is not wanted does not matter here.
      records += try source.records(of: piece, atMost: count - records.count) { try TrainingRecord($0, format: format) }
        .outputs
    }
    return records
  }
}

/// Files of records.
struct RecordSource: Sendable {
  let files: [SourceFile]
  let skipsBad: Bool

  fileprivate var reader: PieceReader {
    // A file whose name tells nothing holds records all the same.
    let files = files.map { file in
      var file = file
      if file.kind == .text { file.kind = .lines }
      return file
    }
    return PieceReader(files, CorpusOptions())
  }

  /// The format that the first record shows.
  /// - Throws: ``TrainingDataError``.
  func recognizedFormat() throws -> RecordFormat {
    var reader = reader, first: TrainingDataError?
    while let piece = try reader.next() {
      let found = try records(of: piece, atMost: 1) { field in
        guard let format = RecordFormat.recognize(field) else {
          let names = (try? field.object().keys.prefix(20).joined(separator: ", ")) ?? field.value.kind
          throw JSONError(field: field.path, message: "found \(names); " + RecordFormat.expectation)
        }
        return format
      }
      if let format = found.outputs.first { return format }
      first = first ?? found.skipped.first
    }
    throw first ?? TrainingDataError(path: files.first?.path, message: "there are no records")
  }

  /// - Parameters:
  ///   - work: called by any thread.
  ///   - add: called by one thread at a time, in order.
  func read<Output: Sendable>(
    threads: Int, work: @escaping @Sendable (JSONField) throws -> Output,
    add: @escaping ([Output], SkippedData) throws -> Void
  ) throws {
    var reader = reader
    let queue = PieceQueue<TextPiece, (outputs: [Output], skipped: SkippedData)>(
      window: 4 * threads, next: { try reader.next() }, write: { try add($0.outputs, $0.skipped) })
    try queue.run(threads: threads) { piece in try records(of: piece, work) }
  }

  fileprivate func records<Output>(
    of piece: TextPiece, atMost limit: Int = .max, _ work: (JSONField) throws -> Output
  ) throws -> (outputs: [Output], skipped: SkippedData) {
    var outputs: [Output] = [], skipped = SkippedData()
    func add(line: Int?, _ record: () throws -> JSONField) throws(TrainingDataError) {
      guard outputs.count < limit else { return }
      do {
        outputs.append(try work(try record()))
      } catch {
        let located = Self.located(error, piece.path, line)
        guard skipsBad else { throw located }
        skipped.add(located)
      }
    }
    if case .array = piece.content {
      let elements: [JSONField]
      do throws(JSONError) {
        if let malformed = piece.bytes.withUnsafeBufferPointer(firstMalformed) {
          throw JSONError(message: "not UTF-8 at byte \(malformed)")
        }
        elements = try JSONField(JSONValue(parsing: piece.bytes)).array()
      } catch { throw error.located(path: piece.path, line: nil) }
      for element in elements { try add(line: nil) { element } }
    } else {
      try RecordLines.forEach(in: piece) { (line, number) throws(TrainingDataError) in
        try add(line: number) { JSONField(try RecordLines.record(line)) }
      }
    }
    return (outputs, skipped)
  }

  /// Whatever is wrong with a record, with its place.
  private static func located(_ error: any Error, _ path: String, _ line: Int?) -> TrainingDataError {
    switch error {
    case let error as JSONError: return error.located(path: path, line: line)
    case let error as TrainingDataError:
      return TrainingDataError(path: path, line: line, field: error.field, message: error.message)
    default: return TrainingDataError(path: path, line: line, message: "\(error)")
    }
  }
}
