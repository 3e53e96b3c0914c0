// Hugging Face's `tokenizer.json`: the whole of a tokenizer as data.
import JSON

/// Reads `tokenizer.json`.
struct TokenizerJSON {
  let file: String
  private let root: JSONField
  private let lists: VocabularyLists

  /// - Throws: `TokenizerError.malformedFile`.
  init(_ bytes: [UInt8], file: String) throws {
    self.file = file
    do {
      let (rest, lists) = try VocabularyLists.extracting(from: bytes)
      self.lists = lists
      root = JSONField(try JSONValue(parsing: rest))
      _ = try root.object()
    } catch {
      throw TokenizerError(error, file: file)
    }
  }

  /// - Throws: `TokenizerError`.
  func definition() throws -> TokenizerDefinition {
    do {
      return try makeDefinition()
    } catch let error as JSONError {
      throw TokenizerError(error, file: file)
    }
  }

  private func makeDefinition() throws -> TokenizerDefinition {
    let vocabulary = try ModelVocabulary(root.required("model"), lists)
    let normalizer = try root["normalizer"].map { try Normalizer($0) }
    let added = try addedTokens(vocabulary)
    let stages = try root["pre_tokenizer"].map { try SplitStage.stages($0) } ?? []
    let model = try vocabulary.model()

    var pieces = vocabulary.pieces
    var kinds = vocabulary.kinds
    let beyond = added.filter { Int($0.id) >= pieces.count }.sorted { $0.id < $1.id }
    for token in beyond where Int(token.id) == pieces.count {
      pieces.append(token.content)
      kinds.append(.normal)
    }
    for token in added {
      guard Int(token.id) < pieces.count, pieces[Int(token.id)].elementsEqual(token.content) else {
        throw root.error("token \(token.id) is both in the model's vocabulary and another added token")
      }
      kinds[Int(token.id)] = token.isSpecial ? .control : .userDefined
    }

    let pipeline = TextPipeline(
      added: try AddedTokens(added, normalizer: normalizer), normalizer: normalizer, stages: stages,
      encoder: model.encoder, byteLevel: model.byteLevel)
    var definition = TokenizerDefinition(
      pieces: pieces, kinds: kinds, model: model.kind(stages), pipeline: pipeline,
      decoder: TokenDecoder(stages: try root["decoder"].map { try TokenDecoder.Stage.stages($0) } ?? [.spaced]))
    definition.postProcessor = try root["post_processor"].map { try PostProcessor($0, tokenCount: pieces.count) }
    definition.unknown = vocabulary.unknown
    definition.addsSpacePrefix = normalizer?.prependsSpace ?? false || stages.contains(where: \.prependsSpace)
    definition.merges = lists.merges
    definition.scores = vocabulary.scores.map { Float($0) }
    definition.cuts = try root["pre_tokenizer"].map { try SplitStage.signature($0) } ?? []
    if case .precompiled(let map)? = normalizer?.first(where: \.isPrecompiled) {
      definition.characterMap = map.bytes
    }
    definition.removesExtraSpaces = normalizer?.mergesSpaces ?? false || stages.contains(where: \.removesSpaces)
    definition.normalizesOtherwise = normalizer?.first(where: \.isBeyondGGUF) != nil
    if case .bert(let steps)? = normalizer { definition.wordPieceSteps = steps }
    definition.truncation = try root["truncation"].map { try EncodingTruncation($0) }
    definition.batchPadding = try root["padding"].map { try EncodingPadding($0, tokenCount: pieces.count) }
    return definition
  }

  /// The added tokens with the ids that Hugging Face's library gives them: that of the same piece in the model's
  /// vocabulary, or else the next one after all.
  private func addedTokens(_ vocabulary: ModelVocabulary) throws -> [AddedToken] {
    var byContent: [[UInt8]: Int] = [:]
    var tokens: [AddedToken] = []
    var next = vocabulary.entryCount
    for field in try root["added_tokens"]?.array() ?? [] {
      let content = Array(try field.required("content").string().utf8)
      if content.isEmpty { continue }
      func flag(_ name: String) throws -> Bool { try field[name]?.bool() ?? false }
      var token = AddedToken(content: content, id: 0)
      token.isSingleWord = try flag("single_word")
      token.stripsLeft = try flag("lstrip")
      token.stripsRight = try flag("rstrip")
      token.isSpecial = try flag("special")
      token.isNormalized = try field["normalized"]?.bool() ?? !token.isSpecial
      if let known = byContent[content] {
        token.id = tokens[known].id
        tokens[known] = token
        continue
      }
      if let id = vocabulary.index.id(of: content) {
        token.id = id
      } else {
        guard next < ModelVocabulary.idLimit else { throw field.error("too many tokens") }
        token.id = Int32(next)
        next += 1
      }
      byContent[content] = tokens.count
      tokens.append(token)
    }
    return tokens
  }
}

extension TokenizerError {
  init(_ error: JSONError, file: String) {
    self = .malformedFile(file, field: error.field, reason: error.message)
  }
}

extension JSONField {
  /// The `type` of this object, which must be among `supported`.
  func type(_ supported: [String]) throws -> String {
    let field = try required("type")
    let type = try field.string()
    guard supported.contains(type) else {
      throw field.error("“\(type.printable)” is not supported; expected \(supported.joined(separator: ", "))")
    }
    return type
  }

  /// One of the names of an enumeration.
  func choice<Choice: RawRepresentable & CaseIterable>(
    _: Choice.Type
  ) throws -> Choice where Choice.RawValue == String {
    let name = try string()
    guard let choice = Choice(rawValue: name) else {
      let names = Choice.allCases.map(\.rawValue).joined(separator: ", ")
      throw error("“\(name.printable)” is not known; expected \(names)")
    }
    return choice
  }

  /// The bytes of a string that must not be empty.
  func nonemptyBytes() throws -> [UInt8] {
    let bytes = Array(try string().utf8)
    guard !bytes.isEmpty else { throw error("must not be empty") }
    return bytes
  }
}

extension EncodingTruncation {
  init(_ field: JSONField) throws {
    self.init(
      limit: try field.required("max_length").int(in: 0...Int(Int32.max)),
      strategy: try field["strategy"].map { strategy in
        switch try strategy.string() {
        case "LongestFirst", "longest_first": .longestFirst
        case "OnlyFirst", "only_first": .onlyFirst
        case "OnlySecond", "only_second": .onlySecond
        default: throw strategy.error("expected LongestFirst, OnlyFirst or OnlySecond")
        }
      } ?? .longestFirst,
      stride: try field["stride"]?.int(in: 0...Int(Int32.max)) ?? 0,
      direction: try EncodingSide(direction: field["direction"]))
  }
}

extension EncodingSide {
  fileprivate init(direction field: JSONField?) throws {
    switch try field?.string() {
    case nil, "Right", "right": self = .right
    case "Left", "left": self = .left
    default: throw field?.error("expected Left or Right") ?? JSONError(message: "expected Left or Right")
    }
  }
}

extension EncodingPadding {
  init(_ field: JSONField, tokenCount: Int) throws {
    var length = Length.longest
    if let strategy = field["strategy"], case .object = strategy.value {
      length = .fixed(try strategy.required("Fixed").int(in: 0...1 << 24))
    }
    self.init(
      length: length, side: try EncodingSide(direction: field["direction"]),
      multiple: try field["pad_to_multiple_of"]?.int(in: 0...1 << 24) ?? 1,
      id: Int32(try field["pad_id"]?.int(in: 0...max(0, tokenCount - 1)) ?? 0),
      typeID: Int32(try field["pad_type_id"]?.int(in: 0...Int(Int32.max)) ?? 0))
  }
}

extension Tokenizer {
  /// The tokenizer of a `tokenizer.json` in memory, without what other files of a folder may add.
  package convenience init(tokenizerJSON bytes: [UInt8], file: String) throws {
    try self.init(TokenizerJSON(bytes, file: file).definition())
  }
}
