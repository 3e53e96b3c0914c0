// From a piece of text to the tokens of its documents: the part of the work that threads share.
import Crypto
import JSON
import Tokenization

/// The tokens of a document, or of a part of one.
struct EncodedPart {
  var tokens: [Int32]
  /// Bytes of its text in UTF-8.
  var byteCount: Int
  /// Of the text with each run of white space as one space and none at the ends.
  var hash: DocumentHash
  /// Whether there is nothing but white space.
  var isBlank: Bool
  var isFirst = true
  var isLast = true
}

/// 128 bits that tell documents apart: the beginning of a SHA-256.
struct DocumentHash: Hashable {
  var high: UInt64
  var low: UInt64

  init(_ bytes: some Sequence<UInt8>) {
    var hasher = SHA256()
    let storage = ContiguousArray(bytes)
    storage.withUnsafeBytes { hasher.update(bufferPointer: $0) }
    (high, low) = hasher.finalize().withUnsafeBytes { digest in
      (
        UInt64(littleEndian: digest.loadUnaligned(fromByteOffset: 0, as: UInt64.self)),
        UInt64(littleEndian: digest.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
      )
    }
  }

  /// The hash of a document whose parts have these hashes.
  func followed(by next: DocumentHash) -> DocumentHash {
    var bytes: [UInt8] = []
    for word in [high, low, next.high, next.low] { withUnsafeBytes(of: word.littleEndian) { bytes += $0 } }
    return DocumentHash(bytes)
  }

  /// Of normalised text.
  init(normalizing text: UnsafeBufferPointer<UInt8>) {
    let plain = ContiguousArray<UInt8>(unsafeUninitializedCapacity: text.count) { plain, count in
      var isSpaceOwed = false
      for byte in text {
        if byte == 0x20 || 0x09...0x0D ~= byte {
          isSpaceOwed = count > 0
        } else {
          // No more is written than was read: each space that is owed was at least one byte.
          if isSpaceOwed {
            plain[count] = 0x20
            count += 1
          }
          isSpaceOwed = false
          plain[count] = byte
          count += 1
        }
      }
    }
    self.init(plain)
  }
}

/// Tokenizes pieces; the same for all threads.
struct PieceEncoder: Sendable {
  struct Result {
    var parts: [EncodedPart] = []
    var skipped = SkippedData()
  }

  let tokenizer: Tokenizer
  let texts: PieceTexts
  let boundary: (before: [Int32], after: [Int32])

  /// - Throws: ``TrainingDataError`` for a line that cannot be used, if these are not skipped.
  func encode(_ piece: TextPiece) throws(TrainingDataError) -> Result {
    var result = Result()
    result.skipped = try texts.forEach(in: piece) { (text, isFirst, isLast) throws(TrainingDataError) in
      var part = encoded(text)
      (part.isFirst, part.isLast) = (isFirst, isLast)
      if isFirst { part.tokens = boundary.before + part.tokens }
      if isLast { part.tokens += boundary.after }
      result.parts.append(part)
    }
    return result
  }

  private func encoded(_ text: UnsafeBufferPointer<UInt8>) -> EncodedPart {
    EncodedPart(
      tokens: tokenizer.encode(utf8: text, addsBoundaryTokens: false), byteCount: text.count,
      hash: DocumentHash(normalizing: text), isBlank: text.allSatisfy { $0 == 0x20 || 0x09...0x0D ~= $0 })
  }
}
