// Text on its way through normalizers, with a record of which part of the original each byte came from.

/// A stretch of the original text in bytes.
struct Alignment: BitwiseCopyable, Equatable {
  var start: UInt32
  var end: UInt32
}

/// A section of a text between two added tokens, as changed so far. Its bytes are always UTF-8.
///
/// The rules by which alignments survive changes are those of Hugging Face's `NormalizedString`, so that offsets agree.
struct AlignedText {
  var bytes: [UInt8]
  /// One per byte, or none at all where nobody asks for offsets.
  var alignments: [Alignment]
  let isAligned: Bool
  /// Where in the original the section starts.
  let origin: UInt32

  /// - Parameter bytes: UTF-8.
  init(_ bytes: UnsafeBufferPointer<UInt8>, origin: Int, isAligned: Bool) {
    self.bytes = Array(bytes)
    self.isAligned = isAligned
    self.origin = UInt32(truncatingIfNeeded: origin)
    alignments = []
    guard isAligned else { return }
    alignments.reserveCapacity(bytes.count)
    var at = 0
    while at < bytes.count {
      let length = utf8Length(lead: bytes[at])
      let start = UInt32(truncatingIfNeeded: origin + at)
      let alignment = Alignment(start: start, end: start + UInt32(length))
      for _ in 0..<length { alignments.append(alignment) }
      at += length
    }
  }

  /// An empty text for pieces of `other`.
  init(like other: AlignedText, capacity: Int, origin: UInt32? = nil) {
    bytes = []
    alignments = []
    isAligned = other.isAligned
    self.origin = origin ?? other.origin
    bytes.reserveCapacity(capacity)
    if isAligned { alignments.reserveCapacity(capacity) }
  }

  /// Appends part of another text unchanged.
  mutating func append(_ range: Range<Int>, of other: AlignedText) {
    bytes += other.bytes[range]
    if isAligned { alignments += other.alignments[range] }
  }

  /// Appends characters that share one alignment.
  mutating func append(_ text: [UInt8], aligned alignment: Alignment) {
    bytes += text
    if isAligned { alignments.append(contentsOf: repeatElement(alignment, count: text.count)) }
  }

  /// The part of the original that became `range`; nil if the range is empty or nothing is recorded.
  func original(of range: Range<Int>) -> Alignment? {
    guard isAligned, !range.isEmpty else { return nil }
    return Alignment(start: alignments[range.lowerBound].start, end: alignments[range.upperBound - 1].end)
  }

  /// Replaces the text by what `body` writes. `reader` gives the characters of the text; each character written says by
  /// how many it changes their number.
  mutating func rewrite(_ body: (inout ScalarReader, inout TextWriter) -> Void) {
    let source = self
    source.bytes.withUnsafeBufferPointer { bytes in
      var reader = ScalarReader(bytes)
      var writer = TextWriter(source, bytes)
      body(&reader, &writer)
      self.bytes = writer.bytes
      alignments = writer.alignments
    }
  }
}

/// The characters of a text one after another.
struct ScalarReader {
  let bytes: UnsafeBufferPointer<UInt8>
  private(set) var position = 0

  init(_ bytes: UnsafeBufferPointer<UInt8>) { self.bytes = bytes }

  /// The next character and its length in bytes.
  @inline(__always)
  mutating func next() -> (code: UInt32, length: Int)? {
    guard position < bytes.count else { return nil }
    let result = scalar(in: bytes, at: position)
    position += result.length
    return result
  }
}

/// Writes a text that replaces another, keeping account of what replaces what.
struct TextWriter {
  private let source: UnsafeBufferPointer<UInt8>
  private let sourceAlignments: [Alignment]
  private let isAligned: Bool
  private let origin: Alignment
  /// Up to where the source has been replaced.
  private var position = 0
  fileprivate(set) var bytes: [UInt8] = []
  fileprivate(set) var alignments: [Alignment] = []

  fileprivate init(_ text: AlignedText, _ source: UnsafeBufferPointer<UInt8>) {
    self.source = source
    sourceAlignments = text.alignments
    isAligned = text.isAligned
    origin = Alignment(start: text.origin, end: text.origin)
    bytes.reserveCapacity(source.count + source.count / 8)
    if isAligned { alignments.reserveCapacity(source.count) }
  }

  /// Leaves out the next `count` characters; for those at the beginning of the text.
  mutating func skip(_ count: Int) {
    if isAligned { for _ in 0..<count { advance() } }
  }

  private mutating func advance() {
    if position < source.count { position = min(source.count, position + utf8Length(lead: source[position])) }
  }

  /// Writes a character: an additional one if `change` is 1; one in place of the next of the source if it is 0; and one
  /// in place of several if it is below.
  @inline(__always)
  mutating func append(_ code: UInt32, change: Int) {
    let before = bytes.count
    appendUTF8(code, to: &bytes)
    if isAligned { align(bytes.count - before, change) }
  }

  private mutating func align(_ count: Int, _ change: Int) {
    let alignment: Alignment
    if sourceAlignments.isEmpty {
      alignment = origin
    } else if change > 0 {
      alignment = position < 1 ? origin : sourceAlignments[position - 1]
    } else {
      alignment = sourceAlignments[min(position, sourceAlignments.count - 1)]
      advance()
      for _ in 0..<max(0, -change) where position < source.count { advance() }
    }
    for _ in 0..<count { alignments.append(alignment) }
  }
}

/// The code point that begins at `position` of UTF-8 text, and its length in bytes.
@inline(__always)
func scalar(in bytes: UnsafeBufferPointer<UInt8>, at position: Int) -> (code: UInt32, length: Int) {
  let lead = bytes[position]
  if lead < 0x80 { return (UInt32(lead), 1) }
  let second = UInt32(bytes[position + 1] & 0x3F)
  if lead < 0xE0 { return (UInt32(lead & 0x1F) << 6 | second, 2) }
  let third = UInt32(bytes[position + 2] & 0x3F)
  if lead < 0xF0 { return (UInt32(lead & 0x0F) << 12 | second << 6 | third, 3) }
  return (UInt32(lead & 0x07) << 18 | second << 12 | third << 6 | UInt32(bytes[position + 3] & 0x3F), 4)
}

@inline(__always)
func appendUTF8(_ code: UInt32, to bytes: inout [UInt8]) {
  if code < 0x80 { return bytes.append(UInt8(truncatingIfNeeded: code)) }
  if code < 0x800 {
    bytes.append(0xC0 | UInt8(truncatingIfNeeded: code >> 6))
  } else {
    if code < 0x10000 {
      bytes.append(0xE0 | UInt8(truncatingIfNeeded: code >> 12))
    } else {
      bytes.append(0xF0 | UInt8(truncatingIfNeeded: code >> 18))
      bytes.append(0x80 | UInt8(truncatingIfNeeded: code >> 12 & 0x3F))
    }
    bytes.append(0x80 | UInt8(truncatingIfNeeded: code >> 6 & 0x3F))
  }
  bytes.append(0x80 | UInt8(truncatingIfNeeded: code & 0x3F))
}
