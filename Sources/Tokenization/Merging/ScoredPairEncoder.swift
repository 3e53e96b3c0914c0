// SentencePiece's byte-pair encoding in full: by scores, with pieces never cut and characters unknown.

/// Encodes text by merging neighbours whose concatenation is a piece, best score first.
struct ScoredPairEncoder: WordEncoder {
  private let index: PieceIndex
  /// Merge priorities by piece: lower ones first, `noMerge` for pieces that are no text.
  private let priorities: FlatTable<UInt32>
  /// Pieces that the user defined: found first and never cut.
  private let whole: ByteTrie?
  private let unknown: Int32
  private let byteTokens: [Int32]
  private let fallsBackToBytes: Bool

  init(
    index: PieceIndex, scores: [Float], isText: [Bool], isWhole: [Bool], unknown: Int32, fallsBackToBytes: Bool
  ) throws {
    self.index = index
    self.unknown = unknown
    self.fallsBackToBytes = fallsBackToBytes
    priorities = FlatTable(repeating: noMerge, count: scores.count)
    for (id, score) in scores.enumerated() where isText[id] && !isWhole[id] {
      priorities.start[id] = try SentencePieceEncoder.priority(ofScore: score, id: id)
    }
    let wholes = isWhole.indices.filter { isWhole[$0] }
    whole = wholes.isEmpty ? nil : ByteTrie(index.pieces, ids: wholes)
    byteTokens = (0..<256).map { index.id(of: ByteToken.spelling(of: UInt8($0))) ?? -1 }
  }

  private struct Rule: MergeRule {
    let text: UnsafePointer<UInt8>
    let view: PieceIndex.View
    let priorities: UnsafePointer<UInt32>

    @inline(__always)
    func merge(left: Int32, right: Int32, start: Int, length: Int) -> (priority: UInt32, id: Int32) {
      // A piece that is never cut is never joined to another either.
      guard left > wholeMark, right > wholeMark else { return (noMerge, -1) }
      let id = view.id(text + start, length)
      return id < 0 ? (noMerge, -1) : (priorities[Int(id)], id)
    }
  }

  func encodeWord(
    _ word: UnsafePointer<UInt8>, _ length: Int, _ scratch: EncoderScratch, _ emit: (Int32, Int, Int) -> Void
  ) {
    index.withUnsafeView { view in
      var at = 0
      var unknownStart: Int?
      var unknownEnd = 0
      while at < length {
        let base = at
        scratch.merger.removeAll()
        while at < length, scratch.merger.count < SymbolMerger.symbolLimit {
          var end = at
          var found: Int32 = -1
          whole?.forEachPrefix(word, at, length) { id, pieceEnd in (found, end) = (id, pieceEnd) }
          if found >= 0 {
            scratch.merger.append(id: wholeMark - found, length: end - at)
          } else {
            end = at + min(utf8Length(lead: word[at]), length - at)
            let id = view.id(word + at, end - at)
            scratch.merger.append(id: id >= 0 && priorities.start[Int(id)] != noMerge ? id : -1, length: end - at)
          }
          at = end
        }
        let rule = Rule(text: word + base, view: view, priorities: UnsafePointer(priorities.start))
        scratch.merger.merge(by: rule) { id, start, size in
          let start = base + start
          if id == -1, !fallsBackToBytes {
            if unknownStart == nil { unknownStart = start }
            unknownEnd = start + size
            return
          }
          if let from = unknownStart { emit(unknown, from, unknownEnd) }
          unknownStart = nil
          if id >= 0 {
            emit(id, start, start + size)
          } else if id <= wholeMark {
            emit(wholeMark - id, start, start + size)
          } else {
            for offset in start..<start + size {
              let token = byteTokens[Int(word[offset])]
              emit(token >= 0 ? token : unknown, start, start + size)
            }
          }
        }
      }
      if let from = unknownStart { emit(unknown, from, unknownEnd) }
    }
  }
}

/// Symbols from here down are pieces that are never cut.
private let wholeMark: Int32 = -2
