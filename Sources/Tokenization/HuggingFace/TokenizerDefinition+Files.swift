// The tokenizer files from before `tokenizer.json`, with what their makers took for granted.
import JSON

extension TokenizerDefinition {
  private static let bertRoles = ["unk_token": "[UNK]", "sep_token": "[SEP]", "pad_token": "[PAD]",
    "cls_token": "[CLS]", "mask_token": "[MASK]"]

  /// `vocab.txt`: BERT's pieces, one a line.
  init(wordPieces bytes: [UInt8], file: String, _ configuration: TokenizerConfiguration) throws {
    var pieces = PackedStrings()
    for line in String(decoding: bytes, as: UTF8.self).split(
      omittingEmptySubsequences: false, whereSeparator: { $0 == "\n" || $0 == "\r\n" })
    {
      var scalars = line.unicodeScalars[...]
      while let last = scalars.last, TextClasses(of: last.value).contains(.whiteSpace) { scalars.removeLast() }
      pieces.append(String(scalars).utf8)
    }
    if let last = pieces.indices.last, pieces[last].isEmpty {
      pieces = PackedStrings(pieces.indices.dropLast().map(pieces.string(at:)))
    }
    let index = try PieceIndex(pieces)
    func id(_ role: String) -> Int32? {
      (configuration.specialTokens[role] ?? Self.bertRoles[role]).flatMap { index.id(of: $0.utf8) }
    }
    guard let unknown = id("unk_token") else {
      throw TokenizerError.malformedFile(file, field: "unk_token", reason: "is not in the vocabulary")
    }
    var steps = BERTNormalizer()
    steps.lowercases = configuration.lowercases ?? true
    steps.stripsAccents = configuration.stripsAccents ?? steps.lowercases
    steps.separatesChinese = configuration.separatesChinese ?? true
    let normalizer = Normalizer.bert(steps)
    let (added, all, kinds) = try Self.addTokens(
      configuration, to: pieces, index: index, roles: Self.bertRoles, unknown: unknown, file: file)
    self.init(
      pieces: all, kinds: kinds, model: .wordPiece,
      pipeline: TextPipeline(
        added: try AddedTokens(added, normalizer: normalizer), normalizer: normalizer, stages: SplitStage.bert,
        encoder: WordPieceEncoder(
          index: index, unknown: unknown, continuingPrefix: WordPieceSpelling.continuation,
          characterLimit: WordPieceSpelling.characterLimit)),
      decoder: TokenDecoder(stages: [.wordPiece(prefix: WordPieceSpelling.continuation, cleansUp: true)]))
    self.unknown = unknown
    wordPieceSteps = steps
    beginningOfSequence = id("cls_token")
    endOfSequence = id("sep_token")
    padding = id("pad_token")
    let start = [beginningOfSequence].compactMap(\.self)
    let end = [endOfSequence].compactMap(\.self)
    let single: [PostProcessor.Piece] = [.tokens(start, typeID: 0), .text(0, typeID: 0), .tokens(end, typeID: 0)]
    postProcessor = .template(single: single, pair: single + [.text(1, typeID: 1), .tokens(end, typeID: 1)])
  }

  /// `vocab.json` and `merges.txt`: byte-level pairs in the manner of GPT-2, or of RoBERTa if that is the class.
  init(
    vocabulary bytes: [UInt8], file: String, merges: [UInt8], mergesFile: String,
    _ configuration: TokenizerConfiguration
  ) throws {
    let base: ModelVocabulary
    do {
      base = try ModelVocabulary(
        JSONField(["type": "BPE", "vocab": [:], "merges": []]), VocabularyLists(vocabulary: bytes))
    } catch let error as JSONError {
      throw TokenizerError(error, file: file)
    }
    var lines = PackedStrings()
    for line in merges.split(whereSeparator: { $0 == 0x0A || $0 == 0x0D }) where !line.starts(with: "#version".utf8) {
      lines.append(line)
    }
    let table = try MergeTable(lines, index: base.index)
    let isRoBERTa = ["Roberta", "RoBERTa", "Bart", "Longformer", "LED"].contains {
      configuration.className.hasPrefix($0)
    }
    let roles = isRoBERTa
      ? ["bos_token": "<s>", "eos_token": "</s>", "sep_token": "</s>", "cls_token": "<s>", "unk_token": "<unk>",
        "pad_token": "<pad>", "mask_token": "<mask>"]
      : ["bos_token": "<|endoftext|>", "eos_token": "<|endoftext|>", "unk_token": "<|endoftext|>"]
    func id(_ role: String) -> Int32? {
      (configuration.specialTokens[role] ?? roles[role]).flatMap { base.index.id(of: $0.utf8) }
    }
    let (added, all, kinds) = try Self.addTokens(
      configuration, to: base.pieces, index: base.index, roles: roles, unknown: nil, file: file)
    let prefixesSpace = configuration.addsPrefixSpace ?? false
    self.init(
      pieces: all, kinds: kinds, model: .byteLevelBPE,
      pipeline: TextPipeline(
        added: try AddedTokens(added, normalizer: nil), normalizer: nil,
        stages: (prefixesSpace ? [.prefixSpace] : [])
          + [.split(.rule(KnownPatterns.gpt2), .isolated, isInverted: false), .spellBytes],
        encoder: CharacterPairEncoder(index: base.index, merges: table, options: CharacterPairEncoder.Options()),
        byteLevel: { ByteLevelEncoder(index: base.index, merges: table, preTokenizer: $0, unknown: nil) }),
      decoder: TokenDecoder(stages: [.spelledBytes]))
    beginningOfSequence = id("bos_token")
    endOfSequence = id("eos_token")
    unknown = id("unk_token")
    padding = id("pad_token")
    addsSpacePrefix = prefixesSpace
    self.merges = lines
    cuts = ["ByteLevel"]
    postProcessor = .trimOffsets(prefixesSpace: prefixesSpace)
    if isRoBERTa, let start = id("cls_token"), let end = id("sep_token") {
      let single: [PostProcessor.Piece] = [.tokens([start], typeID: 0), .text(0, typeID: 0), .tokens([end], typeID: 0)]
      postProcessor = .sequence([
        .trimOffsets(prefixesSpace: prefixesSpace),
        .template(
          single: single, pair: single + [.tokens([end], typeID: 0), .text(1, typeID: 0), .tokens([end], typeID: 0)]),
      ])
    }
  }

  /// The special tokens by role and those that the configuration adds, the pieces with them, and all kinds.
  static func addTokens(
    _ configuration: TokenizerConfiguration, to pieces: PackedStrings, index: PieceIndex, roles: [String: String],
    unknown: Int32?, file: String
  ) throws -> (added: [AddedToken], pieces: PackedStrings, kinds: [TokenKind]) {
    var pieces = pieces
    var added = configuration.addedTokens
    let spellings = roles.merging(configuration.specialTokens) { $1 }.sorted { $0.key < $1.key }
    for (role, spelling) in spellings {
      let content = Array(spelling.utf8)
      guard !content.isEmpty, !added.contains(where: { $0.content == content }) else { continue }
      guard let id = index.id(of: content) else { continue }
      var token = AddedToken(content: content, id: id)
      token.isSpecial = true
      token.isNormalized = false
      // RoBERTa's mask takes the space before it along.
      token.stripsLeft = role == "mask_token" && spelling == "<mask>"
      added.append(token)
    }
    for token in added.sorted(by: { $0.id < $1.id }) {
      if let id = index.id(of: token.content) {
        guard id == token.id else {
          throw TokenizerError.malformedFile(
            file, field: String(decoding: token.content, as: UTF8.self),
            reason: "is token \(id), but tokenizer_config.json says \(token.id)")
        }
      } else {
        guard Int(token.id) >= pieces.count, Int(token.id) <= 2 * pieces.count + 65536 else {
          throw TokenizerError.malformedFile(
            file, field: "added_tokens_decoder", reason: "token \(token.id) is another one in the vocabulary")
        }
        while pieces.count < Int(token.id) { pieces.append([]) }
        pieces.append(token.content)
      }
    }
    var kinds = pieces.map { $0.isEmpty ? TokenKind.unused : .normal }
    if let unknown { kinds[Int(unknown)] = .unknown }
    for token in added { kinds[Int(token.id)] = token.isSpecial ? .control : .userDefined }
    return (added, pieces, kinds)
  }
}
