// The `post_processor` and `decoder` of a `tokenizer.json`.
import JSON

extension PostProcessor {
  private static let types = ["Sequence", "TemplateProcessing", "BertProcessing", "RobertaProcessing", "ByteLevel"]

  init(_ field: JSONField, tokenCount: Int) throws {
    switch try field.type(Self.types) {
    case "Sequence":
      self = .sequence(
        try field.required("processors").array().map { try PostProcessor($0, tokenCount: tokenCount) })
    case "TemplateProcessing": self = try Self.template(field, tokenCount)
    case "ByteLevel":
      guard try field["trim_offsets"]?.bool() ?? true else {
        self = .sequence([])
        return
      }
      self = .trimOffsets(prefixesSpace: try field["add_prefix_space"]?.bool() ?? true)
    case "BertProcessing":
      let start = try Self.token(field.required("cls"), tokenCount)
      let end = try Self.token(field.required("sep"), tokenCount)
      let single: [Piece] = [.tokens([start], typeID: 0), .text(0, typeID: 0), .tokens([end], typeID: 0)]
      self = .template(single: single, pair: single + [.text(1, typeID: 1), .tokens([end], typeID: 1)])
    default:
      let start = try Self.token(field.required("cls"), tokenCount)
      let end = try Self.token(field.required("sep"), tokenCount)
      let single: [Piece] = [.tokens([start], typeID: 0), .text(0, typeID: 0), .tokens([end], typeID: 0)]
      let template = PostProcessor.template(
        single: single, pair: single + [.tokens([end], typeID: 0), .text(1, typeID: 0), .tokens([end], typeID: 0)])
      guard try field["trim_offsets"]?.bool() ?? true else {
        self = template
        return
      }
      self = .sequence([.trimOffsets(prefixesSpace: try field["add_prefix_space"]?.bool() ?? true), template])
    }
  }

  /// `["[SEP]", 102]`.
  private static func token(_ field: JSONField, _ tokenCount: Int) throws -> Int32 {
    let parts = try field.array()
    guard parts.count == 2 else { throw field.error("expected a token and its id") }
    return Int32(try parts[1].int(in: 0...max(0, tokenCount - 1)))
  }

  private static func template(_ field: JSONField, _ tokenCount: Int) throws -> PostProcessor {
    func pieces(_ name: String) throws -> [Piece] {
      try field.required(name).array().map { entry in
        func typeID(_ field: JSONField) throws -> Int32 {
          Int32(try field["type_id"]?.int(in: 0...Int(Int32.max)) ?? 0)
        }
        if let text = entry["Sequence"] {
          let name = try text.required("id").string()
          guard name == "A" || name == "B" else { throw text.error("expected the id A or B") }
          return .text(name == "A" ? 0 : 1, typeID: try typeID(text))
        }
        let token = try entry.required("SpecialToken")
        let name = try token.required("id").string()
        let special = try field.required("special_tokens").required(name)
        let ids = try special.required("ids").array().map { Int32(try $0.int(in: 0...max(0, tokenCount - 1))) }
        guard ids.count <= 1024 else { throw special.error("stands for \(ids.count) tokens") }
        return .tokens(ids, typeID: try typeID(token))
      }
    }
    let single = try pieces("single")
    let pair = try pieces("pair")
    guard single.count <= 1024, pair.count <= 1024 else { throw field.error("has more than 1024 pieces") }
    return .template(single: single, pair: pair)
  }
}

extension TokenDecoder.Stage {
  private static let types = [
    "Sequence", "ByteLevel", "WordPiece", "Metaspace", "ByteFallback", "Fuse", "Replace", "Strip", "BPEDecoder", "CTC",
  ]

  static func stages(_ field: JSONField) throws -> [TokenDecoder.Stage] {
    var isFused = false
    return try stages(field, &isFused)
  }

  private static func stages(_ field: JSONField, _ isFused: inout Bool) throws -> [TokenDecoder.Stage] {
    switch try field.type(types) {
    case "Sequence":
      var result: [TokenDecoder.Stage] = []
      for decoder in try field.required("decoders").array() { result += try stages(decoder, &isFused) }
      return result
    case "ByteLevel":
      isFused = true
      return [.spelledBytes]
    case "WordPiece":
      let prefix = Array(try field["prefix"]?.string().utf8 ?? "##".utf8)
      return [.wordPiece(prefix: prefix, cleansUp: try field["cleanup"]?.bool() ?? true)]
    case "Metaspace":
      let mark = try field.required("replacement").nonemptyBytes()
      var scheme = try field["prepend_scheme"]?.choice(PrependScheme.self) ?? .always
      if let prefixes = field["add_prefix_space"], try !prefixes.bool() { scheme = .never }
      return [.metaspace(mark, dropsFirst: scheme != .never)]
    case "ByteFallback": return [.byteTokens]
    case "Fuse":
      isFused = true
      return []
    case "Replace":
      return [
        .replace(try TextPattern(field.required("pattern")), Array(try field.required("content").string().utf8))
      ]
    case "Strip":
      return [
        .strip(
          try field.required("content").nonemptyBytes(), start: try field["start"]?.int(in: 0...65536) ?? 0,
          end: try field["stop"]?.int(in: 0...65536) ?? 0, isWholeText: isFused)
      ]
    case "BPEDecoder": return [.wordEnds(Array(try field["suffix"]?.string().utf8 ?? "</w>".utf8))]
    default:
      return [
        .alignedSpeech(
          padding: Array(try field["pad_token"]?.string().utf8 ?? "<pad>".utf8),
          delimiter: Array(try field["word_delimiter_token"]?.string().utf8 ?? "|".utf8),
          cleansUp: try field["cleanup"]?.bool() ?? true)
      ]
    }
  }
}
