// A vocabulary out of GGUF as the files of a Hugging Face folder.
import JSON
import OrderedCollections

extension TokenizerVocabulary {
  /// `tokenizer.json` and `tokenizer_config.json`, by name.
  /// - Throws: ``TokenizerError`` for a kind of tokenizer, or a way of cutting text, of which no file can be made.
  public func folderFiles(chatTemplate: String?) throws -> [(name: String, text: String)] {
    let spelling = { (id: Int32?) in id.map { JSONValue.string(pieces.string(at: Int($0))) } }
    var config: OrderedDictionary<String, JSONValue> = [
      "tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": false,
    ]
    for (name, id) in [
      ("bos_token", beginningOfSequence), ("eos_token", endOfSequence), ("unk_token", unknown), ("pad_token", padding),
    ] {
      if let spelled = spelling(id) { config[name] = spelled }
    }
    if let chatTemplate { config["chat_template"] = .string(chatTemplate) }
    return [
      ("tokenizer.json", try text()), ("tokenizer_config.json", JSONValue.object(config).text(indent: 2) + "\n"),
    ]
  }

  /// The vocabulary is written by itself: as keys of a Swift dictionary two spellings of one letter would be one.
  private func text() throws -> String {
    let hole = "\"vocab\":null", whole = try json().text()
    guard let place = whole.firstRange(of: hole) else { return whole }
    var entries = ""
    for id in pieces.indices {
      entries += (entries.isEmpty ? "" : ",") + JSONValue.string(pieces.string(at: id)).text() + ":\(id)"
    }
    return whole[..<place.lowerBound] + "\"vocab\":{" + entries + "}" + whole[place.upperBound...]
  }

  private func json() throws -> JSONValue {
    let special = kinds.enumerated().filter { [.control, .userDefined, .unknown].contains($0.element) }
    var file: OrderedDictionary<String, JSONValue> = [
      "version": "1.0", "truncation": nil, "padding": nil,
      "added_tokens": .array(special.map { id, kind in
        [
          "id": .int(id), "content": .string(pieces.string(at: id)), "single_word": false, "lstrip": false,
          "rstrip": false, "normalized": false, "special": .bool(kind != .userDefined),
        ]
      }),
    ]
    switch model {
    case .byteLevelBPE:
      file["normalizer"] = .null
      file["pre_tokenizer"] = try preTokenizerJSON()
      file["post_processor"] = boundaryJSON()
      file["decoder"] = ["type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true]
      file["model"] = [
        "type": "BPE", "dropout": nil, "unk_token": nil, "continuing_subword_prefix": nil, "end_of_word_suffix": nil,
        "fuse_unk": false, "byte_fallback": false, "ignore_merges": false, "vocab": nil,
        "merges": .array(merges.indices.map { .string(merges.string(at: $0)) }),
      ]
    case .sentencePiece:
      let prefix: [JSONValue] = addsSpacePrefix ?? true ? [["type": "Prepend", "prepend": "▁"]] : []
      file["normalizer"] = [
        "type": "Sequence",
        "normalizers": .array(prefix + [["type": "Replace", "pattern": ["String": " "], "content": "▁"]]),
      ]
      file["pre_tokenizer"] = .null
      file["post_processor"] = boundaryJSON()
      let strip: [JSONValue] = prefix.isEmpty ? [] : [["type": "Strip", "content": " ", "start": 1, "stop": 0]]
      file["decoder"] = [
        "type": "Sequence",
        "decoders": .array([
          ["type": "Replace", "pattern": ["String": "▁"], "content": " "], ["type": "ByteFallback"], ["type": "Fuse"],
        ] + strip),
      ]
      file["model"] = [
        "type": "BPE", "dropout": nil, "unk_token": unknown.map { .string(pieces.string(at: Int($0))) } ?? nil,
        "continuing_subword_prefix": nil, "end_of_word_suffix": nil, "fuse_unk": true, "byte_fallback": true,
        "ignore_merges": false, "vocab": nil, "merges": .array(scoredMerges()),
      ]
    default:
      throw TokenizerError.malformedFile(
        "tokenizer.json", field: "model", reason: "a tokenizer of the kind \(model.rawValue) cannot be written as one")
    }
    return .object(file)
  }

  /// Cuts as `tokenizer.json` spells them: expressions, then bytes.
  private func preTokenizerJSON() throws -> JSONValue {
    guard let cuts = KnownPatterns.cuts(named: preTokenizer) else {
      throw TokenizerError.malformedFile(
        "tokenizer.json", field: "pre_tokenizer", reason: "no expression is known for cutting text as “\(preTokenizer)” does")
    }
    var stages: [JSONValue] = [], cutsItself = false
    for cut in cuts {
      switch cut {
      case "ByteLevel": cutsItself = true
      case "Digits": stages.append(["type": "Digits", "individual_digits": true])
      case "Punctuation": stages.append(["type": "Punctuation", "behavior": "Contiguous"])
      case "Numbers": stages.append(["type": "Digits", "individual_digits": false])
      default:
        stages.append(["type": "Split", "pattern": ["Regex": .string(cut)], "behavior": "Isolated", "invert": false])
      }
    }
    stages.append([
      "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": .bool(cutsItself),
    ])
    return ["type": "Sequence", "pretokenizers": .array(stages)]
  }

  /// The tokens that are put around a text.
  private func boundaryJSON() -> JSONValue {
    var tokens: OrderedDictionary<String, JSONValue> = [:]
    func part(_ id: Int32?, _ isAdded: Bool?) -> [JSONValue] {
      guard let id, isAdded == true else { return [] }
      let piece = pieces.string(at: Int(id))
      tokens[piece] = ["id": .string(piece), "ids": [.int(Int(id))], "tokens": [.string(piece)]]
      return [["SpecialToken": ["id": .string(piece), "type_id": 0]]]
    }
    let byDefault: Bool? = model == .sentencePiece
    let first = part(beginningOfSequence, addsBeginningOfSequence ?? byDefault), last = part(endOfSequence, addsEndOfSequence)
    guard !first.isEmpty || !last.isEmpty else { return nil }
    let text = { (name: String) -> [JSONValue] in [["Sequence": ["id": .string(name), "type_id": 0]]] }
    return [
      "type": "TemplateProcessing", "single": .array(first + text("A") + last),
      "pair": .array(first + text("A") + last + first + text("B") + last), "special_tokens": .object(tokens),
    ]
  }

  /// SentencePiece merges the two neighbours whose whole has the highest score; as a list, every way to make a piece of
  /// two others, by the score of the whole.
  private func scoredMerges() -> [JSONValue] {
    var ids: [[UInt8]: Int] = [:]
    for id in pieces.indices { ids[Array(pieces[id])] = id }
    var found: [(left: Int, right: Int, whole: Int)] = []
    for whole in pieces.indices where kinds.isEmpty || kinds[whole] == .normal {
      let bytes = Array(pieces[whole])
      var ways: [(Int, Int)] = []
      for cut in bytes.indices.dropFirst() where bytes[cut] & 0xC0 != 0x80 {
        if let left = ids[Array(bytes[..<cut])], let right = ids[Array(bytes[cut...])] { ways.append((left, right)) }
      }
      for way in ways.sorted(by: { $0 < $1 }) { found.append((way.0, way.1, whole)) }
    }
    let order = found.indices.sorted { (a, b) in
      let (x, y) = (scores[found[a].whole], scores[found[b].whole])
      return x > y || (x == y && a < b)
    }
    return order.map { index in
      [.string(pieces.string(at: found[index].left)), .string(pieces.string(at: found[index].right))]
    }
  }
}
