// Texts are larger than memory: they come in pieces, which are cut at places that depend on the document alone, so that
// neither threads nor what lies around a document change its tokens.
import Foundation

/// A part of a text, for one thread to tokenize.
struct TextPiece {
  enum Content {
    /// A document, or a part of one.
    case text(isFirst: Bool, isLast: Bool)
    /// Whole lines, a record each.
    case lines
    /// A JSON array of records.
    case array
  }

  var content: Content
  var bytes: [UInt8]
  var path: String
  /// The number of its first line, from 1.
  var line: Int
  /// How far into all sources this was read.
  var position: Int
}

/// Reads files one after another in pieces.
struct PieceReader {
  /// A record may not be longer, so that a file without line breaks cannot fill the memory.
  static let lineLimit = 64 << 20
  /// The most bytes of an array, which has to be read whole.
  static let arrayLimit = 1 << 30

  private let pieceSize: Int
  private let separator: [UInt8]?
  private var waiting: ArraySlice<SourceFile>
  private var current: (file: SourceFile, reader: FileReader)?
  private var finishedBytes = 0
  private var buffer: [UInt8] = []
  /// Where in `buffer` the next piece begins.
  private var start = 0
  private var line = 1
  private var isFirst = true

  init(_ files: [SourceFile], _ options: CorpusOptions) {
    waiting = files[...]
    pieceSize = options.pieceSize
    separator = options.separator.map { Array($0.utf8) }
  }

  /// The next piece, or nil after the last.
  /// - Throws: ``TrainingDataError``.
  mutating func next() throws(TrainingDataError) -> TextPiece? {
    while true {
      guard let (file, reader) = current else {
        guard let file = waiting.popFirst() else { return nil }
        try open(file)
        continue
      }
      let piece =
        switch file.kind {
        case .text: try text(reader)
        case .lines: try lines(reader)
        case .array: try array(reader)
        }
      if let piece { return piece }
      finishedBytes += file.byteCount
      current = nil
    }
  }

  private mutating func open(_ file: SourceFile) throws(TrainingDataError) {
    current = (file, try FileReader(path: file.path))
    buffer.removeAll(keepingCapacity: true)
    (start, line, isFirst) = (0, 1, true)
    try fill(3)
    if buffer.starts(with: [0xEF, 0xBB, 0xBF]) { start = 3 }
  }

  /// Reads on until `count` bytes lie ahead, or the file ends.
  private mutating func fill(_ count: Int) throws(TrainingDataError) {
    guard let reader = current?.reader, buffer.count - start < count, !reader.isAtEnd else { return }
    buffer.removeSubrange(..<start)
    start = 0
    try reader.read(count - buffer.count, into: &buffer)
  }

  private mutating func take(_ count: Int, _ content: TextPiece.Content) -> TextPiece {
    let bytes = Array(buffer[start..<start + count])
    let read = current.map { min($0.reader.position, $0.file.byteCount) } ?? 0
    let piece = TextPiece(
      content: content, bytes: bytes, path: current?.file.path ?? "", line: line, position: finishedBytes + read)
    skip(count)
    return piece
  }

  private mutating func skip(_ count: Int) {
    line += buffer[start..<start + count].count { $0 == 0x0A }
    start += count
  }

  private mutating func text(_ reader: FileReader) throws(TrainingDataError) -> TextPiece? {
    while true {
      let margin = max(1, separator?.count ?? 0)
      // More is read at once than is asked for, so that short documents do not move the buffer each time.
      if buffer.count - start < pieceSize + margin { try fill(2 * pieceSize + margin) }
      let ahead = buffer.count - start
      guard ahead > 0 else { return nil }
      if let separator, let end = firstSeparator(separator, atMost: pieceSize) {
        defer { isFirst = true }
        // What lies between two separators, or before the first, may be nothing.
        let piece = end > 0 || !isFirst ? take(end, .text(isFirst: isFirst, isLast: true)) : nil
        skip(separator.count)
        if let piece { return piece }
        continue
      }
      guard reader.isAtEnd, ahead <= pieceSize else {
        defer { isFirst = false }
        return take(cut(), .text(isFirst: isFirst, isLast: false))
      }
      defer { isFirst = true }
      return take(ahead, .text(isFirst: isFirst, isLast: true))
    }
  }

  /// The distance to the first separator that begins no further away than `limit`.
  private func firstSeparator(_ separator: [UInt8], atMost limit: Int) -> Int? {
    let end = min(buffer.count, start + limit + separator.count)
    return buffer.withUnsafeBytes { bytes -> Int? in
      guard let base = bytes.baseAddress else { return nil }
      var at = start
      while at + separator.count <= end {
        guard let found = memchr(base + at, Int32(separator[0]), end - separator.count + 1 - at) else { return nil }
        at = UnsafeRawPointer(found) - base
        if memcmp(base + at, separator, separator.count) == 0 { return at - start }
        at += 1
      }
      return nil
    }
  }

  /// Where to cut a long document: where a line begins with something to see, since hardly any tokenizer has words that
  /// lie across that; otherwise at a line's beginning, otherwise between two characters.
  private func cut() -> Int {
    let window = buffer[(start + pieceSize / 2)...(start + pieceSize)]
    let lines = window.indices.dropFirst().reversed().lazy.filter { buffer[$0 - 1] == 0x0A }
    if let end = lines.first(where: { buffer[$0] > 0x20 }) ?? lines.first { return end - start }
    var end = start + pieceSize
    while end > start + max(1, pieceSize - 3), buffer[end] & 0xC0 == 0x80 { end -= 1 }
    return end - start
  }

  private mutating func lines(_ reader: FileReader) throws(TrainingDataError) -> TextPiece? {
    var wanted = pieceSize
    while true {
      try fill(wanted)
      let ahead = buffer.count - start
      guard ahead > 0 else { return nil }
      let end = reader.isAtEnd ? buffer.count : buffer[start...].lastIndex(of: 0x0A).map { $0 + 1 }
      if let end { return take(end - start, .lines) }
      guard ahead < Self.lineLimit else {
        let limit = Self.lineLimit >> 20
        throw TrainingDataError(
          path: current?.file.path, line: line, message: "the line is longer than \(limit) MiB, the most that is read")
      }
      wanted = 2 * ahead
    }
  }

  private mutating func array(_ reader: FileReader) throws(TrainingDataError) -> TextPiece? {
    while !reader.isAtEnd {
      guard buffer.count <= Self.arrayLimit else {
        let limit = Self.arrayLimit >> 20
        throw TrainingDataError(
          path: current?.file.path, message: "is longer than \(limit) MiB, the most that is read of a JSON array; "
            + "JSON Lines may be of any length")
      }
      try fill(2 * max(buffer.count - start, pieceSize))
    }
    let count = buffer.count - start
    return count > 0 ? take(count, .array) : nil
  }
}
