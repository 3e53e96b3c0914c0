// Tokens back to text in the stages of Hugging Face's decoders, one token at a time so that text can be streamed.

/// The decoding stages of a tokenizer. They work on bytes, since a token may end within a character.
struct TokenDecoder: Sendable {
  enum Stage: Sendable {
    /// GPT-2's alphabet to bytes; what is not spelled in it stays.
    case spelledBytes
    /// `<0x41>` to a byte.
    case byteTokens
    case replace(TextPattern, [UInt8])
    /// Takes up to so many of one character off the ends of each token, or of the whole text.
    case strip([UInt8], start: Int, end: Int, isWholeText: Bool)
    /// Marks to spaces, but for those of the first token if a space had been put there.
    case metaspace([UInt8], dropsFirst: Bool)
    /// Words that do not continue others get a space before them.
    case wordPiece(prefix: [UInt8], cleansUp: Bool)
    /// The suffix that ends words to a space.
    case wordEnds([UInt8])
    /// Repeated tokens once, padding not at all (connectionist temporal classification).
    case alignedSpeech(padding: [UInt8], delimiter: [UInt8], cleansUp: Bool)
    /// A space between all tokens.
    case spaced
  }

  /// What has to be known about the tokens before.
  struct State: Sendable {
    fileprivate var isFirst = true
    fileprivate var last: [UInt8]?
    fileprivate var owesSpace = false
    /// Characters still to be taken off the beginning of the text; nil once other text has come.
    fileprivate var stripped: Int? = 0
    fileprivate var held: [UInt8] = []

    /// - Parameter continuesText: whether text precedes the first token.
    init(continuesText: Bool = false) {
      isFirst = !continuesText
      stripped = continuesText ? nil : 0
    }
  }

  let stages: [Stage]

  /// Appends to `result` what the token spelled `piece` adds to the text.
  func append(_ piece: ArraySlice<UInt8>, _ state: inout State, to result: inout [UInt8]) {
    var chunk = Array(piece)
    for stage in stages { apply(stage, &chunk, &state) }
    state.isFirst = false
    result += chunk
  }

  private func apply(_ stage: Stage, _ chunk: inout [UInt8], _ state: inout State) {
    switch stage {
    case .spelledBytes:
      var bytes: [UInt8] = []
      if ByteAlphabet.shared.appendBytes(of: chunk[...], to: &bytes) { chunk = bytes }
    case .byteTokens:
      if let byte = ByteToken.byte(chunk[...]) { chunk = [byte] }
    case .replace(let pattern, let content): chunk = Self.replacing(pattern, with: content, in: chunk)
    case .strip(let content, let start, let end, let isWholeText):
      if isWholeText {
        stripText(content, start, end, &chunk, &state)
      } else {
        var left = start
        while left > 0, chunk.starts(with: content) {
          chunk.removeFirst(content.count)
          left -= 1
        }
        left = end
        while left > 0, chunk.count >= content.count, chunk.suffix(content.count).elementsEqual(content) {
          chunk.removeLast(content.count)
          left -= 1
        }
      }
    case .metaspace(let mark, let dropsFirst):
      chunk = Self.replacing(.literal(mark), with: state.isFirst && dropsFirst ? [] : [0x20], in: chunk)
    case .wordPiece(let prefix, let cleansUp):
      if !state.isFirst {
        if !prefix.isEmpty, chunk.starts(with: prefix) {
          chunk.removeFirst(prefix.count)
        } else {
          chunk.insert(0x20, at: 0)
        }
      }
      if cleansUp { chunk = Self.cleanedUp(chunk) }
    case .wordEnds(let suffix):
      let owed: [UInt8] = state.owesSpace ? [0x20] : []
      state.owesSpace = !suffix.isEmpty && chunk.count >= suffix.count
        && chunk.suffix(suffix.count).elementsEqual(suffix)
      if state.owesSpace { chunk.removeLast(suffix.count) }
      chunk = owed + Self.replacing(.literal(suffix), with: [0x20], in: chunk)
    case .alignedSpeech(let padding, let delimiter, let cleansUp):
      if chunk == state.last { return chunk = [] }
      state.last = chunk
      chunk = Self.replacing(.literal(padding), with: [], in: chunk)
      if cleansUp { chunk = Self.replacing(.literal(delimiter), with: [0x20], in: Self.cleanedUp(chunk)) }
    case .spaced:
      if !state.isFirst { chunk.insert(0x20, at: 0) }
    }
  }

  private func stripText(
    _ content: [UInt8], _ start: Int, _ end: Int, _ chunk: inout [UInt8], _ state: inout State
  ) {
    if var stripped = state.stripped {
      while stripped < start, chunk.starts(with: content) {
        chunk.removeFirst(content.count)
        stripped += 1
      }
      state.stripped = chunk.isEmpty && stripped < start ? stripped : nil
    }
    guard end > 0 else { return }
    // What may be the end of the text is held back until more comes.
    chunk = state.held + chunk
    var kept = chunk.count
    var count = 0
    while count < end, kept >= content.count, chunk[..<kept].suffix(content.count).elementsEqual(content) {
      kept -= content.count
      count += 1
    }
    state.held = Array(chunk[kept...])
    chunk.removeSubrange(kept...)
  }

  private static func replacing(_ pattern: TextPattern, with content: [UInt8], in chunk: [UInt8]) -> [UInt8] {
    var result: [UInt8] = []
    chunk.withUnsafeBufferPointer { bytes in
      guard isStrictUTF8(bytes) else { return result = chunk }
      pattern.forEachPart(in: bytes, 0..<bytes.count) { start, end, isMatch in
        result += isMatch ? content[...] : chunk[start..<end]
      }
    }
    return result
  }

  private static let cleanUps: [(from: [UInt8], to: [UInt8])] = [
    (" .", "."), (" ?", "?"), (" !", "!"), (" ,", ","), (" ' ", "'"), (" n't", "n't"), (" 'm", "'m"),
    (" do not", " don't"), (" 's", "'s"), (" 've", "'ve"), (" 're", "'re"),
  ].map { (Array($0.0.utf8), Array($0.1.utf8)) }

  /// English punctuation and contractions without the spaces that word pieces put before them.
  private static func cleanedUp(_ chunk: [UInt8]) -> [UInt8] {
    guard chunk.contains(0x20) else { return chunk }
    return cleanUps.reduce(chunk) { replacing(.literal($1.from), with: $1.to, in: $0) }
  }
}
