// Texts are larger than memory: files come in pieces of whole lines, each piece to whichever thread asks next.
import Foundation
import Synchronization

/// Reads files one after another in pieces that end where a line does.
final class TextReader: Sendable {
  struct Piece {
    var bytes: [UInt8]
    var path: String
    /// Where the piece lies in its file.
    var offset: Int
  }

  private struct State {
    var waiting: ArraySlice<String>
    var file: FileHandle?
    var path = ""
    var offset = 0
    /// The beginning of a line whose end has not been read yet.
    var rest: [UInt8] = []
  }

  static let pieceSize = 4 << 20
  /// A longer line is cut, so that a file without line breaks cannot fill the memory.
  static let lineLimit = 64 << 20

  /// The size of all files together.
  let byteCount: Int
  private let state: Mutex<State>

  /// - Throws: ``TrainingError`` for a file that is not there, may not be read, or is a folder.
  init(paths: [String]) throws(TrainingError) {
    guard !paths.isEmpty else { throw .noFiles }
    var byteCount = 0
    for path in paths {
      var status = stat()
      guard stat(path, &status) == 0, access(path, R_OK) == 0 else {
        throw .unreadable(path: path, reason: String(cString: strerror(errno)))
      }
      guard status.st_mode & S_IFMT != S_IFDIR else { throw .unreadable(path: path, reason: "it is a folder") }
      byteCount += Int(status.st_size)
    }
    self.byteCount = byteCount
    state = Mutex(State(waiting: paths[...]))
  }

  /// The next piece, or nil after the last one.
  func next() throws -> Piece? { try state.withLock { try Self.next(&$0) } }

  private static func next(_ state: inout State) throws -> Piece? {
    while true {
      guard let file = state.file else {
        guard let path = state.waiting.popFirst() else { return nil }
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
          throw TrainingError.unreadable(path: path, reason: String(cString: strerror(errno)))
        }
        state.file = FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
        state.path = path
        state.offset = 0
        continue
      }
      var bytes = state.rest
      state.rest = []
      let isComplete = try fill(&bytes, from: file, path: state.path)
      if isComplete { state.file = nil }
      if bytes.isEmpty { continue }
      let end = isComplete ? bytes.count : lineEnd(bytes) ?? characterStart(bytes)
      state.rest = Array(bytes[end...])
      bytes.removeSubrange(end...)
      defer { state.offset += bytes.count }
      return Piece(bytes: bytes, path: state.path, offset: state.offset)
    }
  }

  /// Reads until a piece is full and has a line's end, or the line is too long.
  /// - Returns: whether the file is at its end
  private static func fill(_ bytes: inout [UInt8], from file: FileHandle, path: String) throws -> Bool {
    repeat {
      var count = bytes.count
      let room = count + pieceSize
      bytes.append(contentsOf: repeatElement(0, count: pieceSize))
      defer { bytes.removeSubrange(count...) }
      while count < room {
        let got = bytes.withUnsafeMutableBytes { buffer in
          buffer.baseAddress.map { read(file.fileDescriptor, $0 + count, room - count) } ?? 0
        }
        if got < 0, errno == EINTR { continue }
        guard got >= 0 else { throw TrainingError.unreadable(path: path, reason: String(cString: strerror(errno))) }
        if got == 0 { return true }
        count += got
      }
    } while bytes.count < lineLimit && lineEnd(bytes) == nil
    return false
  }

  private static func lineEnd(_ bytes: [UInt8]) -> Int? { bytes.lastIndex(of: 0x0A).map { $0 + 1 } }

  private static func characterStart(_ bytes: [UInt8]) -> Int {
    var end = bytes.count - 1
    while end > max(1, bytes.count - 4), bytes[end] & 0xC0 == 0x80 { end -= 1 }
    return end
  }
}
