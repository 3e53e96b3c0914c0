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

  /// Strings that lie in one buffer already.
  /// - Returns: nil unless the offsets begin at 0, never fall, and end at the buffer's end
  public init?(bytes: [UInt8], offsets: [Int]) {
    guard offsets.first == 0, offsets.last == bytes.count else { return nil }
    for index in offsets.indices.dropFirst() where offsets[index] < offsets[index - 1] { return nil }
    self.bytes = bytes
    self.offsets = offsets
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

extension PackedStrings {
  /// The bytes and offsets as pointers, for loops over whole vocabularies.
  struct View {
    let count: Int
    private let bytes: UnsafePointer<UInt8>
    private let offsets: UnsafePointer<Int>

    fileprivate init(count: Int, bytes: UnsafePointer<UInt8>, offsets: UnsafePointer<Int>) {
      self.count = count
      self.bytes = bytes
      self.offsets = offsets
    }

    @inline(__always) func start(of index: Int) -> UnsafePointer<UInt8> { bytes + offsets[index] }
    @inline(__always) func length(of index: Int) -> Int { offsets[index + 1] - offsets[index] }

    @inline(__always)
    func matches(_ index: Int, _ other: UnsafePointer<UInt8>, _ otherLength: Int) -> Bool {
      length(of: index) == otherLength && Self.equal(start(of: index), other, otherLength)
    }

    /// Whether string `index`, which may be beyond the last, is the concatenation of two others.
    @inline(__always)
    func matches(
      _ index: Int, _ head: UnsafePointer<UInt8>, _ headLength: Int, _ tail: UnsafePointer<UInt8>, _ tailLength: Int
    ) -> Bool {
      guard index < count, length(of: index) == headLength + tailLength else { return false }
      let own = start(of: index)
      return Self.equal(own, head, headLength) && Self.equal(own + headLength, tail, tailLength)
    }

    @inline(__always)
    private static func equal(_ a: UnsafePointer<UInt8>, _ b: UnsafePointer<UInt8>, _ length: Int) -> Bool {
      var at = 0
      while at + 8 <= length {
        let left = UnsafeRawPointer(a).loadUnaligned(fromByteOffset: at, as: UInt64.self)
        let right = UnsafeRawPointer(b).loadUnaligned(fromByteOffset: at, as: UInt64.self)
        if left != right { return false }
        at += 8
      }
      while at < length {
        if a[at] != b[at] { return false }
        at += 1
      }
      return true
    }
  }

  /// Calls `body` with a view that is valid until it returns; indices passed to the view must be in `0..<count`.
  @inline(__always)
  func withUnsafePieces<Result>(_ body: (View) throws -> Result) rethrows -> Result {
    try bytes.withUnsafeBufferPointer { bytes in
      try offsets.withUnsafeBufferPointer { offsets in
        // `offsets` always holds at least its leading zero; without bytes no byte is read.
        let starts = offsets.baseAddress.unsafelyUnwrapped
        let none = UnsafeRawPointer(starts).assumingMemoryBound(to: UInt8.self)
        return try body(View(count: count, bytes: bytes.baseAddress ?? none, offsets: starts))
      }
    }
  }
}
