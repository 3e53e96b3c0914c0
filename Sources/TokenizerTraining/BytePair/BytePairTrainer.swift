// From counted words to a vocabulary with merges, for byte-level BPE and for WordPiece, which is BPE spelled otherwise.

/// Learns a vocabulary by merging: special tokens first, then the alphabet in the order of its code points, then what
/// merges make.
struct BytePairTrainer {
  /// What a token within a word begins with: nothing, or `##`.
  var prefix: [UInt8] = []
  /// Whether words are sequences of bytes in GPT-2's spelling, all 256 of which belong to the alphabet.
  var isByteLevel = true
  var options: TrainingOptions

  private var units: WordUnits { WordUnits(isByteLevel: isByteLevel) }

  struct Result {
    var vocabulary: TokenVocabulary
    var merges: [Merge]
  }

  /// - Parameter continuations: the order of the alphabet's tokens within words; nil for that of code points.
  func train(
    _ table: WordTable, continuations: [UInt32]? = nil, observer: TrainingObserver
  ) throws -> Result {
    var vocabulary = TokenVocabulary()
    for token in options.specialTokens { vocabulary.id(adding: Array(token.utf8)) }
    let usage = scalarCounts(table)
    let alphabet = kept(usage)
    for scalar in alphabet { vocabulary.id(adding: utf8(of: scalar)) }

    let codeSpace = 0x110000
    var firstTokens = [UInt32](repeating: .max, count: codeSpace)
    var laterTokens = firstTokens
    for scalar in usage.keys { firstTokens[Int(scalar)] = vocabulary.id(of: scalar) ?? .max }
    if prefix.isEmpty {
      laterTokens = firstTokens
    } else {
      let inner = Set(scalarsWithinWords(table))
      for scalar in continuations ?? inner.sorted() where firstTokens[Int(scalar)] != .max {
        laterTokens[Int(scalar)] = vocabulary.id(adding: prefix + utf8(of: scalar))
      }
    }
    guard vocabulary.count <= options.vocabularySize else {
      throw TrainingError.vocabularyTooSmall(
        options.vocabularySize, needed: vocabulary.count,
        contents: isByteLevel ? "the 256 bytes and the special tokens" : "the alphabet and the special tokens")
    }
    let text = try SymbolWords(table, units, tokens: (firstTokens, laterTokens))
    var learner = MergeLearner(text, vocabulary, size: options.vocabularySize)
    let merges = try learner.learn(
      into: &vocabulary, size: options.vocabularySize, minimumFrequency: options.minimumFrequency, prefix: prefix,
      observer: observer)
    return Result(vocabulary: vocabulary, merges: merges)
  }

  private func scalarCounts(_ table: WordTable) -> [UInt32: Int] {
    var counts = [Int](repeating: 0, count: 0x110000)
    table.forEach { word, count in units.forEach(in: word) { counts[Int($0)] += count } }
    if isByteLevel { for scalar in WordUnits.spelledBytes { counts[Int(scalar)] = .max } }
    var usage: [UInt32: Int] = [:]
    for (scalar, count) in counts.enumerated() where count > 0 { usage[UInt32(scalar)] = count }
    return usage
  }

  /// The alphabet in order, without its rarest characters where it is limited.
  private func kept(_ usage: [UInt32: Int]) -> [UInt32] {
    guard let limit = options.alphabetLimit, usage.count > limit else { return usage.keys.sorted() }
    let byUse = usage.sorted { $0.value != $1.value ? $0.value > $1.value : $0.key < $1.key }
    return byUse.prefix(limit).map(\.key).sorted()
  }

  private func scalarsWithinWords(_ table: WordTable) -> [UInt32] {
    var isWithin = [Bool](repeating: false, count: 0x110000)
    table.forEach { word, _ in
      var isFirst = true
      units.forEach(in: word) {
        if !isFirst { isWithin[Int($0)] = true }
        isFirst = false
      }
    }
    return isWithin.indices.filter { isWithin[$0] }.map(UInt32.init)
  }
}
