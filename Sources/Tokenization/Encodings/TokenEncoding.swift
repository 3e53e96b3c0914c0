// What encoders want to know about a text besides its token ids.

/// A text, or two, as a model for texts takes it.
///
/// All arrays have one element per token.
public struct TokenEncoding: Sendable, Equatable {
  public internal(set) var ids: [Int32] = []
  /// Which part of the model's input each token belongs to; for most models 0 for the first text and 1 for the second.
  public internal(set) var typeIDs: [Int32] = []
  /// 1 for tokens, 0 for padding.
  public internal(set) var attentionMask: [Int32] = []
  /// 1 for tokens that the tokenizer put around the texts and for padding, 0 for those of the texts.
  public internal(set) var specialTokensMask: [Int32] = []
  /// The Unicode scalars of its text that each token stands for, as Hugging Face counts characters; `0..<0` for tokens
  /// that are not from a text.
  public internal(set) var offsets: [Range<Int>] = []
  /// The number of the word in its text that each token is part of; nil for tokens that are not from a text.
  public internal(set) var words: [Int?] = []
  /// Which text each token is from, 0 or 1; nil for tokens that are not from a text.
  public internal(set) var sequences: [Int?] = []
  /// What truncation cut off, in pieces that are truncated likewise.
  public internal(set) var overflowing: [TokenEncoding] = []

  /// How many white-space characters each token's spelling begins and ends with; empty where nobody asks.
  var outerSpaces: [SIMD2<UInt16>] = []

  init() {}

  public var count: Int { ids.count }

  /// The tokens `range` alone.
  func part(_ range: Range<Int>) -> TokenEncoding {
    var part = TokenEncoding()
    part.ids = Array(ids[range])
    part.typeIDs = Array(typeIDs[range])
    part.attentionMask = Array(attentionMask[range])
    part.specialTokensMask = Array(specialTokensMask[range])
    part.offsets = Array(offsets[range])
    part.words = Array(words[range])
    part.sequences = Array(sequences[range])
    if !outerSpaces.isEmpty { part.outerSpaces = Array(outerSpaces[range]) }
    return part
  }

  /// Appends another encoding. What overflowed from either is combined with the other.
  mutating func append(_ other: TokenEncoding) {
    var combined: [TokenEncoding] = []
    for own in overflowing {
      for next in [other.withoutOverflow] + other.overflowing { combined.append(own.appending(next)) }
    }
    for next in other.overflowing { combined.append(withoutOverflow.appending(next)) }
    ids += other.ids
    typeIDs += other.typeIDs
    attentionMask += other.attentionMask
    specialTokensMask += other.specialTokensMask
    offsets += other.offsets
    words += other.words
    sequences += other.sequences
    overflowing = combined
  }

  private var withoutOverflow: TokenEncoding {
    var copy = self
    copy.overflowing = []
    return copy
  }

  private func appending(_ other: TokenEncoding) -> TokenEncoding {
    var copy = self
    copy.append(other)
    return copy
  }

  /// Adds padding up to `length` tokens.
  mutating func pad(to length: Int, _ padding: EncodingPadding) {
    for index in overflowing.indices { overflowing[index].pad(to: length, padding) }
    let missing = length - count
    guard missing > 0 else { return }
    func padded<Element>(_ elements: [Element], _ filler: Element) -> [Element] {
      let fillers = Array(repeating: filler, count: missing)
      return padding.side == .left ? fillers + elements : elements + fillers
    }
    ids = padded(ids, padding.id)
    typeIDs = padded(typeIDs, padding.typeID)
    attentionMask = padded(attentionMask, 0)
    specialTokensMask = padded(specialTokensMask, 1)
    offsets = padded(offsets, 0..<0)
    words = padded(words, nil)
    sequences = padded(sequences, nil)
  }

  /// Cuts this to `limit` tokens and keeps the rest in `overflowing`.
  mutating func truncate(to limit: Int, stride: Int, direction: EncodingSide) throws(EncodingError) {
    guard limit < count else { return }
    if limit == 0 {
      var rest = self
      rest.overflowing = []
      self = TokenEncoding()
      overflowing = [rest]
      return
    }
    guard stride >= 0, stride < limit else { throw .strideTooLarge(stride, limit: limit) }
    var ranges: [Range<Int>] = []
    switch direction {
    case .right:
      var start = 0
      repeat {
        ranges.append(start..<min(start + limit, count))
        start += limit - stride
      } while ranges[ranges.count - 1].upperBound < count
    case .left:
      var end = count
      repeat {
        ranges.append(max(0, end - limit)..<end)
        end -= limit - stride
      } while ranges[ranges.count - 1].lowerBound > 0
    }
    let parts = ranges.map(part)
    self = parts[0]
    overflowing = Array(parts.dropFirst())
  }
}

/// The end of a text at which something is done.
public enum EncodingSide: String, Sendable, CaseIterable { case left, right }

/// Why texts cannot be encoded as asked.
public enum EncodingError: Error, Equatable, Sendable, CustomStringConvertible {
  /// Neighbouring pieces cannot share as many tokens as they have.
  case strideTooLarge(Int, limit: Int)
  /// The limit leaves no room for the texts beside the special tokens.
  case limitTooSmall(Int, specialTokens: Int)
  /// The second text is to be truncated, but there is none.
  case noSecondText
  /// The text to be truncated is shorter than what has to go.
  case textTooShort(tokens: Int, toRemove: Int)

  public var description: String {
    switch self {
    case .strideTooLarge(let stride, let limit):
      "encoding: a stride of \(stride) tokens; expected fewer than the \(limit) that a text may have"
    case .limitTooSmall(let limit, let specialTokens):
      "encoding: at most \(limit) tokens, but \(specialTokens) are special tokens"
    case .noSecondText:
      "encoding: the second text is to be truncated, but there is only one"
    case .textTooShort(let tokens, let toRemove):
      "encoding: \(toRemove) tokens have to go, but the text to be truncated has only \(tokens)"
    }
  }
}

/// How many tokens an encoding may have, and what happens to others.
public struct EncodingTruncation: Sendable, Equatable {
  public enum Strategy: String, Sendable, CaseIterable {
    /// From the longer of two texts until both are of one length, then from both.
    case longestFirst = "longest_first"
    case onlyFirst = "only_first"
    case onlySecond = "only_second"
  }

  /// The most tokens, special ones included.
  public var limit: Int
  public var strategy: Strategy
  /// How many tokens a piece of what was cut off shares with the piece before.
  public var stride: Int
  /// The end at which tokens are cut off.
  public var direction: EncodingSide

  public init(
    limit: Int, strategy: Strategy = .longestFirst, stride: Int = 0, direction: EncodingSide = .right
  ) {
    self.limit = limit
    self.strategy = strategy
    self.stride = stride
    self.direction = direction
  }

  /// Truncates one text or two to `room` tokens.
  func apply(to encodings: inout [TokenEncoding], room: Int) throws(EncodingError) {
    let total = encodings.reduce(0) { $0 + $1.count }
    guard total > room else { return }
    switch strategy {
    case .longestFirst where encodings.count == 2 && room > 0:
      let (shorter, longer) = encodings[0].count > encodings[1].count ? (1, 0) : (0, 1)
      var short = encodings[shorter].count
      var long = short > room ? short : max(short, room - short)
      if short + long > room {
        short = room / 2
        long = short + room % 2
      }
      try encodings[shorter].truncate(to: short, stride: stride, direction: direction)
      try encodings[longer].truncate(to: long, stride: stride, direction: direction)
    case _ where room == 0:
      for index in encodings.indices {
        try encodings[index].truncate(to: 0, stride: stride, direction: direction)
      }
    case .longestFirst: try encodings[0].truncate(to: room, stride: stride, direction: direction)
    case .onlyFirst, .onlySecond:
      let index = strategy == .onlyFirst ? 0 : 1
      guard index < encodings.count else { throw .noSecondText }
      let count = encodings[index].count
      guard count > total - room else { throw .textTooShort(tokens: count, toRemove: total - room) }
      try encodings[index].truncate(to: count - (total - room), stride: stride, direction: direction)
    }
  }
}

/// How encodings of a batch are made equally long.
public struct EncodingPadding: Sendable, Equatable {
  public enum Length: Sendable, Equatable {
    /// As long as the longest of the batch.
    case longest
    case fixed(Int)
  }

  public var length: Length
  public var side: EncodingSide
  /// Lengths are rounded up to a multiple of this.
  public var multiple: Int
  public var id: Int32
  public var typeID: Int32

  public init(
    length: Length = .longest, side: EncodingSide = .right, multiple: Int = 1, id: Int32 = 0, typeID: Int32 = 0
  ) {
    self.length = length
    self.side = side
    self.multiple = multiple
    self.id = id
    self.typeID = typeID
  }

  func apply(to encodings: inout [TokenEncoding]) {
    var length =
      switch self.length {
      case .longest: encodings.map(\.count).max() ?? 0
      case .fixed(let length): length
      }
    if multiple > 1, length % multiple > 0 { length += multiple - length % multiple }
    for index in encodings.indices { encodings[index].pad(to: length, self) }
  }
}
