// What SentencePiece does to text before it looks for pieces, as the model file says.

/// SentencePiece's normalizer: characters by the longest match in the model's map, spaces made marks.
struct SentencePieceNormalizer: Sendable {
  var map = CharacterMap()
  /// Pieces that are taken as they are written.
  var verbatim = ByteTrie(PackedStrings(), ids: [])
  /// Whether text begins with a space that was not written, or ends with one.
  var addsSpace = true
  var addsSpaceAtEnd = false
  /// Whether spaces in a row become one, and those at the ends none.
  var mergesSpaces = true
  /// What a space is written as.
  var mark = SentencePieceEncoder.space

  func normalize(_ text: inout AlignedText) {
    let source = text
    var result = AlignedText(like: source, capacity: source.bytes.count * 3 / 2 + 8)
    var isAfterSpace = true
    var hasText = false
    var pendingSpace: Alignment?
    source.bytes.withUnsafeBufferPointer { bytes in
      guard let base = bytes.baseAddress else { return }
      func alignment(_ start: Int, _ end: Int) -> Alignment {
        source.original(of: start..<end) ?? Alignment(start: 0, end: 0)
      }
      func write(_ part: some Collection<UInt8>, _ place: Alignment) {
        for byte in part {
          if byte == 0x20 {
            if mergesSpaces {
              if hasText { pendingSpace = pendingSpace ?? place }
            } else {
              result.append(mark, aligned: place)
            }
            isAfterSpace = true
            continue
          }
          if isAfterSpace, mergesSpaces, let space = pendingSpace { result.append(mark, aligned: space) }
          pendingSpace = nil
          isAfterSpace = false
          hasText = true
          result.append([byte], aligned: place)
        }
      }
      var at = 0
      while at < bytes.count {
        var end = at
        verbatim.forEachPrefix(base, at, bytes.count) { _, pieceEnd in end = pieceEnd }
        if end > at {
          write(bytes[at..<end], alignment(at, end))
        } else if let match = map.longestMatch(in: bytes, from: at) {
          end = match.end
          write(match.replacement, alignment(at, end))
        } else {
          end = at + utf8Length(lead: bytes[at])
          write(bytes[at..<end], alignment(at, end))
        }
        at = end
      }
    }
    text = result
    guard !text.bytes.isEmpty, addsSpace else { return }
    if addsSpaceAtEnd { text.append(mark) } else { text.prepend(mark) }
  }
}
