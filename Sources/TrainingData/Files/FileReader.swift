// One way to read files, compressed or not. zlib passes through what is not compressed.
import CZlib
import Foundation

/// Reads a file from its beginning, uncompressed on the way where it is gzip (RFC 1952).
final class FileReader {
  let path: String
  private let file: gzFile
  private(set) var isAtEnd = false

  /// - Throws: ``TrainingDataError``.
  init(path: String) throws(TrainingDataError) {
    self.path = path
    guard let file = gzopen(path, "rb") else { throw .system(path, "cannot be read", code: errno) }
    gzbuffer(file, 1 << 17)
    self.file = file
  }

  deinit { gzclose(file) }

  /// Whether what lies on the disk is gzip.
  var isCompressed: Bool { gzdirect(file) == 0 }

  /// How far into the file on the disk this has come, in bytes.
  var position: Int { max(0, Int(gzoffset(file))) }

  /// Appends up to `count` bytes; fewer only at the end.
  /// - Throws: ``TrainingDataError`` for a file that cannot be read, or whose compressed data are damaged or cut off.
  func read(_ count: Int, into bytes: inout [UInt8]) throws(TrainingDataError) {
    guard !isAtEnd else { return }
    let start = bytes.count
    bytes.append(contentsOf: repeatElement(0, count: count))
    var done = 0
    while done < count {
      let got = bytes.withUnsafeMutableBytes { buffer in
        buffer.baseAddress.map { gzread(file, $0 + start + done, UInt32(clamping: min(count - done, 1 << 30))) } ?? 0
      }
      if got <= 0 { break }
      done += Int(got)
    }
    bytes.removeSubrange((start + done)...)
    isAtEnd = done < count
    var code: Int32 = 0
    let message = gzerror(file, &code)
    if code != Z_OK, code != Z_STREAM_END {
      let reason = code == Z_ERRNO ? String(cString: strerror(errno)) : message.map { String(cString: $0) } ?? ""
      throw TrainingDataError(path: path, message: "cannot be read: \(reason.replacing(path + ": ", with: ""))")
    }
  }
}
