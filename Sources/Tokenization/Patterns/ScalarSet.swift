// Bracket expressions and `\p{…}` as sorted ranges, on which union, intersection and complement are merges.

/// A set of code points.
struct ScalarSet: Sendable, Equatable {
  /// Ascending, disjoint, not adjacent.
  private(set) var ranges: [ClosedRange<UInt32>]
  private var lowASCII: UInt64 = 0
  private var highASCII: UInt64 = 0

  init(_ ranges: [ClosedRange<UInt32>] = []) {
    var merged: [ClosedRange<UInt32>] = []
    for range in ranges.sorted(by: { $0.lowerBound < $1.lowerBound }) {
      if let last = merged.last, range.lowerBound <= last.upperBound || range.lowerBound - last.upperBound == 1 {
        merged[merged.count - 1] = last.lowerBound...max(last.upperBound, range.upperBound)
      } else {
        merged.append(range)
      }
    }
    self.ranges = merged
    for range in merged where range.lowerBound < 128 {
      for code in range.lowerBound...min(127, range.upperBound) {
        if code < 64 { lowASCII |= 1 << UInt64(code) } else { highASCII |= 1 << UInt64(code - 64) }
      }
    }
  }

  init(_ code: UInt32) { self.init([code...code]) }

  @inline(__always)
  func contains(_ code: UInt32) -> Bool {
    if code < 128 { return (code < 64 ? lowASCII >> UInt64(code) : highASCII >> UInt64(code - 64)) & 1 != 0 }
    return containsBeyondASCII(code)
  }

  private func containsBeyondASCII(_ code: UInt32) -> Bool {
    var low = 0
    var high = ranges.count
    while low < high {
      let middle = (low + high) / 2
      if ranges[middle].upperBound < code { low = middle + 1 } else { high = middle }
    }
    return low < ranges.count && ranges[low].lowerBound <= code
  }

  func union(_ other: ScalarSet) -> ScalarSet { ScalarSet(ranges + other.ranges) }

  var inverted: ScalarSet {
    var result: [ClosedRange<UInt32>] = []
    var next: UInt32 = 0
    for range in ranges {
      if range.lowerBound > next { result.append(next...range.lowerBound - 1) }
      next = range.upperBound + 1
    }
    if next <= 0x10FFFF { result.append(next...0x10FFFF) }
    return ScalarSet(result)
  }

  func intersection(_ other: ScalarSet) -> ScalarSet { inverted.union(other.inverted).inverted }

  /// The set and all simple case variants of its letters, where it is small enough to be a written list.
  var caseInsensitive: ScalarSet {
    var all = ranges
    for range in ranges where range.count <= 4096 {
      for code in range {
        guard let scalar = Unicode.Scalar(code) else { continue }
        for variant in Self.caseVariants(of: scalar) { all.append(variant...variant) }
      }
    }
    return ScalarSet(all)
  }

  private static func caseVariants(of scalar: Unicode.Scalar) -> [UInt32] {
    var result: [UInt32] = []
    for mapping in [scalar.properties.lowercaseMapping, scalar.properties.uppercaseMapping] {
      if mapping.unicodeScalars.count == 1, let variant = mapping.unicodeScalars.first { result.append(variant.value) }
    }
    // Two letters beyond ASCII fold to letters within it.
    if scalar == "s" || scalar == "S" { result.append(0x17F) }
    if scalar == "k" || scalar == "K" { result.append(0x212A) }
    return result
  }
}

extension ScalarSet {
  /// The ranges of each general category but that of unassigned code points.
  private static let byCategory: [Unicode.GeneralCategory: [ClosedRange<UInt32>]] = {
    var all: [Unicode.GeneralCategory: [ClosedRange<UInt32>]] = [
      .privateUse: [0xE000...0xF8FF, 0xF0000...0xFFFFD, 0x100000...0x10FFFD]
    ]
    forEachAssigned { scalar in
      let category = scalar.properties.generalCategory
      if category == .privateUse { return }
      let code = scalar.value
      if let last = all[category]?.last, last.upperBound + 1 == code {
        all[category]?.removeLast()
        all[category]?.append(last.lowerBound...code)
      } else {
        all[category, default: []].append(code...code)
      }
    }
    return all
  }()

  /// The version of Unicode that Oniguruma follows; Swift knows newer characters.
  private static let version = 16

  /// Calls `body` with the code points that are characters, in the planes that have any.
  private static func forEachAssigned(_ body: (Unicode.Scalar) -> Void) {
    for range in [0..<0x33480 as Range<UInt32>, 0xE0000..<0xE01F0] {
      for code in range {
        guard let scalar = Unicode.Scalar(code), let age = scalar.properties.age, age.major <= version else { continue }
        body(scalar)
      }
    }
  }

  private static func categories(_ categories: Set<Unicode.GeneralCategory>) -> ScalarSet {
    ScalarSet(categories.flatMap { byCategory[$0] ?? [] })
  }

  private static let alphabetic: ScalarSet = {
    var ranges: [ClosedRange<UInt32>] = []
    forEachAssigned { if $0.properties.isAlphabetic { ranges.append($0.value...$0.value) } }
    return ScalarSet(ranges)
  }()

  static let all = ScalarSet([0...0x10FFFF])
  static let letters = categories([
    .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter,
  ])
  static let numbers = categories([.decimalNumber, .letterNumber, .otherNumber])
  static let marks = categories([.nonspacingMark, .spacingMark, .enclosingMark])
  static let punctuation = categories([
    .connectorPunctuation, .dashPunctuation, .openPunctuation, .closePunctuation, .initialPunctuation,
    .finalPunctuation, .otherPunctuation,
  ])
  static let symbols = categories([.mathSymbol, .currencySymbol, .modifierSymbol, .otherSymbol])
  static let separators = categories([.spaceSeparator, .lineSeparator, .paragraphSeparator])
  static let whiteSpace = separators.union(ScalarSet([0x9...0xD, 0x85...0x85]))
  static let decimalDigits = categories([.decimalNumber])
  /// `\w`; Oniguruma has the fractions and superscripts of Latin-1 in it, though not those of other blocks.
  static let word = letters.union(marks).union(decimalDigits).union(categories([.connectorPunctuation]))
    .union(alphabetic).union(ScalarSet([0xB2...0xB3, 0xB9...0xB9, 0xBC...0xBE]))
  static let hexDigits = ScalarSet([0x30...0x39, 0x41...0x46, 0x61...0x66])

  /// The names that `\p{…}` may hold.
  static let propertyNames = [
    "L", "N", "M", "P", "S", "Z", "C", "Lu", "Ll", "Lt", "Lm", "Lo", "Nd", "Nl", "No", "Mn", "Mc", "Me", "Pc", "Pd",
    "Ps", "Pe", "Pi", "Pf", "Po", "Sm", "Sc", "Sk", "So", "Zs", "Cc", "Cf", "Co", "Han", "Hiragana", "Katakana",
    "Hangul",
  ]

  /// The set that `\p{name}` stands for.
  static func property(_ name: String) -> ScalarSet? {
    switch name {
    case "L", "Letter": letters
    case "N", "Number": numbers
    case "M", "Mark": marks
    case "P", "Punctuation": punctuation
    case "S", "Symbol": symbols
    case "Z", "Separator": separators
    case "C", "Other":
      letters.union(numbers).union(marks).union(punctuation).union(symbols).union(separators).inverted
    case "Lu": categories([.uppercaseLetter])
    case "Ll": categories([.lowercaseLetter])
    case "Lt": categories([.titlecaseLetter])
    case "Lm": categories([.modifierLetter])
    case "Lo": categories([.otherLetter])
    case "Nd": decimalDigits
    case "Nl": categories([.letterNumber])
    case "No": categories([.otherNumber])
    case "Mn": categories([.nonspacingMark])
    case "Mc": categories([.spacingMark])
    case "Me": categories([.enclosingMark])
    case "Pc": categories([.connectorPunctuation])
    case "Pd": categories([.dashPunctuation])
    case "Ps": categories([.openPunctuation])
    case "Pe": categories([.closePunctuation])
    case "Pi": categories([.initialPunctuation])
    case "Pf": categories([.finalPunctuation])
    case "Po": categories([.otherPunctuation])
    case "Sm": categories([.mathSymbol])
    case "Sc": categories([.currencySymbol])
    case "Sk": categories([.modifierSymbol])
    case "So": categories([.otherSymbol])
    case "Zs": categories([.spaceSeparator])
    case "Cc": categories([.control])
    case "Cf": categories([.format])
    case "Co": categories([.privateUse])
    case "Han":
      ScalarSet([
        0x2E80...0x2E99, 0x2E9B...0x2EF3, 0x2F00...0x2FD5, 0x3005...0x3005, 0x3007...0x3007, 0x3021...0x3029,
        0x3038...0x303B, 0x3400...0x4DBF, 0x4E00...0x9FFF, 0xF900...0xFA6D, 0xFA70...0xFAD9, 0x16FE2...0x16FE3,
        0x16FF0...0x16FF1, 0x20000...0x2A6DF, 0x2A700...0x2B739, 0x2B740...0x2B81D, 0x2B820...0x2CEA1,
        0x2CEB0...0x2EBE0, 0x2EBF0...0x2EE5D, 0x2F800...0x2FA1D, 0x30000...0x3134A, 0x31350...0x323AF,
      ])
    case "Hiragana":
      ScalarSet([
        0x3041...0x3096, 0x309D...0x309F, 0x1B001...0x1B11F, 0x1B132...0x1B132, 0x1B150...0x1B152, 0x1F200...0x1F200,
      ])
    case "Katakana":
      ScalarSet([
        0x30A1...0x30FA, 0x30FD...0x30FF, 0x31F0...0x31FF, 0x32D0...0x32FE, 0x3300...0x3357, 0xFF66...0xFF6F,
        0xFF71...0xFF9D, 0x1AFF0...0x1AFF3, 0x1AFF5...0x1AFFB, 0x1AFFD...0x1AFFE, 0x1B000...0x1B000,
        0x1B120...0x1B122, 0x1B155...0x1B155, 0x1B164...0x1B167,
      ])
    case "Hangul":
      ScalarSet([
        0x1100...0x11FF, 0x302E...0x302F, 0x3131...0x318E, 0x3200...0x321E, 0x3260...0x327E, 0xA960...0xA97C,
        0xAC00...0xD7A3, 0xD7B0...0xD7C6, 0xD7CB...0xD7FB, 0xFFA0...0xFFBE, 0xFFC2...0xFFC7, 0xFFCA...0xFFCF,
        0xFFD2...0xFFD7, 0xFFDA...0xFFDC,
      ])
    default: nil
    }
  }
}
