// One file on its way from the hub: what is asked for, what the answer may be, and what is kept of it.
import Foundation
import Synchronization

#if canImport(FoundationNetworking)
  import FoundationNetworking
#endif

/// A file of a repository.
struct RemoteFile: Sendable, Equatable {
  let repository: String
  let revision: String
  let path: String
  /// In bytes, where it is known beforehand.
  var size: Int64?
  /// Where it is known beforehand.
  var sha256: String?

  /// The file at `url` if it is already the right one.
  func verified(at url: URL) async throws -> Catalog.File? {
    guard let sha256, let size = fileSize(url), self.size == nil || self.size == size else { return nil }
    let digest = try await offTasks { try PartialFile(at: url, keeping: true).digest }
    return digest == sha256 ? Catalog.File(path: path, size: size, sha256: digest) : nil
  }
}

/// The state of one download. An earlier try leaves `<name>.partial` and, in `<name>.partial.etag`, the version of the
/// file that it is a part of.
final class Download: Sendable {
  let partial: PartialFile
  let subject: HubSubject
  private let file: RemoteFile
  private let destination: URL
  private let etagFile: URL
  private let state: Mutex<State>

  private struct State {
    /// A strong validator of the version that the partial file belongs to (RFC 9110, 8.8.1).
    var etag: String?
    /// The whole file's size and digest as the answers gave them.
    var size: Int64?
    var sha256: String?
    /// Bytes of an earlier run are part of the file.
    var isResumed: Bool
  }

  /// Opens the partial file; reads all of it where there is one to go on with.
  init(_ file: RemoteFile, to destination: URL) throws {
    self.file = file
    self.destination = destination
    subject = HubSubject(repository: file.repository, revision: file.revision, file: file.path)
    let place = destination.appendingPathExtension("partial")
    etagFile = place.appendingPathExtension("etag")
    let etag = try? String(contentsOf: etagFile, encoding: .utf8)
    // Without either, nothing would tell that the rest belongs to another version.
    let isUsable = etag.map(Self.isStrong) ?? false || file.sha256 != nil
    let known = fileSize(place) ?? 0
    partial = try PartialFile(at: place, keeping: isUsable && known <= file.size ?? .max)
    state = Mutex(
      State(
        etag: etag.flatMap { Self.isStrong($0) ? $0 : nil }, size: file.size, sha256: file.sha256,
        isResumed: partial.count > 0))
  }

  /// True where nothing is left to ask for.
  var isComplete: Bool { partial.count > 0 && partial.count == state.withLock { $0.size } }

  var resumeHeaders: [String: String] {
    guard partial.count > 0 else { return [:] }
    var headers = ["Range": "bytes=\(partial.count)-"]
    headers["If-Range"] = state.withLock { $0.etag }
    return headers
  }

  /// Looks at the headers of an answer and prepares the file for its body.
  /// - Returns: false for an answer whose body is not the file, such as a redirect.
  func begin(_ response: HTTPURLResponse, isFromEndpoint: Bool) throws -> Bool {
    if isFromEndpoint { try noteLinkedDigest(of: response) }
    switch response.statusCode {
    case 200:
      try restart()
      try expect(size: response.expectedContentLength >= 0 ? response.expectedContentLength : nil)
    case 206:
      let range = try ContentRange(response)
      guard range.start == partial.count else {
        throw malformed(response, "the range begins at \(range.start), asked was \(partial.count)")
      }
      try expect(size: range.total)
    default: return false
    }
    try note(etag: response.value(forHTTPHeaderField: "ETag"))
    return true
  }

  func receive(_ data: Data) throws {
    let limit = state.withLock { $0.size } ?? .max
    guard Int64(data.count) <= limit - partial.count else {
      throw HubError.sizeMismatch(file: file.path, expected: limit, actual: partial.count + Int64(data.count))
    }
    try partial.append(data)
  }

  /// Checks after the last byte that nothing is missing.
  func end(_ response: HTTPURLResponse) throws {
    if response.statusCode == 416 {
      // Nothing lies beyond what is here: either it is whole, or it is no part of today's version.
      let total = (try? ContentRange(response))?.total
      if let total, total == partial.count { return state.withLock { $0.size = total } }
      try restart()
      throw PassingFailure(
        error: .malformedResponse(url: response.url?.absoluteString ?? "", reason: "no such range"), pause: .zero)
    }
    guard let size = state.withLock({ $0.size }), size != partial.count else { return }
    let error = HubError.sizeMismatch(file: file.path, expected: size, actual: partial.count)
    if partial.count < size { throw PassingFailure(error: error) }
    throw error
  }

  /// Verifies the file and gives it its name.
  func finish() throws -> Catalog.File {
    let digest = partial.digest
    let (expected, isResumed) = state.withLock { ($0.sha256, $0.isResumed) }
    if let expected, expected != digest {
      let error = HubError.checksumMismatch(file: file.path, expected: expected, actual: digest)
      try restart()
      guard isResumed else {
        removeTraces()
        throw error
      }
      // What an earlier run left may have been something else: from the beginning, once.
      throw PassingFailure(error: error, pause: .zero)
    }
    let result = Catalog.File(path: file.path, size: partial.count, sha256: digest)
    try partial.finish(as: destination)
    unlink(etagFile.path)
    return result
  }

  private func removeTraces() {
    unlink(partial.url.path)
    unlink(etagFile.path)
  }

  private func restart() throws {
    unlink(etagFile.path)
    state.withLock {
      $0.isResumed = false
      $0.etag = nil
    }
    try partial.restart()
  }

  private func expect(size: Int64?) throws {
    guard let size else { return }
    let expected = state.withLock { state in
      if state.size == nil || file.size == nil { state.size = size }
      return state.size ?? size
    }
    guard expected == size else { throw HubError.sizeMismatch(file: file.path, expected: expected, actual: size) }
    let missing = size - partial.count
    let folder = destination.deletingLastPathComponent().path
    let attributes = try? FileManager.default.attributesOfFileSystem(forPath: folder)
    if let free = (attributes?[.systemFreeSize] as? NSNumber)?.int64Value, free < missing {
      throw HubError.diskFull(path: folder, reason: "\(missing) more bytes are needed, \(free) are free")
    }
  }

  /// For large files the hub's own answer, before it redirects, tells the SHA-256.
  private func noteLinkedDigest(of response: HTTPURLResponse) throws {
    guard let tag = response.value(forHTTPHeaderField: "X-Linked-ETag")?.trimmingCharacters(in: ["\""]),
      isSHA256(tag)
    else { return }
    let expected = state.withLock { state in
      if file.sha256 == nil { state.sha256 = tag }
      return state.sha256
    }
    if let expected, expected != tag {
      throw HubError.checksumMismatch(file: file.path, expected: expected, actual: tag)
    }
  }

  private func note(etag: String?) throws {
    guard let etag, Self.isStrong(etag), etag != state.withLock({ $0.etag }) else { return }
    state.withLock { $0.etag = etag }
    do { try Data(etag.utf8).write(to: etagFile) } catch {
      throw HubError.storage(path: etagFile.path, reason: "cannot be written")
    }
  }

  private static func isStrong(_ etag: String) -> Bool {
    etag.count >= 2 && etag.hasPrefix("\"") && etag.hasSuffix("\"") && etag.utf8.allSatisfy { $0 >= 32 && $0 != 127 }
  }

  private func malformed(_ response: HTTPURLResponse, _ reason: String) -> HubError {
    .malformedResponse(url: response.url?.absoluteString ?? file.path, reason: reason)
  }
}

/// `Content-Range: bytes first-last/total`, or `bytes */total` (RFC 9110, 14.4).
private struct ContentRange {
  let start: Int64
  let total: Int64?

  init(_ response: HTTPURLResponse) throws {
    let text = response.value(forHTTPHeaderField: "Content-Range") ?? ""
    let parts = text.split(whereSeparator: { " -/".contains($0) })
    let isUnsatisfied = parts.count == 3 && parts[1] == "*"
    guard parts.first == "bytes", isUnsatisfied || parts.count == 4,
      let start = isUnsatisfied ? 0 : Int64(parts[1]), let last = parts.last, last == "*" || Int64(last) != nil
    else {
      throw HubError.malformedResponse(
        url: response.url?.absoluteString ?? "", reason: "Content-Range is “\(text)”")
    }
    self.start = start
    total = Int64(last)
  }
}

/// True for 64 lowercase hexadecimal digits.
func isSHA256(_ text: String) -> Bool {
  text.utf8.count == 64
    && text.utf8.allSatisfy {
      (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains($0)
    }
}
