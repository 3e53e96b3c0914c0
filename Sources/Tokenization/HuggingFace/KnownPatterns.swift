// The expressions of well-known families, which have scanners of their own.

/// Expressions by which tokenizers cut text, as their files spell them.
enum KnownPatterns {
  static let gpt2 = PreTokenizer.Stage.words(PreTokenizer.gpt2)
  /// A number character alone.
  static let number = PreTokenizer.Stage.runs(RunRule(set: CharacterSet(.number), maximum: 1))

  private static let contractions = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
  private static let tail = #"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#

  private static var foldingWords: WordRule {
    var rule = PreTokenizer.llama3
    rule.contractions = .anyCaseOfUnicode
    return rule
  }

  private static func modern(digits: Int) -> PreTokenizer.Stage {
    var rule = foldingWords
    rule.digitLimit = digits
    return .words(rule)
  }

  private static let table: [String: PreTokenizer.Stage] = [
    #"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"#: gpt2,
    contractions + #"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"# + tail: modern(digits: 3),
    contractions + #"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"# + tail: modern(digits: 1),
    contractions + #"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}+"# + tail: modern(digits: .max),
    "(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])"
      + #"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"# + tail: .words(PreTokenizer.qwen2),
    #"\p{N}"#: number,
    #"\p{N}{1,3}"#: .runs(RunRule(set: CharacterSet(.number), maximum: 3)),
    #"\p{N}+"#: .runs(RunRule(set: CharacterSet(.number))),
    "[0-9][0-9][0-9]": .runs(RunRule(set: CharacterSet(adding: "0-9"), minimum: 3, maximum: 3)),
    #"[\r\n]"#: .runs(RunRule(set: CharacterSet(adding: "\r\n"), maximum: 1)),
    #"[一-龥\u3040-ゟ゠-ヿ]+"#: .runs(RunRule(set: CharacterSet(adding: "\u{4E00}-\u{9FA5}\u{3040}-\u{30FF}"))),
    "[一-龥\u{3040}-ゟ゠-ヿ]+": .runs(RunRule(set: CharacterSet(adding: "\u{4E00}-\u{9FA5}\u{3040}-\u{30FF}"))),
  ]

  /// The scanner for an expression; nil for one that is not known.
  static func stage(_ expression: String) -> PreTokenizer.Stage? { table[expression] }

  private static let cased = #"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"#
  private static let capital = #"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"#
  private static let casedTail = #"| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"#
  private static let deepSeek =
    ##"[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"##
    + #"| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#

  /// GGUF's names for ways of cutting text.
  private static let names: [(cuts: [String], name: String)] = [
    (["ByteLevel"], "gpt-2"),
    (["Digits", "ByteLevel"], "smollm"),
    ([contractions + #"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"# + tail], "llama-bpe"),
    ([contractions + #"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"# + tail], "qwen2"),
    ([cased + contractions + "?|" + capital + contractions + #"?|\p{N}{1,3}"# + casedTail], "gpt-4o"),
    ([cased + "|" + capital + #"|\p{N}"# + casedTail], "tekken"),
    ([#"\p{N}{1,3}"#, "[一-龥\u{3040}-ゟ゠-ヿ]+", deepSeek], "deepseek-v3"),
    (["Punctuation", "ByteLevel", "Numbers", "[0-9][0-9][0-9]"], "falcon"),
  ]

  /// The name that GGUF gives to a way of cutting text; nil if it has none, or none that is known.
  static func name(ofCuts cuts: [String]) -> String? { names.first { $0.cuts == cuts }?.name }

  /// The ways of cutting text that a name of GGUF stands for; nil for one that is not known.
  static func cuts(named name: String) -> [String]? { names.first { $0.name == name }?.cuts }

  /// Whether every character is part of some match.
  static func coversAll(_ stage: PreTokenizer.Stage) -> Bool {
    if case .words = stage { true } else { false }
  }
}
