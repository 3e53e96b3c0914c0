// What lies beside a tokenizer: which tokens begin and end texts, what is added, how conversations are written.
import JSON

/// The special tokens and templates that a folder names.
struct TokenizerConfiguration: Sendable {
  private static let roles = [
    "bos_token", "eos_token", "unk_token", "pad_token", "sep_token", "cls_token", "mask_token",
  ]

  /// Spellings by role, such as `eos_token`.
  private(set) var specialTokens: [String: String] = [:]
  private(set) var addsBeginning: Bool?
  private(set) var addsEnd: Bool?
  private(set) var addsPrefixSpace: Bool?
  private(set) var lowercases: Bool?
  private(set) var stripsAccents: Bool?
  private(set) var separatesChinese: Bool?
  private(set) var className = ""
  private(set) var modelMaximumLength: Int?
  private(set) var chatTemplates: [String: String] = [:]
  /// Tokens that the configuration adds, by id.
  private(set) var addedTokens: [AddedToken] = []
  private var endOfGeneration: [Int] = []
  private var idsOfRoles: [String: Int] = [:]
  private let folder: String

  /// - Throws: `TokenizerError.malformedFile`.
  init(folder: String) throws {
    self.folder = folder
    try read("special_tokens_map.json") { configuration, root in try configuration.readTokens(root) }
    try read("tokenizer_config.json") { configuration, root in try configuration.readMain(root) }
    // What a model generates with says best where it ends; its configuration speaks for it where there is nothing else.
    try read("config.json") { configuration, root in try configuration.readEnds(root) }
    try read("generation_config.json") { configuration, root in try configuration.readEnds(root) }
    try read("chat_template.json") { configuration, root in
      if let template = root["chat_template"] { try configuration.readTemplates(template) }
    }
    if let bytes = try TokenizerFolder.read("chat_template.jinja", in: folder) {
      chatTemplates["default"] = String(decoding: bytes, as: UTF8.self)
    }
  }

  private mutating func read(_ name: String, _ body: (inout Self, JSONField) throws -> Void) throws {
    guard let root = try TokenizerFolder.readJSON(name, in: folder) else { return }
    do {
      _ = try root.object()
      try body(&self, root)
    } catch let error as JSONError {
      throw TokenizerError(error, file: folder + "/" + name)
    }
  }

  private mutating func readTokens(_ root: JSONField) throws {
    for role in Self.roles {
      guard let token = root[role] else { continue }
      switch token.value {
      case .string(let spelling): specialTokens[role] = spelling
      case .object: specialTokens[role] = try token.required("content").string()
      default: throw token.error("expected a string, or an object with “content”")
      }
    }
  }

  private mutating func readMain(_ root: JSONField) throws {
    try readTokens(root)
    addsBeginning = try root["add_bos_token"]?.bool()
    addsEnd = try root["add_eos_token"]?.bool()
    addsPrefixSpace = try root["add_prefix_space"]?.bool()
    lowercases = try root["do_lower_case"]?.bool()
    stripsAccents = try root["strip_accents"]?.bool()
    separatesChinese = try root["tokenize_chinese_chars"]?.bool()
    className = try root["tokenizer_class"]?.string() ?? ""
    // Many files hold 1e30 here, which is to say nothing.
    modelMaximumLength = try root["model_max_length"].flatMap { length in
      try length.double() < 1e9 ? length.int(in: 0...Int(Int32.max)) : nil
    }
    if let templates = root["chat_template"] { try readTemplates(templates) }
    for (id, _) in try root["added_tokens_decoder"]?.object() ?? [:] {
      guard let decoder = root["added_tokens_decoder"], let field = decoder[id] else { continue }
      guard let number = Int32(id), number >= 0, number < ModelVocabulary.idLimit else {
        throw field.error("expected an id as a key")
      }
      var token = AddedToken(content: Array(try field.required("content").string().utf8), id: number)
      token.isSingleWord = try field["single_word"]?.bool() ?? false
      token.stripsLeft = try field["lstrip"]?.bool() ?? false
      token.stripsRight = try field["rstrip"]?.bool() ?? false
      token.isSpecial = try field["special"]?.bool() ?? false
      token.isNormalized = try field["normalized"]?.bool() ?? !token.isSpecial
      addedTokens.append(token)
    }
  }

  private mutating func readTemplates(_ field: JSONField) throws {
    switch field.value {
    case .string(let template): chatTemplates["default"] = template
    case .array:
      for entry in try field.array() {
        chatTemplates[try entry.required("name").string()] = try entry.required("template").string()
      }
    case .object(let entries):
      for name in entries.keys { chatTemplates[name] = try field.required(name).string() }
    default: throw field.error("expected a string, or a list of objects with “name” and “template”")
    }
  }

  private mutating func readEnds(_ root: JSONField) throws {
    for role in Self.roles {
      guard let field = root[role + "_id"] else { continue }
      var ids: [Int] = []
      if case .array = field.value {
        ids = try field.array().map { try $0.int(in: 0...Int(Int32.max)) }
      } else if case let id = try field.int(in: -1...Int(Int32.max)), id >= 0 {
        ids = [id]
      }
      idsOfRoles[role] = ids.first
      if role == "eos_token" { endOfGeneration = ids }
    }
  }

  /// Fills in what the tokenizer's own file does not say.
  func complete(_ definition: inout TokenizerDefinition) throws {
    let index = try PieceIndex(definition.pieces)
    func id(_ roles: String...) -> Int32? {
      for role in roles {
        if let id = specialTokens[role].flatMap({ index.id(of: $0.utf8) }) { return id }
      }
      for role in roles {
        if let id = idsOfRoles[role], id < definition.pieces.count { return Int32(id) }
      }
      return nil
    }
    definition.beginningOfSequence = id("bos_token", "cls_token") ?? definition.beginningOfSequence
    definition.endOfSequence = id("eos_token", "sep_token") ?? definition.endOfSequence
    definition.unknown = id("unk_token") ?? definition.unknown
    definition.padding = id("pad_token") ?? definition.padding

    var vocabulary = TokenizerVocabulary(model: .byteLevelBPE, pieces: definition.pieces)
    vocabulary.endOfSequence = definition.endOfSequence
    vocabulary.furtherEndOfGeneration = endOfGeneration.filter { $0 < definition.pieces.count }.map { Int32($0) }
    var kinds = definition.kinds
    let named = Set(vocabulary.furtherEndOfGeneration + [definition.endOfSequence].compactMap(\.self))
    // A spelling that ends turns elsewhere counts only for a token that is special here.
    definition.endOfGeneration = WellKnownTokens.resolve(vocabulary, index: index, kinds: &kinds).filter {
      named.contains($0) || definition.kinds[Int($0)] == .control
    }

    if addsBeginning != nil || addsEnd != nil { replaceTemplate(&definition) }
  }

  /// As Hugging Face's library does when the configuration says whether to add tokens, whatever the tokenizer says.
  private func replaceTemplate(_ definition: inout TokenizerDefinition) {
    let before = addsBeginning ?? false ? [definition.beginningOfSequence].compactMap(\.self) : []
    let after = addsEnd ?? false ? [definition.endOfSequence].compactMap(\.self) : []
    let single: [PostProcessor.Piece] = [
      .tokens(before, typeID: 0), .text(0, typeID: 0), .tokens(after, typeID: 0),
    ]
    definition.postProcessor = .template(
      single: single, pair: single + [.tokens(before, typeID: 1), .text(1, typeID: 1), .tokens(after, typeID: 1)])
  }
}
