// Byte-level BPE: cut into words, spell the bytes, merge by rank.

/// Encodes text without special tokens for `TokenizerModel.byteLevelBPE`.
struct ByteLevelEncoder: WordEncoder {
  private let index: PieceIndex
  private let preTokenizer: PreTokenizer
  private let merges: MergeTable
  /// The token of each byte, -1 where the vocabulary has none: then the byte is lost, as in llama.cpp.
  private let byteTokens: FlatTable<Int32>
  /// Whether the neighbours of a lost byte meet, as in Hugging Face's library.
  private let closesGaps: Bool

  init(_ vocabulary: TokenizerVocabulary, index: PieceIndex, preTokenizer: PreTokenizer) throws {
    guard !vocabulary.merges.isEmpty else { throw TokenizerError.missingMerges }
    let merges = try MergeTable(vocabulary.merges, index: index)
    self.init(index: index, merges: merges, preTokenizer: preTokenizer, unknown: nil, closesGaps: false)
  }

  /// - Parameter unknown: what a byte becomes that no token stands for; nil to lose it.
  init(
    index: PieceIndex, merges: MergeTable, preTokenizer: PreTokenizer, unknown: Int32?, closesGaps: Bool = true
  ) {
    self.closesGaps = closesGaps
    self.index = index
    self.preTokenizer = preTokenizer
    self.merges = merges
    byteTokens = FlatTable(repeating: -1, count: 256)
    for byte in 0..<256 {
      var spelling: [UInt8] = []
      ByteAlphabet.shared.appendSpelling(of: UInt8(byte), to: &spelling)
      byteTokens.start[byte] = index.id(of: spelling) ?? unknown ?? -1
    }
  }

  func encode(_ bytes: UnsafeBufferPointer<UInt8>, _ scratch: EncoderScratch, into output: inout TokenBuffer) {
    let cache = scratch.cache
    index.withUnsafeView { view in
      WellFormedText.with(bytes) { text in
        preTokenizer.forEachWord(in: text) { start, end in
          let length = end - start
          let word = text.base + start
          guard length <= WordCache.longestWord else {
            return encodeWord(word, length, view, scratch) { id, _, _ in output.append(id) }
          }
          let key = WordCache.key(word, length: length, readable: text.count - start)
          if cache.append(key, to: &output) { return }
          let before = output.count
          encodeWord(word, length, view, scratch) { id, _, _ in output.append(id) }
          cache.remember(key, output, from: before)
        }
      }
    }
  }

  func encodeWord(
    _ word: UnsafePointer<UInt8>, _ length: Int, _ scratch: EncoderScratch, _ emit: (Int32, Int, Int) -> Void
  ) {
    index.withUnsafeView { encodeWord(word, length, $0, scratch, emit) }
  }

  @inline(__always)
  private func encodeWord(
    _ word: UnsafePointer<UInt8>, _ length: Int, _ view: PieceIndex.View, _ scratch: EncoderScratch,
    _ emit: (Int32, Int, Int) -> Void
  ) {
    if preTokenizer.ignoresMerges, length <= view.longest {
      let id = wholeWord(word, length, view, scratch)
      if id >= 0 { return emit(id, 0, length) }
    }
    var at = 0
    while at < length {
      let partStart = at
      let partEnd = min(length, at + SymbolMerger.symbolLimit)
      scratch.merger.removeAll()
      while at < partEnd {
        let id = byteTokens.start[Int(word[at])]
        if id >= 0 || !closesGaps { scratch.merger.append(id: id, length: 1) }
        at += 1
      }
      scratch.merger.merge(by: merges) { id, start, size in
        if id >= 0 { emit(id, partStart + start, partStart + start + size) }
      }
    }
  }

  private func wholeWord(
    _ word: UnsafePointer<UInt8>, _ length: Int, _ view: PieceIndex.View, _ scratch: EncoderScratch
  ) -> Int32 {
    scratch.bytes.removeAll(keepingCapacity: true)
    for at in 0..<length { ByteAlphabet.shared.appendSpelling(of: word[at], to: &scratch.bytes) }
    return scratch.bytes.withUnsafeBufferPointer { bytes in
      bytes.baseAddress.map { view.id($0, bytes.count) } ?? -1
    }
  }
}
