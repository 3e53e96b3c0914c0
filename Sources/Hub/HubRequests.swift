// The two requests that the Hugging Face hub answers: a repository's list of files, and one file.
import Foundation
import Synchronization

#if canImport(FoundationNetworking)
  import FoundationNetworking
#endif

/// A connection to the hub for the time of one pull.
final class HubRequests: Sendable {
  private let configuration: HubConfiguration
  private let client: HTTPClient
  private let retry: Retry
  private let meter: PullMeter
  /// Once the hub has answered, losing it is a passing failure.
  private let hasAnswered = Mutex(false)

  init(configuration: HubConfiguration, meter: PullMeter) {
    self.configuration = configuration
    self.meter = meter
    client = HTTPClient(configuration: configuration)
    retry = Retry(delays: configuration.retryDelays, longestPause: configuration.longestPause, meter: meter)
  }

  /// The files of a repository at a revision.
  func listing(repository: String, revision: String) async throws -> RepositoryListing {
    let subject = HubSubject(repository: repository, revision: revision, file: nil)
    let parts =
      ["api", "models"] + repository.split(separator: "/").map(String.init)
      + (revision == HubReference.defaultRevision ? [] : ["revision", revision])
    let url = try address(parts, query: "?blobs=true")
    return try await retry {
      let body = Mutex(Data())
      _ = try await get(url, subject: subject) { data in
        try body.withLock { body in
          body.append(data)
          // The list of a repository of ten thousand files takes about 3 MB.
          if body.count > 64 << 20 {
            throw HubError.malformedResponse(url: url.absoluteString, reason: "more than 64 MiB of JSON")
          }
        }
      }
      return try RepositoryListing(json: body.withLock { $0 }, url: url.absoluteString)
    }
  }

  /// Fetches a file to `destination` by way of `<destination>.partial`, going on where an earlier try was cut off.
  ///
  /// - Returns: the file's size and SHA-256 as measured, which are those asked for where these are known.
  func download(_ file: RemoteFile, to destination: URL) async throws -> Catalog.File {
    let url = try address(
      file.repository.split(separator: "/").map(String.init) + ["resolve", file.revision]
        + file.path.split(separator: "/").map(String.init))
    try makeFolder(destination.deletingLastPathComponent())
    meter.enter(.verifying, file: file.path)
    if let ready = try await file.verified(at: destination) {
      meter.finishFile(size: ready.size)
      return ready
    }
    let download = try await offTasks { try Download(file, to: destination) }
    meter.restart(at: download.partial.count)
    let result = try await retry {
      if !download.isComplete { try await self.receive(download, from: url) }
      return try await offTasks { try download.finish() }
    }
    meter.finishFile(size: result.size)
    return result
  }

  private func receive(_ download: Download, from url: URL) async throws {
    let start = download.partial.count
    let (meter, client) = (meter, client)
    meter.enter(.connecting)
    do {
      let response = try await get(
        url, subject: download.subject, headers: download.resumeHeaders,
        accepting: [416],
        onHead: { response in
          if try download.begin(response, isFromEndpoint: client.isEndpoint(response.url)) {
            meter.restart(at: download.partial.count)
            meter.enter(.downloading)
          }
        },
        onBody: { data in
          try download.receive(data)
          meter.add(data.count)
        })
      try download.end(response)
      meter.restart(at: download.partial.count)
    } catch var failure as PassingFailure {
      failure.madeProgress = download.partial.count - start >= 1 << 16
      throw failure
    }
  }

  private func get(
    _ url: URL, subject: HubSubject, headers: [String: String] = [:], accepting accepted: Set<Int> = [],
    onHead: @escaping HTTPClient.HeadHandler = { _ in }, onBody: @escaping HTTPClient.BodyHandler
  ) async throws -> HTTPURLResponse {
    do {
      let response = try await client.get(
        url, headers: headers,
        onHead: { [self] response in
          hasAnswered.withLock { $0 = true }
          try onHead(response)
        }, onBody: onBody)
      guard 200..<300 ~= response.statusCode || accepted.contains(response.statusCode) else {
        throw subject.failure(for: response, url: url, tokenWasSent: client.sendsToken(to: url))
      }
      return response
    } catch let failure as HTTPClient.Failure {
      let host = url.host ?? url.absoluteString
      switch failure {
      case .unreachable(let reason):
        guard hasAnswered.withLock({ $0 }) else { throw HubError.unreachable(host: host, reason: reason) }
        throw PassingFailure(error: .connectionLost(url: url.absoluteString, reason: reason))
      case .broken(let reason):
        throw PassingFailure(error: .connectionLost(url: url.absoluteString, reason: reason))
      case .tooManyRedirects:
        throw HubError.malformedResponse(url: url.absoluteString, reason: "more than ten redirects")
      case .badRedirect(let target):
        throw HubError.malformedResponse(url: url.absoluteString, reason: "a redirect to “\(target)”")
      }
    }
  }

  /// The endpoint's address followed by `parts`, each escaped as one part of a path.
  private func address(_ parts: [String], query: String = "") throws -> URL {
    var base = configuration.endpoint.absoluteString
    while base.hasSuffix("/") { base.removeLast() }
    let plain = CharacterSet(charactersIn: "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
    let path = parts.map { $0.addingPercentEncoding(withAllowedCharacters: plain) ?? $0 }.joined(separator: "/")
    guard let url = URL(string: "\(base)/\(path)\(query)") else {
      throw HubError.invalidSetting("HF_ENDPOINT", reason: "\(base)/\(path) is no address")
    }
    return url
  }
}
