// The `model` of a `tokenizer.json`: its pieces and the algorithm that finds them in text.
import JSON

/// The pieces of a model by id, and what else its algorithm needs.
struct ModelVocabulary {
  /// Files that leave out ids must not make a table of any size.
  static let idLimit = 1 << 24
  private static let types = ["BPE", "Unigram", "WordPiece", "WordLevel"]

  let field: JSONField
  let type: String
  /// Empty for ids that no piece has.
  let pieces: PackedStrings
  let index: PieceIndex
  /// How many pieces there are.
  let entryCount: Int
  let unknown: Int32?
  private let scores: [Double]
  private let fallsBackToBytes: Bool

  init(_ field: JSONField) throws {
    self.field = field
    type = try field["type"] == nil ? Self.guessedType(field) : field.type(Self.types)
    fallsBackToBytes = try field["byte_fallback"]?.bool() ?? false
    let vocab = try field.required("vocab")
    if type == "Unigram" {
      var pieces = PackedStrings()
      var scores: [Double] = []
      guard case .array(let entries) = vocab.value else { throw vocab.error("expected a list of pieces and scores") }
      for (number, entry) in entries.enumerated() {
        guard case .array(let pair) = entry, pair.count == 2, case .string(let piece) = pair[0] else {
          throw JSONError(field: "\(vocab.path).\(number)", message: "expected a piece and its score")
        }
        switch pair[1] {
        case .int(let score): scores.append(Double(score))
        case .double(let score): scores.append(score)
        default: throw JSONError(field: "\(vocab.path).\(number).1", message: "expected a number")
        }
        pieces.append(piece.utf8)
      }
      (self.pieces, self.scores, entryCount) = (pieces, scores, pieces.count)
    } else {
      (pieces, entryCount) = try Self.pieces(vocab)
      scores = []
    }
    let index = try PieceIndex(pieces)
    self.index = index
    let (type, pieces) = (type, pieces)
    if type == "Unigram" {
      unknown = try field["unk_id"].map { Int32(try $0.int(in: 0...pieces.count - 1)) }
    } else if let unknownField = field["unk_token"], case let name = try unknownField.string(), !name.isEmpty {
      unknown = index.id(of: name.utf8)
    } else {
      unknown = index.id(of: "[UNK]".utf8).flatMap { type == "WordPiece" ? $0 : nil }
    }
  }

  private static func guessedType(_ field: JSONField) throws -> String {
    if field["merges"] != nil { return "BPE" }
    if case .array? = field["vocab"]?.value { return "Unigram" }
    return field["max_input_chars_per_word"] != nil ? "WordPiece" : "WordLevel"
  }

  private static func pieces(_ vocab: JSONField) throws -> (PackedStrings, Int) {
    let entries = try vocab.object()
    var ids: [Int] = []
    ids.reserveCapacity(entries.count)
    var bytes = 0
    for (piece, value) in entries.elements {
      guard case .int(let id) = value, id >= 0, id < Self.idLimit else {
        throw JSONError(field: "\(vocab.path).\(piece.printable)", message: "expected an id from 0 to \(Self.idLimit - 1)")
      }
      ids.append(id)
      bytes += piece.utf8.count
    }
    let count = (ids.max() ?? -1) + 1
    guard count <= 4 * entries.count + 65536 else {
      throw vocab.error("\(entries.count) pieces have ids up to \(count - 1)")
    }
    var places = [Int32](repeating: -1, count: count)
    for (place, id) in ids.enumerated() {
      guard places[id] < 0 else {
        let pieces = (entries.elements[Int(places[id])].key.printable, entries.elements[place].key.printable)
        throw vocab.error("“\(pieces.0)” and “\(pieces.1)” both have the id \(id)")
      }
      places[id] = Int32(place)
    }
    var pieces = PackedStrings(capacity: count, bytes: bytes)
    for place in places {
      if place < 0 { pieces.append([]) } else { pieces.append(entries.elements[Int(place)].key.utf8) }
    }
    return (pieces, entries.count)
  }

  var kinds: [TokenKind] {
    var kinds = (0..<pieces.count).map { id -> TokenKind in
      if pieces.offsets[id] == pieces.offsets[id + 1] { return .unused }
      return fallsBackToBytes && ByteToken.byte(pieces[id]) != nil ? .byte : .normal
    }
    if let unknown { kinds[Int(unknown)] = .unknown }
    return kinds
  }

  /// What turns words into tokens.
  struct Model {
    let encoder: any WordEncoder
    /// Makes the encoder that takes bytes as they are, if the pieces spell bytes in GPT-2's alphabet.
    var byteLevel: ((PreTokenizer) -> ByteLevelEncoder)?
    let type: String

    func kind(_ stages: [SplitStage]) -> TokenizerModel? {
      switch type {
      case "WordPiece": return .wordPiece
      case "Unigram": return .unigram
      case "BPE":
        if case .spellBytes? = stages.last { return .byteLevelBPE }
        return byteLevel == nil ? .sentencePiece : nil
      default: return nil
      }
    }
  }

  func model() throws -> Model {
    switch type {
    case "WordLevel": return Model(encoder: WordLevelEncoder(index: index, unknown: unknown), type: type)
    case "WordPiece":
      guard let unknown else {
        throw JSONError(field: "\(field.path).unk_token", message: "is not in the vocabulary")
      }
      let prefix = try field["continuing_subword_prefix"]?.string() ?? "##"
      let limit = try field["max_input_chars_per_word"]?.int(in: 0...Int(Int32.max)) ?? 100
      let encoder = WordPieceEncoder(
        index: index, unknown: unknown, continuingPrefix: Array(prefix.utf8), characterLimit: limit)
      return Model(encoder: encoder, type: type)
    case "Unigram":
      let encoder = try UnigramEncoder(
        index: index, scores: scores, pieces: pieces.indices, unknown: unknown, fallsBackToBytes: fallsBackToBytes)
      return Model(encoder: encoder, type: type)
    default: return try pairModel()
    }
  }

  private func pairModel() throws -> Model {
    var options = CharacterPairEncoder.Options()
    options.unknown = unknown
    options.fusesUnknown = try field["fuse_unk"]?.bool() ?? false
    options.fallsBackToBytes = fallsBackToBytes
    options.ignoresMerges = try field["ignore_merges"]?.bool() ?? false
    options.continuingPrefix = Array(try field["continuing_subword_prefix"]?.string().utf8 ?? "".utf8)
    options.endOfWordSuffix = Array(try field["end_of_word_suffix"]?.string().utf8 ?? "".utf8)
    if let name = try field["unk_token"]?.string(), !name.isEmpty, unknown == nil, !fallsBackToBytes {
      throw JSONError(field: "\(field.path).unk_token", message: "“\(name.printable)” is not in the vocabulary")
    }
    let (merges, spaces) = try merges()
    let table = try MergeTable(merges, spaces: spaces, droppedPrefix: options.continuingPrefix.count, index: index)
    let encoder = CharacterPairEncoder(index: index, merges: table, options: options)
    var model = Model(encoder: encoder, type: type)
    let spellsAllBytes = (0..<256).allSatisfy { byte in
      var spelling: [UInt8] = []
      ByteAlphabet.shared.appendSpelling(of: UInt8(byte), to: &spelling)
      return index.id(of: spelling) != nil
    }
    if options.continuingPrefix.isEmpty, options.endOfWordSuffix.isEmpty,
      spellsAllBytes || !options.fusesUnknown && !fallsBackToBytes && unknown != nil
    {
      model.byteLevel = { [index, unknown] preTokenizer in
        var preTokenizer = preTokenizer
        preTokenizer.ignoresMerges = options.ignoresMerges
        return ByteLevelEncoder(index: index, merges: table, preTokenizer: preTokenizer, unknown: unknown)
      }
    }
    return model
  }

  /// The merges with a space between their parts, and where it is.
  func merges() throws -> (PackedStrings, [Int32]?) {
    let list = try field.required("merges")
    guard case .array(let values) = list.value else { throw list.error("expected a list") }
    var merges = PackedStrings(capacity: values.count, bytes: values.count * 8)
    var spaces: [Int32] = []
    for (number, value) in values.enumerated() {
      switch value {
      case .string(let merge): merges.append(merge.utf8)
      case .array(let parts):
        guard parts.count == 2, case .string(let left) = parts[0], case .string(let right) = parts[1] else {
          throw JSONError(field: "\(list.path).\(number)", message: "expected two pieces")
        }
        spaces.append(Int32(clamping: left.utf8.count))
        merges.append((left + " " + right).utf8)
      default: throw JSONError(field: "\(list.path).\(number)", message: "expected two pieces")
      }
    }
    guard spaces.isEmpty || spaces.count == merges.count else {
      throw list.error("some are strings and others pairs")
    }
    return (merges, spaces.isEmpty ? nil : spaces)
  }
}
