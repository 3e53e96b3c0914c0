// What all algorithms that turn one word into tokens have in common.

/// Turns a word into tokens. What becomes of a word depends on nothing else, so that results may be remembered.
protocol WordEncoder: Sendable {
  /// Calls `emit` with the tokens of `length` bytes of UTF-8 at `word`, in order, and the bytes each stands for.
  func encodeWord(
    _ word: UnsafePointer<UInt8>, _ length: Int, _ scratch: EncoderScratch,
    _ emit: (_ id: Int32, _ start: Int, _ end: Int) -> Void)
}

/// Each word is one token, or unknown.
struct WordLevelEncoder: WordEncoder {
  let index: PieceIndex
  let unknown: Int32?

  func encodeWord(
    _ word: UnsafePointer<UInt8>, _ length: Int, _ scratch: EncoderScratch, _ emit: (Int32, Int, Int) -> Void
  ) {
    let id = index.withUnsafeView { $0.id(word, length) }
    if id >= 0 { emit(id, 0, length) } else if let unknown { emit(unknown, 0, length) }
  }
}

/// SentencePiece's words: each begins with a mark, and unknown neighbours are one token.
struct MarkedWordEncoder: WordEncoder {
  let index: PieceIndex
  let unknown: Int32
  let mark: [UInt8]

  func encodeWord(
    _ word: UnsafePointer<UInt8>, _ length: Int, _ scratch: EncoderScratch, _ emit: (Int32, Int, Int) -> Void
  ) {
    func isMark(_ at: Int) -> Bool {
      at + mark.count <= length && mark.indices.allSatisfy { word[at + $0] == mark[$0] }
    }
    var start = 0
    var unknownStart: Int?
    while start < length {
      var end = start + 1
      while end < length, !isMark(end) { end += 1 }
      let id = index.withUnsafeView { $0.id(word + start, end - start) }
      if id >= 0 {
        if let from = unknownStart { emit(unknown, from, start) }
        unknownStart = nil
        emit(id, start, end)
      } else if unknownStart == nil {
        unknownStart = start
      }
      start = end
    }
    if let from = unknownStart { emit(unknown, from, length) }
  }
}

/// The longest piece that fits, again and again (Schuster and Nakajima, 2012; BERT). A word of which any part is in no
/// piece is unknown as a whole.
struct WordPieceEncoder: WordEncoder {
  private let trie: ByteTrie
  /// Where the pieces that continue words go on after their mark; nil if there are none.
  private let continuing: Int32?
  private let unknown: Int32
  private let characterLimit: Int

  /// - Parameters:
  ///   - continuingPrefix: spelled before pieces that continue words.
  ///   - characterLimit: words of more characters are unknown.
  init(index: PieceIndex, unknown: Int32, continuingPrefix: [UInt8], characterLimit: Int) {
    trie = ByteTrie(index.pieces, ids: index.pieces.indices)
    continuing = trie.node(after: continuingPrefix)
    self.unknown = unknown
    self.characterLimit = characterLimit
  }

  func encodeWord(
    _ word: UnsafePointer<UInt8>, _ length: Int, _ scratch: EncoderScratch, _ emit: (Int32, Int, Int) -> Void
  ) {
    var count = 0
    for at in 0..<length where word[at] & 0xC0 != 0x80 { count += 1 }
    if count > characterLimit { return emit(unknown, 0, length) }
    var tokens: [(id: Int32, end: Int)] = []
    var start = 0
    while start < length {
      var found: (id: Int32, end: Int) = (-1, start)
      if let node = start == 0 ? ByteTrie.root : continuing {
        trie.forEachPrefix(word, start, length, from: node) { id, end in found = (id, end) }
      }
      if found.id < 0 { return emit(unknown, 0, length) }
      tokens.append(found)
      start = found.end
    }
    start = 0
    for token in tokens {
      emit(token.id, start, token.end)
      start = token.end
    }
  }
}
