// Tokens as bytes: Swift's strings count "é" in one and in two code points as the same, a vocabulary does not.

/// The tokens learnt so far, in the order of their ids.
struct TokenVocabulary: Sendable {
  private(set) var tokens: [[UInt8]] = []
  private var ids: [[UInt8]: UInt32] = [:]

  var count: Int { tokens.count }

  /// The id of `token`, which is added unless it is there.
  @discardableResult
  mutating func id(adding token: [UInt8]) -> UInt32 {
    if let id = ids[token] { return id }
    let id = UInt32(tokens.count)
    ids[token] = id
    tokens.append(token)
    return id
  }

  func id(of token: [UInt8]) -> UInt32? { ids[token] }

  func id(of scalar: UInt32) -> UInt32? { ids[utf8(of: scalar)] }
}

/// The UTF-8 sequence of a code point that came out of UTF-8.
func utf8(of scalar: UInt32) -> [UInt8] { Unicode.Scalar(scalar).map { Array(UTF8.encode($0) ?? .init()) } ?? [] }

/// Calls `body` with each code point of well-formed UTF-8.
@inline(__always)
func forEachScalar(in bytes: UnsafeBufferPointer<UInt8>, _ body: (UInt32) -> Void) {
  var at = 0
  while at < bytes.count {
    let lead = UInt32(bytes[at])
    let length = lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4
    guard at + length <= bytes.count else { return }
    var code = length == 1 ? lead : lead & (0x7F >> UInt32(length))
    for offset in 1..<max(1, length) { code = code << 6 | UInt32(bytes[at + offset] & 0x3F) }
    body(code)
    at += length
  }
}
