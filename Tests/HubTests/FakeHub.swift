// A small Hugging Face hub for tests: a list of files, ranges, redirects, and faults in the order they are asked for.
import Crypto
import Foundation
import Hub
import Synchronization
import TestSupport

/// Serves one repository from memory.
final class FakeHub: Sendable {
  struct File: Sendable {
    var body: LocalHTTPServer.Body
    var etag: String
    /// Tell the SHA-256 as the hub does for large files.
    var isLarge = false
  }

  /// What happens instead of a plain answer, once each, in order.
  enum Fault: Sendable {
    case status(Int, headers: [String: String] = [:])
    case dropBeforeAnswer
    /// The announced length is right, but the connection closes after so many bytes.
    case truncate(after: Int)
    /// Any range is ignored and these bytes come, under this ETag.
    case replace(Data, etag: String)
    case slow(Duration)
  }

  private struct State {
    var files: [String: File] = [:]
    var faults: [String: [Fault]] = [:]
    var redirect: URL?
    var requiredToken: String?
  }

  let repository: String
  let commit = String(repeating: "c0ffee", count: 6) + "beef"
  private let state: Arc
  let server: LocalHTTPServer

  private final class Arc: Sendable {
    let value = Mutex(State())
  }

  init(repository: String = "owner/model", files: [String: Data] = [:]) throws {
    self.repository = repository
    let (state, commit) = (Arc(), commit)
    self.state = state
    server = try LocalHTTPServer { request in
      state.value.withLock { Self.answer(request, repository: repository, commit: commit, state: &$0) }
    }
    for (name, data) in files { set(name, data) }
  }

  func set(_ name: String, _ data: Data, etag: String? = nil, isLarge: Bool = false) {
    set(name, File(body: .data(data), etag: etag ?? "\"\(sha256(data).prefix(16))\"", isLarge: isLarge))
  }

  func set(_ name: String, _ file: File) { state.value.withLock { $0.files[name] = file } }
  func fail(_ name: String, _ faults: Fault...) { state.value.withLock { $0.faults[name] = faults } }
  /// Files are served by another host from now on.
  func redirect(to url: URL) { state.value.withLock { $0.redirect = url } }
  func require(token: String) { state.value.withLock { $0.requiredToken = token } }

  /// The requests for a file, in order.
  func requests(for name: String) -> [LocalHTTPServer.Request] {
    server.requests.filter { $0.path.hasSuffix("/" + name) }
  }

  private static func answer(
    _ request: LocalHTTPServer.Request, repository: String, commit: String, state: inout State
  ) -> LocalHTTPServer.Response {
    if let token = state.requiredToken, request.headers["authorization"] != "Bearer " + token {
      return .init(status: 401, body: .data(Data("who are you?".utf8)))
    }
    let path = request.path.removingPercentEncoding ?? request.path
    if path.hasPrefix("/api/models/") {
      let known = "/api/models/\(repository)"
      let isKnown = path == known + "?blobs=true" || path.hasPrefix(known + "/revision/")
      if case .status(let status, let headers) = state.faults["api"]?.first {
        state.faults["api"]?.removeFirst()
        return .init(status: status, headers: headers)
      }
      return isKnown ? .init(body: .data(listing(state, commit: commit))) : .init(status: 404)
    }
    let words = path.split(separator: "/", maxSplits: 4).map(String.init)
    guard words.count == 5, words[2] == "resolve", "\(words[0])/\(words[1])" == repository,
      let file = state.files[words[4]]
    else { return .init(status: 404, headers: ["X-Error-Code": "EntryNotFound"]) }
    let linked = file.isLarge ? ["X-Linked-ETag": "\"\(sha256(file.body.piece(0, file.body.count)))\""] : [:]
    if let redirect = state.redirect {
      let target = redirect.absoluteString + request.path
      return .init(status: 302, headers: linked.merging(["Location": target]) { $1 }, body: .data(Data("moved".utf8)))
    }
    let fault = state.faults[words[4]]?.isEmpty == false ? state.faults[words[4]]?.removeFirst() : nil
    return content(file, request, fault, linked)
  }

  private static func content(
    _ file: File, _ request: LocalHTTPServer.Request, _ fault: Fault?, _ extra: [String: String]
  ) -> LocalHTTPServer.Response {
    let total = file.body.count
    var start = 0
    let ifRange = request.headers["if-range"]
    if let range = request.headers["range"], ifRange == nil || ifRange == file.etag {
      start = Int(range.dropFirst("bytes=".count).dropLast()) ?? 0
      if start >= total { return .init(status: 416, headers: ["Content-Range": "bytes */\(total)"]) }
    }
    var response = LocalHTTPServer.Response(
      status: start > 0 ? 206 : 200, headers: extra.merging(["ETag": file.etag]) { $1 },
      body: start > 0 ? .data(file.body.piece(start, total - start)) : file.body)
    if start > 0 { response.headers["Content-Range"] = "bytes \(start)-\(total - 1)/\(total)" }
    switch fault {
    case .status(let status, let headers): return .init(status: status, headers: headers)
    case .dropBeforeAnswer: return .init(status: 0, body: .none)
    case .truncate(let count): response.body = .data(file.body.piece(start, count))
    case .replace(let data, let etag):
      response = .init(headers: ["ETag": etag], body: .data(data))
    case .slow(let pause): response.pause = pause
    case nil: break
    }
    return response
  }

  private static func listing(_ state: State, commit: String) -> Data {
    let siblings = state.files.keys.sorted().compactMap { name -> String? in
      guard let file = state.files[name] else { return nil }
      let digest = file.isLarge ? ",\"lfs\":{\"sha256\":\"\(sha256(file.body.piece(0, file.body.count)))\"}" : ""
      return "{\"rfilename\":\"\(name)\",\"size\":\(file.body.count)\(digest)}"
    }
    return Data(
      "{\"sha\":\"\(commit)\",\"tags\":[\"license:mit\"],\"siblings\":[\(siblings.joined(separator: ","))]}".utf8)
  }
}

func sha256(_ data: Data) -> String {
  SHA256.hash(data: data).map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
}

/// A configuration that knows only `folder` and `endpoint`, and does not wait long.
func configuration(
  _ folder: URL, endpoint: URL, more environment: [String: String] = [:]
) throws -> HubConfiguration {
  var values = [
    "HOME": folder.path, "HF_ENDPOINT": endpoint.absoluteString,
    "PATH": ProcessInfo.processInfo.environment["PATH"] ?? "",
  ]
  values.merge(environment) { $1 }
  var configuration = try HubConfiguration(environment: values)
  configuration.retryDelays = Array(repeating: .milliseconds(20), count: 3)
  configuration.responseTimeout = .seconds(5)
  return configuration
}

/// Bytes that look like a GGUF file of a given size.
func ggufBytes(_ count: Int) -> Data {
  Data("GGUF".utf8) + LocalHTTPServer.pattern(start: 0, count: count - 4)
}

/// A catalog of one model, `tiny`, of one file.
func tinyCatalog(_ data: Data, sha256 digest: String? = nil, places: [Catalog.Place]) -> Catalog {
  let file = Catalog.File(path: "tiny.gguf", size: Int64(data.count), sha256: digest ?? sha256(data))
  return Catalog(
    entries: [
      .init(
        name: "tiny", summary: "a model for tests", license: "MIT", main: "tiny.gguf", files: [file], places: places)
    ], defaultName: "tiny")
}

/// What progress was reported.
final class ProgressLog: Sendable {
  private let entries = Mutex<[PullProgress]>([])
  func add(_ progress: PullProgress) { entries.withLock { $0.append(progress) } }
  var all: [PullProgress] { entries.withLock { $0 } }
  var phases: [PullProgress.Phase] { all.map(\.phase) }
}

/// An address where nobody listens.
func closedEndpoint() throws -> URL {
  let server = try LocalHTTPServer { _ in .init(status: 500) }
  server.stop()
  return server.url
}
