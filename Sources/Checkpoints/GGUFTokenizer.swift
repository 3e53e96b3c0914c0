// A GGUF file carries its tokenizer and chat templates as metadata; here they become plain data for those rooms.
import Tokenization

extension GGUFFile {
  private static let tokenizerKey = "tokenizer.ggml."

  /// The file's tokenizer, as it stands there: `Tokenizer` checks it and knows what to assume where the file is silent.
  /// - Throws: ``CheckpointError`` for a kind of tokenizer that is not supported, and for keys of a wrong type.
  public func tokenizerVocabulary() throws(CheckpointError) -> TokenizerVocabulary {
    func key(_ name: String) -> String { Self.tokenizerKey + name }
    func id(_ name: String) throws(CheckpointError) -> Int32? {
      try metadata.int(key(name + "_token_id"), in: 0...Int(Int32.max)).map { Int32($0) }
    }

    let modelName = try metadata.string(required: key("model"))
    guard let model = TokenizerModel(rawValue: modelName) else {
      let supported = TokenizerModel.allCases.map(\.rawValue).joined(separator: " or ")
      throw metadata.error(key("model"), "the kind “\(modelName.printable)” is not supported; expected \(supported)")
    }
    var vocabulary = TokenizerVocabulary(model: model, pieces: try metadata.strings(required: key("tokens")))
    vocabulary.kinds = try tokenKinds(key("token_type"))
    vocabulary.scores = try metadata.floats(key("scores")) ?? []
    vocabulary.merges = try metadata.strings(key("merges")) ?? PackedStrings()
    vocabulary.preTokenizer = try metadata.string(key("pre")) ?? ""

    // Word pieces have a token before a text and one after it, under names of their own.
    vocabulary.beginningOfSequence = try id("bos")
    vocabulary.endOfSequence = try id("eos")
    if model == .wordPiece {
      if vocabulary.beginningOfSequence == nil { vocabulary.beginningOfSequence = try id("cls") }
      if vocabulary.endOfSequence == nil { vocabulary.endOfSequence = try id("seperator") }
    }
    vocabulary.endOfTurn = try id("eot")
    vocabulary.endOfMessage = try id("eom")
    vocabulary.unknown = try id("unknown")
    vocabulary.padding = try id("padding")
    for name in ["fim_pad", "fim_rep", "fim_sep"] {
      if let end = try id(name) { vocabulary.furtherEndOfGeneration.append(end) }
    }

    vocabulary.addsBeginningOfSequence = try metadata.bool(key("add_bos_token"))
    vocabulary.addsEndOfSequence = try metadata.bool(key("add_eos_token"))
    vocabulary.addsSpacePrefix = try metadata.bool(key("add_space_prefix"))
    vocabulary.lowercases = try metadata.bool(key("normalizer.lowercase"))
    vocabulary.stripsAccents = try metadata.bool(key("normalizer.strip_accents"))
    vocabulary.removesExtraSpaces = try metadata.bool(key("remove_extra_whitespaces"))
    vocabulary.characterMap = try metadata.ints(key("precompiled_charsmap"))?.map { UInt8(truncatingIfNeeded: $0) } ?? []
    return vocabulary
  }

  /// The chat template that the file carries, or one of its named variants such as `tool_use`; nil if there is none.
  /// - Throws: ``CheckpointError`` if what is there is no text.
  public func chatTemplate(named name: String? = nil) throws(CheckpointError) -> String? {
    try metadata.string(["tokenizer.chat_template", name].compactMap { $0 }.joined(separator: "."))
  }

  /// The names of the chat template's variants, as the file lists them.
  public func chatTemplateNames() throws(CheckpointError) -> [String] {
    let names = try metadata.strings("tokenizer.chat_templates") ?? PackedStrings()
    return names.indices.map(names.string(at:))
  }

  private func tokenKinds(_ key: String) throws(CheckpointError) -> [TokenKind] {
    var kinds: [TokenKind] = []
    for (token, number) in (try metadata.ints(key) ?? []).enumerated() {
      // 0 is "undefined", which some converters write for tokens that are like any other.
      guard let kind = number == 0 ? .normal : UInt8(exactly: number).flatMap(TokenKind.init) else {
        throw metadata.error(key, "token \(token) has type \(number); expected 0 to 6")
      }
      kinds.append(kind)
    }
    return kinds
  }
}
