// SentencePiece BPE: no words are cut; any neighbours merge whose concatenation is a piece, best score first.

/// Encodes text without special tokens for `TokenizerModel.sentencePiece`.
struct SentencePieceEncoder: Sendable {
  /// U+2581, which stands for a space.
  static let space: [UInt8] = [0xE2, 0x96, 0x81]

  private let index: PieceIndex
  /// The scores as merge priorities: lower merges first.
  private let priorities: FlatTable<UInt32>
  private let byteTokens: FlatTable<Int32>
  /// One bit per pair of bytes: whether some piece holds them side by side. Where none does, nothing merges across, so
  /// text can be cut there and its parts remembered like words.
  private let joints: FlatTable<UInt64>

  init(_ vocabulary: TokenizerVocabulary, index: PieceIndex) throws {
    let count = vocabulary.pieces.count
    guard vocabulary.scores.count == count else {
      throw TokenizerError.countMismatch(field: "scores", count: vocabulary.scores.count, expected: count)
    }
    self.index = index
    priorities = FlatTable(repeating: 0, count: count)
    for (id, score) in vocabulary.scores.enumerated() {
      priorities.start[id] = try Self.priority(ofScore: score, id: id)
    }
    byteTokens = FlatTable(repeating: -1, count: 256)
    for byte in 0..<256 {
      let byte = UInt8(byte)
      guard let id = index.id(of: ByteToken.spelling(of: byte)) ?? index.id(of: [byte]) else {
        throw TokenizerError.missingByteToken(byte)
      }
      byteTokens.start[Int(byte)] = id
    }
    joints = Self.joints(of: vocabulary.pieces)
  }

  /// A score as a merge priority, of which the lowest comes first.
  static func priority(ofScore score: Float, id: Int) throws -> UInt32 {
    guard !score.isNaN else { throw TokenizerError.invalidScore(id: Int32(id)) }
    let bits = (score + 0).bitPattern  // + 0 makes -0 and 0 equal
    let ascending = bits & 0x8000_0000 != 0 ? ~bits : bits | 0x8000_0000
    return ~ascending
  }

  static func joints(of pieces: PackedStrings) -> FlatTable<UInt64> {
    let joints = FlatTable<UInt64>(repeating: 0, count: 65536 / 64)
    func join(_ left: UInt8, _ right: UInt8) {
      let pair = Int(left) << 8 | Int(right)
      joints.start[pair >> 6] |= 1 << UInt64(pair & 63)
    }
    pieces.withUnsafePieces { view in
      for id in 0..<view.count {
        let piece = view.start(of: id)
        let length = view.length(of: id)
        var at = 1
        while at < length {
          let left = piece[at - 1]
          let right = piece[at]
          join(left, right)
          // Text is cut before its spaces become ▁, so a ▁ counts as a space too.
          let endsSpace = left == 0x81 && at >= 3 && piece[at - 2] == 0x96 && piece[at - 3] == 0xE2
          let startsSpace = right == 0xE2 && at + 2 < length && piece[at + 1] == 0x96 && piece[at + 2] == 0x81
          if endsSpace { join(0x20, right) }
          if startsSpace { join(left, 0x20) }
          if endsSpace && startsSpace { join(0x20, 0x20) }
          at += 1
        }
      }
    }
    return joints
  }

  func encode(_ bytes: UnsafeBufferPointer<UInt8>, _ scratch: EncoderScratch, into output: inout TokenBuffer) {
    guard let base = bytes.baseAddress else { return }
    let count = bytes.count
    let cache = scratch.cache
    index.withUnsafeView { view in
      // In text that is not UTF-8 a character may swallow a space; such text is taken as one part.
      guard isWellFormed(bytes) else { return encodePart(base, count, view, scratch, into: &output) }
      var start = 0
      while start < count {
        let end = partEnd(base, from: start, to: count)
        let length = end - start
        if length <= WordCache.longestWord {
          let key = WordCache.key(base + start, length: length, readable: count - start)
          if !cache.append(key, to: &output) {
            let before = output.count
            encodePart(base + start, length, view, scratch, into: &output)
            cache.remember(key, output, from: before)
          }
        } else {
          encodePart(base + start, length, view, scratch, into: &output)
        }
        start = end
      }
    }
  }

  /// The next place after `start` where no piece joins the bytes on either side.
  @inline(__always)
  private func partEnd(_ base: UnsafePointer<UInt8>, from start: Int, to count: Int) -> Int {
    var at = start + 1
    var left = Int(base[start])
    while at < count {
      let right = Int(base[at])
      let pair = left << 8 | right
      if joints.start[pair >> 6] >> UInt64(pair & 63) & 1 == 0, right & 0xC0 != 0x80 { break }
      left = right
      at += 1
    }
    return at
  }

  private struct Rule: MergeRule {
    let text: UnsafePointer<UInt8>
    let view: PieceIndex.View
    let priorities: UnsafePointer<UInt32>

    @inline(__always)
    func merge(left: Int32, right: Int32, start: Int, length: Int) -> (priority: UInt32, id: Int32) {
      let id = view.id(text + start, length)
      return id < 0 ? (noMerge, -1) : (priorities[Int(id)], id)
    }
  }

  private func encodePart(
    _ part: UnsafePointer<UInt8>, _ length: Int, _ view: PieceIndex.View, _ scratch: EncoderScratch,
    into output: inout TokenBuffer
  ) {
    scratch.bytes.removeAll(keepingCapacity: true)
    for at in 0..<length {
      if part[at] == 0x20 { scratch.bytes.append(contentsOf: Self.space) } else { scratch.bytes.append(part[at]) }
    }
    scratch.bytes.withUnsafeBufferPointer { bytes in
      guard let text = bytes.baseAddress else { return }
      var at = 0
      while at < bytes.count {
        let base = text + at
        scratch.merger.removeAll()
        while at < bytes.count, scratch.merger.count < SymbolMerger.symbolLimit {
          let size = min(utf8Length(lead: text[at]), bytes.count - at)
          scratch.merger.append(id: view.id(text + at, size), length: size)
          at += size
        }
        let rule = Rule(text: base, view: view, priorities: UnsafePointer(priorities.start))
        scratch.merger.merge(by: rule) { id, start, length in
          if id >= 0 { return output.append(id) }
          for byte in start..<start + length { output.append(byteTokens.start[Int(base[byte])]) }
        }
      }
    }
  }
}

/// The spelling `<0x41>` of a token that stands for one byte.
enum ByteToken {
  private static let digits = Array("0123456789ABCDEF".utf8)

  static func spelling(of byte: UInt8) -> [UInt8] {
    Array("<0x".utf8) + [digits[Int(byte >> 4)], digits[Int(byte & 15)], UInt8(ascii: ">")]
  }

  /// The byte that `spelling` stands for.
  static func byte(_ spelling: ArraySlice<UInt8>) -> UInt8? {
    let start = spelling.startIndex
    guard spelling.count == 6, spelling.starts(with: "<0x".utf8), spelling[start + 5] == UInt8(ascii: ">"),
      let high = Character(UnicodeScalar(spelling[start + 3])).hexDigitValue,
      let low = Character(UnicodeScalar(spelling[start + 4])).hexDigitValue
    else { return nil }
    return UInt8(truncatingIfNeeded: high << 4 | low)
  }
}
