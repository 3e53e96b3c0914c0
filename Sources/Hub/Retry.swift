// Which failures of a server are worth another try, and when.
import Foundation
import Synchronization

#if canImport(FoundationNetworking)
  import FoundationNetworking
#endif

/// A failure that may be gone at the next try; `error` is what it becomes when no try is left.
struct PassingFailure: Error {
  let error: HubError
  /// How long the server asks to wait.
  var pause: Duration?
  /// Enough came in that the count of tries begins anew.
  var madeProgress = false
}

/// Repeats a request to the hub.
struct Retry: Sendable {
  let delays: [Duration]
  let longestPause: Duration
  let meter: PullMeter

  func callAsFunction<Value>(_ body: () async throws -> Value) async throws -> Value {
    var tries = 0
    while true {
      do {
        return try await body()
      } catch let failure as PassingFailure {
        if failure.madeProgress { tries = 0 }
        guard tries < delays.count else { throw failure.error }
        let pause = max(failure.pause ?? delays[tries], .zero)
        guard pause <= longestPause else {
          throw HubError.mustWait(seconds: Int(pause / .seconds(1)), url: failure.error.address)
        }
        meter.enter(.retrying(reason: failure.error.description, pause: pause))
        try await Task.sleep(for: pause)
        tries += 1
      }
    }
  }
}

extension HubError {
  fileprivate var address: String {
    switch self {
    case .unexpectedStatus(_, let url), .connectionLost(let url, _): url
    default: "the hub"
    }
  }
}

/// What an answer of the hub is about, for the words of an error.
struct HubSubject: Sendable {
  let repository: String
  let revision: String
  /// Nil for the repository as a whole.
  let file: String?

  /// The error, or passing failure, that a status other than success stands for.
  func failure(for response: HTTPURLResponse, url: URL, tokenWasSent: Bool) -> any Error {
    let code = response.value(forHTTPHeaderField: "X-Error-Code")
    switch (response.statusCode, code) {
    case (_, "RepoNotFound"), (_, "RevisionNotFound"):
      return HubError.repositoryNotFound(repository, revision: revision)
    case (401, _), (403, _):
      return HubError.accessDenied(repository: repository, status: response.statusCode, tokenWasSent: tokenWasSent)
    case (404, _):
      guard let file else { return HubError.repositoryNotFound(repository, revision: revision) }
      return HubError.fileNotFound(file: file, repository: repository, revision: revision)
    case (408, _), (429, _), (500, _), (502, _), (503, _), (504, _):
      return PassingFailure(
        error: .unexpectedStatus(response.statusCode, url: url.absoluteString), pause: Self.pause(of: response))
    default:
      return HubError.unexpectedStatus(response.statusCode, url: url.absoluteString)
    }
  }

  /// `Retry-After` in its two forms (RFC 9110, 10.2.3): seconds, or a date.
  private static func pause(of response: HTTPURLResponse) -> Duration? {
    guard let text = response.value(forHTTPHeaderField: "Retry-After") else { return nil }
    if let seconds = Int32(text) { return .seconds(max(seconds, 0)) }
    let formatter = DateFormatter()
    formatter.locale = Locale(identifier: "en_US_POSIX")
    formatter.timeZone = TimeZone(secondsFromGMT: 0)
    formatter.dateFormat = "EEE, dd MMM yyyy HH:mm:ss zzz"
    guard let date = formatter.date(from: text) else { return nil }
    return .seconds(min(max(date.timeIntervalSinceNow.rounded(.up), 0), 1e6))
  }
}
