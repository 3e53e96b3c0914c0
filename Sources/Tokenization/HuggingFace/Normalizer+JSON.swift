// The `normalizer` and `pre_tokenizer` of a `tokenizer.json`.
import JSON

/// Descriptions of strangers may be nested, but not so deep that reading them takes the stack; the parser of JSON sees
/// to that.
extension Normalizer {
  private static let types = [
    "Sequence", "NFC", "NFD", "NFKC", "NFKD", "Lowercase", "Strip", "StripAccents", "BertNormalizer", "Prepend",
    "Append", "Replace", "Precompiled", "Nmt", "ByteLevel",
  ]

  init(_ field: JSONField) throws {
    switch try field.type(Self.types) {
    case "Sequence": self = .sequence(try field.required("normalizers").array().map { try Normalizer($0) })
    case "NFC": self = .form(.nfc)
    case "NFD": self = .form(.nfd)
    case "NFKC": self = .form(.nfkc)
    case "NFKD": self = .form(.nfkd)
    case "Lowercase": self = .lowercase
    case "Strip":
      self = .strip(
        left: try field["strip_left"]?.bool() ?? true, right: try field["strip_right"]?.bool() ?? true)
    case "StripAccents": self = .stripAccents
    case "BertNormalizer":
      var normalizer = BERTNormalizer()
      normalizer.cleansText = try field["clean_text"]?.bool() ?? true
      normalizer.separatesChinese = try field["handle_chinese_chars"]?.bool() ?? true
      normalizer.lowercases = try field["lowercase"]?.bool() ?? true
      normalizer.stripsAccents = try field["strip_accents"]?.bool() ?? normalizer.lowercases
      self = .bert(normalizer)
    case "Prepend": self = .prepend(Array(try field.required("prepend").string().utf8))
    case "Append": self = .append(Array(try field.required("append").string().utf8))
    case "Replace":
      self = .replace(
        try TextPattern(field.required("pattern")), Array(try field.required("content").string().utf8))
    case "Precompiled": self = try Self.precompiled(field)
    case "Nmt": self = .machineTranslation
    default: self = .byteLevel
    }
  }

  private static func precompiled(_ field: JSONField) throws -> Normalizer {
    guard let map = field["precompiled_charsmap"], case let text = try map.string(), !text.isEmpty else {
      return .sequence([])
    }
    guard let bytes = base64Decoded(text.utf8) else { throw map.error("is not base 64") }
    do {
      return .precompiled(try CharacterMap(bytes))
    } catch {
      throw map.error(error.message)
    }
  }

  /// The first step of which `test` is true.
  func first(where test: (Normalizer) -> Bool) -> Normalizer? {
    guard case .sequence(let steps) = self else { return test(self) ? self : nil }
    for step in steps { if let found = step.first(where: test) { return found } }
    return nil
  }

  var isPrecompiled: Bool { if case .precompiled = self { true } else { false } }

  /// Whether this is none of the steps that GGUF's Unigram knows.
  var isBeyondGGUF: Bool {
    switch self {
    case .sequence, .precompiled, .replace, .prepend, .strip, .sentencePiece: false
    default: true
    }
  }

  /// Whether two spaces become one.
  var mergesSpaces: Bool {
    func normalized(_ source: String) -> String {
      var source = source
      return source.withUTF8 { bytes in
        var text = AlignedText(bytes, origin: 0, isAligned: false)
        normalize(&text)
        return String(decoding: text.bytes, as: UTF8.self).replacing("▁", with: " ")
      }
    }
    return normalized("a  a") == normalized("a a")
  }

  /// Whether text is given a space to begin with.
  var prependsSpace: Bool {
    switch self {
    case .sequence(let steps): steps.contains(where: \.prependsSpace)
    case .prepend(let prefix): prefix == SentencePieceEncoder.space || prefix == [0x20]
    default: false
    }
  }
}

extension TextPattern {
  /// `{"String": …}` or `{"Regex": …}`.
  init(_ field: JSONField) throws {
    if let literal = field["String"] {
      self = .literal(Array(try literal.string().utf8))
    } else if let expression = field["Regex"] {
      self = try TextPattern(expression: expression)
    } else {
      throw field.error("expected “String” or “Regex”")
    }
  }

  private init(expression field: JSONField) throws {
    let text = try field.string()
    if let rule = KnownPatterns.stage(text) {
      self = .rule(rule)
      return
    }
    do {
      self = .expression(try Pattern(text))
    } catch {
      throw field.error(error.message)
    }
  }
}

extension SplitStage {
  private static let types = [
    "Sequence", "ByteLevel", "Split", "Whitespace", "WhitespaceSplit", "BertPreTokenizer", "Metaspace", "Punctuation",
    "Digits", "Delimiter", "CharDelimiterSplit", "UnicodeScripts", "FixedLength",
  ]
  private static let spaces = TextPattern.characters(.whiteSpace, ScalarSet())
  private static let punctuation = TextPattern.characters(
    .punctuation, ScalarSet([0x21...0x2F, 0x3A...0x40, 0x5B...0x60, 0x7B...0x7E]))
  private static let numbers = TextPattern.characters(.numeric, ScalarSet())

  /// BERT's words: without white space, punctuation alone.
  static let bert: [SplitStage] = [
    .split(spaces, .removed, isInverted: false), .split(punctuation, .isolated, isInverted: false),
  ]

  /// SentencePiece's words: each begins with a mark.
  static let beforeMarks = split(.literal(SentencePieceEncoder.space), .mergedWithNext, isInverted: false)

  static func stages(_ field: JSONField) throws -> [SplitStage] {
    switch try field.type(types) {
    case "Sequence": return try field.required("pretokenizers").array().flatMap { try stages($0) }
    case "ByteLevel":
      var result: [SplitStage] = []
      if try field["add_prefix_space"]?.bool() ?? true { result.append(.prefixSpace) }
      if try field["use_regex"]?.bool() ?? true {
        result.append(.split(.rule(KnownPatterns.gpt2), .isolated, isInverted: false))
      }
      return result + [.spellBytes]
    case "Split": return [try split(field)]
    case "Whitespace": return [.split(.wordRuns, .removed, isInverted: true)]
    case "WhitespaceSplit": return [.split(spaces, .removed, isInverted: false)]
    case "BertPreTokenizer": return bert
    case "Metaspace": return [try metaspace(field)]
    case "Punctuation":
      let behavior = try field["behavior"]?.choice(SplitBehavior.self) ?? .isolated
      return [.split(punctuation, behavior, isInverted: false)]
    case "Digits":
      let isIndividual = try field["individual_digits"]?.bool() ?? false
      if isIndividual { return [.split(.rule(KnownPatterns.number), .isolated, isInverted: false)] }
      return [.split(numbers, .contiguous, isInverted: false)]
    case "Delimiter", "CharDelimiterSplit":
      let delimiter = try field.required("delimiter").nonemptyBytes()
      return [.split(.literal(delimiter), .removed, isInverted: false)]
    case "UnicodeScripts": return [.scripts]
    default: return [.fixedLength(try field["length"]?.int(in: 1...Int(Int32.max)) ?? 5)]
    }
  }

  /// What tells one way of cutting text from another, one line for each step.
  static func signature(_ field: JSONField) throws -> [String] {
    switch try field.type(types) {
    case "Sequence": return try field.required("pretokenizers").array().flatMap { try signature($0) }
    case "ByteLevel": return try field["use_regex"]?.bool() ?? true ? ["ByteLevel"] : []
    case "Split": return [try field["pattern"]?["Regex"]?.string() ?? field["pattern"]?["String"]?.string() ?? ""]
    case "Digits": return [try field["individual_digits"]?.bool() ?? false ? "Digits" : "Numbers"]
    case let type: return [type]
    }
  }

  private static func split(_ field: JSONField) throws -> SplitStage {
    let pattern = try TextPattern(field.required("pattern"))
    var behavior = try field.required("behavior").choice(SplitBehavior.self)
    var isInverted = try field["invert"]?.bool() ?? false
    if case .rule(let rule) = pattern, KnownPatterns.coversAll(rule), isInverted, behavior == .removed {
      // Nothing lies between the matches, so keeping them alone is keeping all.
      behavior = .isolated
      isInverted = false
    }
    return .split(pattern, behavior, isInverted: isInverted)
  }

  private static func metaspace(_ field: JSONField) throws -> SplitStage {
    let mark = try field.required("replacement").nonemptyBytes()
    var scheme = try field["prepend_scheme"]?.choice(PrependScheme.self) ?? .always
    if let prefixes = field["add_prefix_space"], try !prefixes.bool() {
      if scheme != .never, field["prepend_scheme"] != nil {
        throw prefixes.error("contradicts prepend_scheme “\(scheme.rawValue)”")
      }
      scheme = .never
    }
    return .metaspace(mark: mark, scheme, splits: try field["split"]?.bool() ?? true)
  }

  /// Whether white space is left out.
  var removesSpaces: Bool {
    if case .split(.characters(.whiteSpace, _), .removed, isInverted: false) = self { true } else { false }
  }

  /// Whether words are given a space to begin with.
  var prependsSpace: Bool {
    switch self {
    case .metaspace(_, let scheme, _): scheme != .never
    case .prefixSpace: true
    default: false
    }
  }
}
