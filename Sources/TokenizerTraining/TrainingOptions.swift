// The settings that all ways of training share, checked once.

/// What a tokenizer shall be like.
public struct TrainingOptions: Sendable {
  /// The most tokens, special ones included.
  public var vocabularySize: Int
  /// How often a pair has to occur to become a token (BPE and WordPiece).
  public var minimumFrequency: Int
  /// Tokens that stand for themselves and get the first ids, in this order.
  public var specialTokens: [String]
  /// The most characters that become tokens of their own, the most frequent ones; nil for all.
  public var alphabetLimit: Int?
  public var threads: Int

  public init(
    vocabularySize: Int, minimumFrequency: Int = 2, specialTokens: [String] = [], alphabetLimit: Int? = nil,
    threads: Int = 1
  ) {
    self.vocabularySize = vocabularySize
    self.minimumFrequency = minimumFrequency
    self.specialTokens = specialTokens
    self.alphabetLimit = alphabetLimit
    self.threads = threads
  }

  /// - Throws: ``TrainingError`` for a setting outside of its range, and for special tokens that are empty or repeat.
  public func validate() throws(TrainingError) {
    func check(_ name: String, _ value: Int, _ allowed: ClosedRange<Int>) throws(TrainingError) {
      guard allowed.contains(value) else { throw .setting(name, value: value, allowed: allowed) }
    }
    try check("the vocabulary's size", vocabularySize, 1...(1 << 24))
    try check("the minimum frequency", minimumFrequency, 0...Int(Int32.max))
    try check("the limit of the alphabet", alphabetLimit ?? 1, 1...0x110000)
    try check("the number of threads", threads, 1...1024)
    var seen: Set<[UInt8]> = []
    for token in specialTokens {
      guard !token.isEmpty else { throw .emptySpecialToken }
      guard seen.insert(Array(token.utf8)).inserted else { throw .repeatedSpecialToken(token) }
    }
  }
}
