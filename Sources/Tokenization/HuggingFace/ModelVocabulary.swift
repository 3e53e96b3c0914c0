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
  let scores: [Double]
  private let lists: VocabularyLists
  private let fallsBackToBytes: Bool

  init(_ field: JSONField, _ lists: VocabularyLists) throws {
    self.field = field
    self.lists = lists
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
        case .double(let score): scores.append(Self.asReadByReference(score))
        default: throw JSONError(field: "\(vocab.path).\(number).1", message: "expected a number")
        }
        pieces.append(piece.utf8)
      }
      (self.pieces, self.scores, entryCount) = (pieces, scores, pieces.count)
    } else {
      _ = try vocab.object()
      pieces = try Self.pieces(lists, vocab)
      entryCount = lists.ids.count
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

  /// A score as Hugging Face's parser of JSON reads it, which rounds twice: first the digits, then their division by a
  /// power of ten. The difference decides between ways to cut a row of dashes that are equally likely.
  private static func asReadByReference(_ score: Double) -> Double {
    var digits = ""
    var exponent = 0
    var isFraction = false
    let sides = score.magnitude.description.split(separator: "e")
    for character in sides.first ?? "" {
      if character == "." {
        isFraction = true
      } else {
        digits.append(character)
        if isFraction { exponent -= 1 }
      }
    }
    if sides.count == 2 { exponent += Int(sides[1]) ?? 0 }
    guard let integer = UInt64(digits), exponent >= -308, exponent <= 308,
      let power = Double("1e\(abs(exponent))")
    else { return score }
    let value = exponent < 0 ? Double(integer) / power : Double(integer) * power
    return score < 0 ? -value : value
  }

  private static func guessedType(_ field: JSONField) throws -> String {
    if field["merges"] != nil { return "BPE" }
    if case .array? = field["vocab"]?.value { return "Unigram" }
    return field["max_input_chars_per_word"] != nil ? "WordPiece" : "WordLevel"
  }

  private static func pieces(_ lists: VocabularyLists, _ vocab: JSONField) throws -> PackedStrings {
    let count = Int(lists.ids.max() ?? -1) + 1
    guard count <= 4 * lists.ids.count + 65536, count <= Self.idLimit else {
      throw vocab.error("\(lists.ids.count) pieces have ids up to \(count - 1)")
    }
    var places = [Int32](repeating: -1, count: count)
    for (place, id) in lists.ids.enumerated() {
      guard places[Int(id)] < 0 else {
        let first = lists.pieces.string(at: Int(places[Int(id)])).printable
        throw vocab.error("“\(first)” and “\(lists.pieces.string(at: place).printable)” both have the id \(id)")
      }
      places[Int(id)] = Int32(place)
    }
    var pieces = PackedStrings(capacity: count, bytes: lists.pieces.bytes.count)
    for place in places {
      if place < 0 { pieces.append([]) } else { pieces.append(lists.pieces[Int(place)]) }
    }
    return pieces
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
    _ = try field.required("merges").array()
    let table = try MergeTable(
      lists.merges, spaces: lists.spaces, droppedPrefix: options.continuingPrefix.count, index: index)
    let encoder = CharacterPairEncoder(index: index, merges: table, options: options)
    var model = Model(encoder: encoder, type: type)
    let spellsAllBytes = (0..<256).allSatisfy { byte in
      var spelling: [UInt8] = []
      ByteAlphabet.shared.appendSpelling(of: UInt8(byte), to: &spelling)
      return index.id(of: spelling) != nil
    }
    if options.continuingPrefix.isEmpty, options.endOfWordSuffix.isEmpty,
      spellsAllBytes || !options.fusesUnknown && !fallsBackToBytes
    {
      model.byteLevel = { [index, unknown] preTokenizer in
        var preTokenizer = preTokenizer
        preTokenizer.ignoresMerges = options.ignoresMerges
        return ByteLevelEncoder(index: index, merges: table, preTokenizer: preTokenizer, unknown: unknown)
      }
    }
    return model
  }
}
