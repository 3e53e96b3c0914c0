// A real HTTP server on 127.0.0.1, so that what speaks HTTP is tested over a socket and can be treated badly.
import Foundation
import Synchronization

/// Answers each request with what a handler says; every answer closes its connection.
public final class LocalHTTPServer: Sendable {
  public struct Request: Sendable {
    public let path: String
    /// By lowercase name.
    public let headers: [String: String]
  }

  /// An answer; what it says about itself need not be true.
  public struct Response: Sendable {
    public var status: Int
    public var headers: [String: String]
    /// The bytes that are sent, made piece by piece.
    public var body: Body
    /// The `Content-Length` that is announced; nil announces none.
    public var announcedLength: Int?
    /// The pause after each piece.
    public var pause: Duration = .zero

    public init(status: Int = 200, headers: [String: String] = [:], body: Body = .data(Data())) {
      self.status = status
      self.headers = headers
      self.body = body
      announcedLength = body.count
    }
  }

  public enum Body: Sendable {
    case data(Data)
    /// Bytes from a position of an endless pattern.
    case pattern(start: Int, count: Int)
    /// The connection closes without any answer.
    case none

    public var count: Int {
      switch self {
      case .data(let data): data.count
      case .pattern(_, let count): count
      case .none: 0
      }
    }

    public func piece(_ offset: Int, _ count: Int) -> Data {
      switch self {
      case .data(let data): data.dropFirst(offset).prefix(count)
      case .pattern(let start, let total):
        LocalHTTPServer.pattern(start: start + offset, count: min(count, total - offset))
      case .none: Data()
      }
    }
  }

  public let port: UInt16
  private let listener: Int32
  private let handler: @Sendable (Request) -> Response
  private let log = Mutex<[Request]>([])
  private let isStopped = Mutex(false)

  /// Listens on a free port.
  public init(handler: @escaping @Sendable (Request) -> Response) throws {
    self.handler = handler
    #if os(Linux)
      let kind = Int32(SOCK_STREAM.rawValue)
    #else
      let kind = SOCK_STREAM
    #endif
    let listener = socket(AF_INET, kind, 0)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    var size = socklen_t(MemoryLayout<sockaddr_in>.size)
    let status = withUnsafeMutablePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
        bind(listener, address, size) | Foundation.listen(listener, 64) | getsockname(listener, address, &size)
      }
    }
    guard listener >= 0, status == 0 else { throw CocoaError(.featureUnsupported) }
    self.listener = listener
    port = UInt16(bigEndian: address.sin_port)
    Thread.detachNewThread { [weak self] in
      while case let connection = accept(listener, nil, nil), connection >= 0 {
        guard let self else {
          close(connection)
          return
        }
        Thread.detachNewThread { self.serve(connection) }
      }
    }
  }

  deinit { stop() }

  public var url: URL { URL(string: "http://127.0.0.1:\(port)") ?? URL(fileURLWithPath: "/") }

  /// The requests so far.
  public var requests: [Request] { log.withLock { $0 } }

  /// New connections are refused from now on.
  public func stop() {
    // A closed descriptor's number may belong to someone else the next time.
    guard isStopped.withLock({ isStopped in defer { isStopped = true }; return !isStopped }) else { return }
    shutdown(listener, Int32(SHUT_RDWR))
    close(listener)
  }

  /// The bytes of the endless pattern, whose period is no power of two.
  public static func pattern(start: Int, count: Int) -> Data {
    let period = 65_521
    var data = Data(capacity: max(count, 0))
    var position = start
    while data.count < count {
      let from = position % period
      let length = min(period - from, count - data.count)
      data.append(patternBlock[from..<from + length])
      position += length
    }
    return data
  }

  private static let patternBlock = Data((0..<65_521).map { UInt8(truncatingIfNeeded: $0 &* 31 ^ $0 >> 7) })

  private func serve(_ connection: Int32) {
    defer { close(connection) }
    guard let request = Self.readRequest(connection) else { return }
    log.withLock { $0.append(request) }
    let response = handler(request)
    if case .none = response.body, response.status == 0 { return }
    var head = "HTTP/1.1 \(response.status) Status\r\nConnection: close\r\n"
    for (name, value) in response.headers { head += "\(name): \(value)\r\n" }
    if let length = response.announcedLength { head += "Content-Length: \(length)\r\n" }
    guard Self.send(Data((head + "\r\n").utf8), to: connection) else { return }
    var offset = 0
    while offset < response.body.count {
      let piece = response.body.piece(offset, 1 << 16)
      guard Self.send(piece, to: connection) else { return }
      offset += piece.count
      if response.pause > .zero { Thread.sleep(forTimeInterval: response.pause / .seconds(1)) }
    }
    // A connection that closes with unread input is reset, which may take the answer with it.
    shutdown(connection, Int32(SHUT_WR))
    var rest = [UInt8](repeating: 0, count: 256)
    while recv(connection, &rest, rest.count, 0) > 0 {}
  }

  private static func readRequest(_ connection: Int32) -> Request? {
    var head = Data()
    var buffer = [UInt8](repeating: 0, count: 4096)
    while head.range(of: Data("\r\n\r\n".utf8)) == nil {
      let count = recv(connection, &buffer, buffer.count, 0)
      guard count > 0, head.count < 1 << 16 else { return nil }
      head.append(contentsOf: buffer[..<count])
    }
    let lines = String(decoding: head, as: UTF8.self).components(separatedBy: "\r\n")
    let words = lines[0].split(separator: " ")
    guard words.count == 3, words[0] == "GET" else { return nil }
    var headers: [String: String] = [:]
    for line in lines.dropFirst() {
      guard let colon = line.firstIndex(of: ":") else { continue }
      headers[line[..<colon].lowercased()] = line[line.index(after: colon)...].trimmingCharacters(in: .whitespaces)
    }
    return Request(path: String(words[1]), headers: headers)
  }

  private static func send(_ data: Data, to connection: Int32) -> Bool {
    #if os(Linux)
      let flags = Int32(MSG_NOSIGNAL)
    #else
      let flags: Int32 = 0
      var on: Int32 = 1
      setsockopt(connection, SOL_SOCKET, SO_NOSIGPIPE, &on, socklen_t(MemoryLayout<Int32>.size))
    #endif
    return data.withUnsafeBytes { bytes in
      var rest = bytes[...]
      while !rest.isEmpty {
        let part = UnsafeRawBufferPointer(rebasing: rest)
        let sent = Foundation.send(connection, part.baseAddress, part.count, flags)
        guard sent > 0 else { return false }
        rest = rest.dropFirst(sent)
      }
      return true
    }
  }
}
