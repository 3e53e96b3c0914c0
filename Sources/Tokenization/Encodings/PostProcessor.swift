// What is done to the tokens of one or two texts before a model gets them.

/// One step, or several, of post-processing.
indirect enum PostProcessor: Sendable {
  /// What a template puts in a row.
  enum Piece: Sendable, Equatable {
    case text(Int, typeID: Int32)
    case tokens([Int32], typeID: Int32)
  }

  case sequence([PostProcessor])
  case template(single: [Piece], pair: [Piece])
  /// Takes the white space off the text that byte-level tokens stand for.
  case trimOffsets(prefixesSpace: Bool)

  var trimsOffsets: Bool {
    switch self {
    case .sequence(let steps): steps.contains(where: \.trimsOffsets)
    case .trimOffsets: true
    case .template: false
    }
  }

  /// How many tokens are added to one text or two.
  func addedCount(isPair: Bool) -> Int {
    switch self {
    case .sequence(let steps): steps.reduce(0) { $0 + $1.addedCount(isPair: isPair) }
    case .trimOffsets: 0
    case .template(let single, let pair):
      (isPair ? pair : single).reduce(0) { sum, piece in
        if case .tokens(let ids, _) = piece { sum + ids.count } else { sum }
      }
    }
  }

  /// The tokens that are put before and after one text.
  var boundary: (before: [Int32], after: [Int32]) {
    switch self {
    case .trimOffsets: return ([], [])
    case .sequence(let steps):
      return steps.reduce(([], [])) { all, step in
        let own = step.boundary
        return (own.before + all.0, all.1 + own.after)
      }
    case .template(let single, _):
      var result: (before: [Int32], after: [Int32]) = ([], [])
      var isAfter = false
      for piece in single {
        switch piece {
        case .text: isAfter = true
        case .tokens(let ids, _): if isAfter { result.after += ids } else { result.before += ids }
        }
      }
      return result
    }
  }

  func process(_ encodings: [TokenEncoding], addsSpecialTokens: Bool) -> [TokenEncoding] {
    switch self {
    case .sequence(let steps):
      return steps.reduce(encodings) { $1.process($0, addsSpecialTokens: addsSpecialTokens) }
    case .trimOffsets(let prefixesSpace):
      return encodings.map { encoding in
        var encoding = encoding
        encoding.trimOffsets(prefixesSpace: prefixesSpace)
        return encoding
      }
    case .template(let single, let pair):
      var result: [TokenEncoding] = []
      for piece in encodings.count == 1 ? single : pair {
        switch piece {
        case .text(let number, let typeID):
          guard number < encodings.count else { continue }
          var text = encodings[number]
          text.setTypeID(typeID)
          result.append(text)
        case .tokens(let ids, let typeID):
          if addsSpecialTokens { result.append(TokenEncoding(special: ids, typeID: typeID)) }
        }
      }
      return result
    }
  }
}

extension TokenEncoding {
  init(special ids: [Int32], typeID: Int32) {
    self.ids = ids
    typeIDs = Array(repeating: typeID, count: ids.count)
    attentionMask = Array(repeating: 1, count: ids.count)
    specialTokensMask = Array(repeating: 1, count: ids.count)
    offsets = Array(repeating: 0..<0, count: ids.count)
    words = Array(repeating: nil, count: ids.count)
    sequences = Array(repeating: nil, count: ids.count)
  }

  mutating func trimOffsets(prefixesSpace: Bool) {
    for index in overflowing.indices { overflowing[index].trimOffsets(prefixesSpace: prefixesSpace) }
    for index in outerSpaces.indices {
      var leading = Int(outerSpaces[index].x)
      let trailing = Int(outerSpaces[index].y)
      var (start, end) = (offsets[index].lowerBound, offsets[index].upperBound)
      // The space that the tokenizer put before the text stands for nothing that could be taken off.
      if index == 0 || start == 0, prefixesSpace, leading == 1 { leading = 0 }
      start = min(start + leading, end)
      if trailing > 0, end >= trailing { end = max(end - trailing, start) }
      offsets[index] = start..<end
    }
    outerSpaces = []
  }

  mutating func setTypeID(_ typeID: Int32) {
    typeIDs = Array(repeating: typeID, count: count)
    for index in overflowing.indices { overflowing[index].setTypeID(typeID) }
  }
}
