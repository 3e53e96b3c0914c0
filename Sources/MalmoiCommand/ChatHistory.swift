// What a person has typed, kept from one chat to the next.
import Foundation

/// The file of typed lines, one entry a line; ``KeyDecoder/lineMark`` stands for a line break within an entry.
struct ChatHistory {
  static let limit = 1000
  let file: URL

  /// The entries, oldest first; none where there is no file yet.
  func entries() -> [String] {
    guard let data = FileManager.default.contents(atPath: file.path) else { return [] }
    return String(decoding: data, as: UTF8.self).split(separator: "\n").suffix(Self.limit).map(String.init)
  }

  /// Adds an entry behind those of all chats.
  /// - Throws: a ``Failure`` when the file cannot be written.
  func append(_ entry: String) throws {
    var entries = entries()
    if entries.last == entry { return }
    entries.append(entry)
    try FileManager.default.createDirectory(at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
    let text = entries.suffix(Self.limit).joined(separator: "\n") + "\n"
    try writeAtomically(Data(text.utf8), to: file.path, mode: 0o600)
  }
}

/// Writes a file that takes its name only when it is complete and on the disk.
/// - Throws: a ``Failure`` that names the file; then nothing is left behind.
func writeAtomically(_ data: Data, to path: String, mode: mode_t = 0o666) throws {
  let aside = "\(path).\(getpid())-\(UInt32.random(in: 0 ... .max)).partial"
  func failure() -> Failure { Failure("\(path): cannot be written: \(String(cString: strerror(errno)))") }
  let descriptor = open(aside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode)
  guard descriptor >= 0 else { throw failure() }
  do {
    let handle = FileHandle(fileDescriptor: descriptor, closeOnDealloc: false)
    defer { close(descriptor) }
    try handle.write(contentsOf: data)
    try handle.synchronize()
  } catch {
    unlink(aside)
    throw Failure("\(path): cannot be written: \(error.localizedDescription)")
  }
  guard rename(aside, path) == 0 else {
    let error = failure()
    unlink(aside)
    throw error
  }
}
