// A vocabulary of 262,144 pieces as 262,144 Swift strings costs more time to build than the model takes to start.

/// Many byte strings end to end in one buffer, addressed by index.
public struct PackedStrings: Sendable, RandomAccessCollection {
  /// All strings' bytes, end to end.
  public private(set) var bytes: [UInt8]
  /// `count + 1` offsets into `bytes`; string `i` is `offsets[i]..<offsets[i + 1]`.
  public private(set) var offsets: [Int]

  public init() {
    bytes = []
    offsets = [0]
  }

  /// Room for `count` strings of `byteCount` bytes in all.
  public init(capacity count: Int, bytes byteCount: Int) {
    self.init()
    bytes.reserveCapacity(byteCount)
    offsets.reserveCapacity(count + 1)
  }

  public init(_ strings: some Sequence<String>) {
    self.init()
    for string in strings { append(string.utf8) }
  }

  public var startIndex: Int { 0 }
  public var endIndex: Int { offsets.count - 1 }

  /// The bytes of string `index`.
  public subscript(index: Int) -> ArraySlice<UInt8> { bytes[offsets[index]..<offsets[index + 1]] }

  /// String `index` as text; bytes that are not UTF-8 become U+FFFD.
  public func string(at index: Int) -> String { String(decoding: self[index], as: UTF8.self) }

  public mutating func append(_ string: some Sequence<UInt8>) {
    bytes.append(contentsOf: string)
    offsets.append(bytes.count)
  }
}
