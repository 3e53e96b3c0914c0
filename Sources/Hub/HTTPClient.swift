// Requests through URLSession whose bodies go straight to whoever takes them, however slow that one is.
import Foundation
import Synchronization

#if canImport(FoundationNetworking)
  import FoundationNetworking
#endif

/// Sends one request at a time, follows redirects, and never holds more than a few megabytes of a body.
final class HTTPClient: Sendable {
  /// Sees the headers of the answer before its body; throwing ends the transfer.
  typealias HeadHandler = @Sendable (HTTPURLResponse) throws -> Void
  /// Takes the next bytes of the body; throwing ends the transfer.
  typealias BodyHandler = @Sendable (Data) throws -> Void

  /// A transfer that ended before the answer was complete.
  enum Failure: Error {
    /// No connection could be made; the reason is the system's.
    case unreachable(String)
    /// The connection broke before the answer was complete.
    case broken(String)
    case tooManyRedirects
    case badRedirect(String)
  }

  private let endpoint: URL
  private let token: String?
  private let responseTimeout: Duration
  private let idleTimeout: Duration
  private let exchange: Exchange
  private let session: URLSession

  init(configuration: HubConfiguration) {
    endpoint = configuration.endpoint
    token = configuration.token
    responseTimeout = configuration.responseTimeout
    idleTimeout = configuration.idleTimeout
    let settings = URLSessionConfiguration.ephemeral
    settings.urlCache = nil
    settings.requestCachePolicy = .reloadIgnoringLocalCacheData
    settings.urlCredentialStorage = nil
    settings.httpCookieStorage = nil
    settings.httpShouldSetCookies = false
    let queue = BoundedQueue()
    exchange = Exchange(queue: queue)
    session = URLSession(configuration: settings, delegate: exchange, delegateQueue: queue)
  }

  /// A session holds its delegate until it is told to end.
  deinit { session.invalidateAndCancel() }

  /// Gets `url`, following redirects. The token goes to the endpoint's own scheme, host and port only.
  ///
  /// `onHead` sees the headers of every hop, redirects included; `onBody` gets bodies of status 2xx only.
  /// - Returns: the last answer, whatever its status.
  func get(
    _ url: URL, headers: [String: String] = [:], onHead: @escaping HeadHandler = { _ in },
    onBody: @escaping BodyHandler
  ) async throws -> HTTPURLResponse {
    var url = url
    for _ in 0..<10 {
      var request = URLRequest(url: url)
      request.timeoutInterval = idleTimeout / .seconds(1)
      // A compressed answer has no ranges and another size.
      request.setValue("identity", forHTTPHeaderField: "Accept-Encoding")
      request.setValue("malmoi", forHTTPHeaderField: "User-Agent")
      for (name, value) in headers { request.setValue(value, forHTTPHeaderField: name) }
      if let token, isEndpoint(url) {
        request.setValue("Bearer " + token, forHTTPHeaderField: "Authorization")
      }
      let response = try await send(request, onHead: onHead, onBody: onBody)
      guard [301, 302, 303, 307, 308].contains(response.statusCode) else { return response }
      url = try Self.target(of: response, from: url)
    }
    throw Failure.tooManyRedirects
  }

  /// True where a request to `url` carries the token.
  func sendsToken(to url: URL) -> Bool { token != nil && isEndpoint(url) }

  /// True where scheme, host and port are the endpoint's.
  func isEndpoint(_ url: URL?) -> Bool { url.map(Self.origin) == Self.origin(endpoint) }

  private static func target(of response: HTTPURLResponse, from url: URL) throws -> URL {
    guard let location = response.value(forHTTPHeaderField: "Location"),
      let target = URL(string: location, relativeTo: url)?.absoluteURL, target.host?.isEmpty == false,
      target.scheme == "https" || (target.scheme == "http" && url.scheme == "http")
    else { throw Failure.badRedirect(response.value(forHTTPHeaderField: "Location") ?? "none") }
    return target
  }

  private static func origin(_ url: URL) -> [String] {
    let scheme = url.scheme?.lowercased() ?? ""
    return [scheme, url.host?.lowercased() ?? "", String(url.port ?? (scheme == "https" ? 443 : 80))]
  }

  private func send(
    _ request: URLRequest, onHead: @escaping HeadHandler, onBody: @escaping BodyHandler
  ) async throws -> HTTPURLResponse {
    let task = session.dataTask(with: request)
    let watch = Task { [exchange, responseTimeout] in
      try await Task.sleep(for: responseTimeout)
      exchange.giveUpUnlessAnswered(task, after: responseTimeout)
    }
    defer { watch.cancel() }
    return try await withTaskCancellationHandler {
      try await withCheckedThrowingContinuation { continuation in
        exchange.begin(Exchange.Transfer(task: task, onHead: onHead, onBody: onBody, continuation: continuation))
        task.resume()
        if Task.isCancelled { exchange.abort(CancellationError()) }
      }
    } onCancel: {
      exchange.abort(CancellationError())
    }
  }
}

/// The session's delegate: hands one transfer's parts on as they come.
private final class Exchange: NSObject, URLSessionDataDelegate {
  struct Transfer: Sendable {
    let task: URLSessionDataTask
    let onHead: HTTPClient.HeadHandler
    let onBody: HTTPClient.BodyHandler
    let continuation: CheckedContinuation<HTTPURLResponse, any Error>
    var response: HTTPURLResponse?
    var failure: (any Error)?
    /// Of a body that nobody wants, such as an error page.
    var droppedBytes = 0
  }

  private let transfer = Mutex<Transfer?>(nil)
  private let queue: BoundedQueue

  init(queue: BoundedQueue) { self.queue = queue }

  func begin(_ transfer: Transfer) {
    queue.limit()
    self.transfer.withLock { $0 = transfer }
  }

  /// Ends the transfer with `error`, unless it has already failed.
  func abort(_ error: (any Error)?) {
    let task = transfer.withLock { transfer -> URLSessionDataTask? in
      if transfer?.failure == nil { transfer?.failure = error }
      return transfer?.task
    }
    guard let task else { return }
    // What is still to come is dropped, so nobody needs to wait for it; and cancelling may wait for the session's own
    // queue, which may be waiting for this very thread.
    queue.unlimit()
    DispatchQueue.global().async { task.cancel() }
  }

  func giveUpUnlessAnswered(_ task: URLSessionDataTask, after timeout: Duration) {
    if transfer.withLock({ $0?.task === task && $0?.response == nil }) {
      abort(HTTPClient.Failure.unreachable("no answer within \(timeout)"))
    }
  }

  func urlSession(
    _ session: URLSession, task: URLSessionTask, willPerformHTTPRedirection response: HTTPURLResponse,
    newRequest request: URLRequest, completionHandler: @escaping @Sendable (URLRequest?) -> Void
  ) {
    completionHandler(nil)
  }

  func urlSession(
    _ session: URLSession, dataTask: URLSessionDataTask, didReceive response: URLResponse,
    completionHandler: @escaping @Sendable (URLSession.ResponseDisposition) -> Void
  ) {
    completionHandler(.allow)
    guard let response = response as? HTTPURLResponse else { return }
    let onHead = transfer.withLock { transfer in
      transfer?.response = response
      return transfer?.onHead
    }
    do { try onHead?(response) } catch { abort(error) }
  }

  func urlSession(_ session: URLSession, dataTask: URLSessionDataTask, didReceive data: Data) {
    let (onBody, isTooLong) = transfer.withLock { transfer -> (HTTPClient.BodyHandler?, Bool) in
      guard let current = transfer, current.failure == nil, let status = current.response?.statusCode else {
        return (nil, false)
      }
      if 200..<300 ~= status { return (current.onBody, false) }
      transfer?.droppedBytes += data.count
      return (nil, current.droppedBytes + data.count > 1 << 16)
    }
    if isTooLong { return abort(nil) }
    do { try onBody?(data) } catch { abort(error) }
  }

  func urlSession(_ session: URLSession, task: URLSessionTask, didCompleteWithError error: (any Error)?) {
    let ended = transfer.withLock { transfer -> Transfer? in
      defer { transfer = nil }
      return transfer
    }
    guard let ended else { return }
    if let failure = ended.failure {
      ended.continuation.resume(throwing: failure)
    } else if let response = ended.response, error == nil || !(200..<300 ~= response.statusCode) {
      ended.continuation.resume(returning: response)
    } else {
      let reason = error?.localizedDescription ?? "the connection was closed without an answer"
      let isUnreachable = ended.response == nil && Self.meansUnreachable(error)
      ended.continuation.resume(
        throwing: isUnreachable ? HTTPClient.Failure.unreachable(reason) : HTTPClient.Failure.broken(reason))
    }
  }

  private static func meansUnreachable(_ error: (any Error)?) -> Bool {
    switch (error as? URLError)?.code {
    case .cannotFindHost, .cannotConnectToHost, .dnsLookupFailed, .notConnectedToInternet, .timedOut,
      .secureConnectionFailed, .serverCertificateUntrusted, .serverCertificateHasBadDate,
      .serverCertificateHasUnknownRoot, .serverCertificateNotYetValid, .unsupportedURL, .badURL:
      true
    default: false
    }
  }
}

/// A serial queue that makes whoever fills it wait while too much is pending.
///
/// URLSession on Linux reads the network as fast as it can and queues every piece for its delegate without a bound, so
/// that a slow disk would let a whole model pile up in memory. There it queues with this method, on the thread that
/// reads the network: while that waits, the kernel's buffers fill and the sender slows down. (Suspending the task
/// would not do: on Linux that drops the connection.)
private final class BoundedQueue: OperationQueue, @unchecked Sendable {
  /// Pieces are 16 KiB on Linux: 4 MiB in all.
  private static let capacity = 256
  private let condition = NSCondition()
  private var pending = 0
  private var isLimited = true

  override init() {
    super.init()
    maxConcurrentOperationCount = 1
  }

  override func addOperation(_ block: @escaping @Sendable () -> Void) {
    condition.lock()
    while isLimited && pending >= Self.capacity { condition.wait() }
    pending += 1
    condition.unlock()
    super.addOperation {
      block()
      self.condition.lock()
      self.pending -= 1
      self.condition.signal()
      self.condition.unlock()
    }
  }

  func limit() { setLimited(true) }
  func unlimit() { setLimited(false) }

  private func setLimited(_ value: Bool) {
    condition.lock()
    isLimited = value
    condition.broadcast()
    condition.unlock()
  }
}
