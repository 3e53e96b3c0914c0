// Words as symbols end to end in one buffer: merging shortens a word in its place.
import Tokenization

/// Distinct words as sequences of token ids, in plain memory that one owner changes.
final class SymbolWords {
  struct Word: BitwiseCopyable {
    var start: UInt32
    var length: UInt32
    var count: Int
  }

  let words: UnsafeMutableBufferPointer<Word>
  let symbols: UnsafeMutablePointer<UInt32>
  let symbolCount: Int

  /// - Parameter tokens: by code point, the token at the beginning of a word and that within one; `UInt32.max` leaves
  ///   the character out.
  init(_ table: WordTable, _ units: WordUnits, tokens: (first: [UInt32], later: [UInt32])) throws(TrainingError) {
    // Merging lists a symbol at most three times, so that pairs too can be numbered in 32 bits.
    let limit = Int(UInt32.max) / 4
    guard table.bytes.count < limit else { throw .tooMuchText(characters: table.bytes.count, limit: limit) }
    let symbols = UnsafeMutablePointer<UInt32>.allocate(capacity: max(1, table.bytes.count))
    let words = UnsafeMutableBufferPointer<Word>.allocate(capacity: table.entries.count)
    self.symbols = symbols
    self.words = words
    var end = 0, number = 0
    table.forEach { bytes, count in
      let start = end
      var isFirst = true
      units.forEach(in: bytes) { unit in
        let token = isFirst ? tokens.first[Int(unit)] : tokens.later[Int(unit)]
        if token != .max {
          (symbols + end).initialize(to: token)
          end += 1
        }
        isFirst = false
      }
      words.initializeElement(at: number, to: Word(start: UInt32(start), length: UInt32(end - start), count: count))
      number += 1
    }
    symbolCount = end
  }

  deinit {
    words.deallocate()
    symbols.deallocate()
  }
}

/// The characters of a word that merging starts from: its own, or GPT-2's spelling of its bytes.
struct WordUnits {
  let isByteLevel: Bool

  /// The code point by which GPT-2 spells each byte.
  static let spelledBytes: [UInt32] = (0..<256).map { byte in
    var spelling: [UInt8] = []
    ByteAlphabet.shared.appendSpelling(of: UInt8(byte), to: &spelling)
    return String(decoding: spelling, as: UTF8.self).unicodeScalars.first?.value ?? 0
  }

  @inline(__always)
  func forEach(in word: UnsafeBufferPointer<UInt8>, _ body: (UInt32) -> Void) {
    if isByteLevel {
      for byte in word { body(Self.spelledBytes[Int(byte)]) }
    } else {
      forEachScalar(in: word, body)
    }
  }
}
