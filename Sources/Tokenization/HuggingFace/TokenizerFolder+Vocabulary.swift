// The tokenizer of a folder as GGUF writes it down, for those who convert models.

extension TokenizerFolder {
  /// The vocabulary as a GGUF file would hold it: spellings, kinds, scores and merges in the form that
  /// ``TokenizerVocabulary`` describes.
  ///
  /// GGUF knows a few kinds of tokenizers and says of each only its parameters, so not every tokenizer can be written.
  /// - Throws: ``TokenizerError`` for files that cannot be used, and for a tokenizer that GGUF has no words for.
  public func vocabulary() throws -> TokenizerVocabulary {
    let definition = try definition()
    guard let model = definition.model else {
      throw TokenizerError.malformedFile(
        path, field: "model", reason: "GGUF has no name for this kind of tokenizer")
    }
    var vocabulary = TokenizerVocabulary(model: model, pieces: definition.pieces)
    vocabulary.kinds = definition.kinds
    vocabulary.beginningOfSequence = definition.beginningOfSequence
    vocabulary.endOfSequence = definition.endOfSequence
    vocabulary.unknown = definition.unknown
    vocabulary.padding = definition.padding
    let further = definition.endOfGeneration.filter { $0 != definition.endOfSequence }
    vocabulary.endOfTurn = further.first
    vocabulary.furtherEndOfGeneration = Array(further.dropFirst())
    let boundary = definition.postProcessor?.boundary ?? (before: [], after: [])
    if model == .wordPiece {
      // What stands before and after a text is what GGUF calls its beginning and end.
      vocabulary.beginningOfSequence = boundary.before.first ?? vocabulary.beginningOfSequence
      vocabulary.endOfSequence = boundary.after.last ?? vocabulary.endOfSequence
      vocabulary.addsBeginningOfSequence = !boundary.before.isEmpty
      vocabulary.addsEndOfSequence = !boundary.after.isEmpty
    } else {
      // A tokenizer.json alone names no roles, but what it puts around a text has them.
      vocabulary.beginningOfSequence = vocabulary.beginningOfSequence ?? boundary.before.first
      vocabulary.endOfSequence = vocabulary.endOfSequence ?? boundary.after.last
      vocabulary.addsBeginningOfSequence = vocabulary.beginningOfSequence.map { boundary.before.contains($0) } ?? false
      vocabulary.addsEndOfSequence = vocabulary.endOfSequence.map { boundary.after.contains($0) } ?? false
    }

    switch model {
    case .byteLevelBPE:
      vocabulary.merges = definition.merges
      guard let name = KnownPatterns.name(ofCuts: definition.cuts) else {
        throw TokenizerError.unknownPreTokenizer(
          definition.cuts.joined(separator: " | "), supported: Tokenizer.supportedPreTokenizers)
      }
      vocabulary.preTokenizer = name
    case .sentencePiece:
      vocabulary.addsSpacePrefix = definition.addsSpacePrefix
      vocabulary.scores = definition.scores.isEmpty ? Self.scores(definition) : definition.scores
      while vocabulary.scores.count < vocabulary.pieces.count { vocabulary.scores.append(0) }
    case .unigram:
      guard !definition.normalizesOtherwise else {
        throw TokenizerError.malformedFile(path, field: "normalizer", reason: "has steps that GGUF has no words for")
      }
      vocabulary.addsSpacePrefix = definition.addsSpacePrefix
      vocabulary.scores = definition.scores
      while vocabulary.scores.count < vocabulary.pieces.count { vocabulary.scores.append(0) }
      vocabulary.characterMap = definition.characterMap
      vocabulary.removesExtraSpaces = definition.removesExtraSpaces
    case .wordPiece:
      guard let steps = definition.wordPieceSteps, steps.cleansText, steps.separatesChinese else {
        throw TokenizerError.malformedFile(path, field: "normalizer", reason: "is not BERT's, which GGUF takes for granted")
      }
      vocabulary.lowercases = steps.lowercases
      vocabulary.stripsAccents = steps.stripsAccents
      vocabulary.pieces = WordPieceSpelling.beginningsMarked(definition.pieces, definition.kinds)
    }
    return vocabulary
  }

  /// GGUF merges by the score of what comes out; that of the first merge that makes a piece is its rank.
  private static func scores(_ definition: TokenizerDefinition) -> [Float] {
    var scores = [Float](repeating: -1e6, count: definition.pieces.count)
    var ids: [[UInt8]: Int] = [:]
    for id in definition.pieces.indices { ids[Array(definition.pieces[id])] = id }
    for rank in definition.merges.indices.reversed() {
      let merge = definition.merges[rank]
      guard let space = merge.dropFirst().firstIndex(of: 0x20) else { continue }
      if let id = ids[Array(merge[..<space] + merge[(space + 1)...])] { scores[id] = -Float(rank) }
    }
    return scores
  }
}
