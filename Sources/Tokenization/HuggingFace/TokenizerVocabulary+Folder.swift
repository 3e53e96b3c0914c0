// A vocabulary out of GGUF as the files of a Hugging Face folder.
import Foundation
import JSON
import OrderedCollections

extension TokenizerVocabulary {
  /// `tokenizer.json` and `tokenizer_config.json`, by name.
  /// - Throws: ``TokenizerError`` for a kind of tokenizer, or a way of cutting text, of which no file can be made.
  public func folderFiles(chatTemplate: String?) throws -> [(name: String, text: String)] {
    // What contradicts itself is refused here, so that ids can be looked up.
    _ = try Tokenizer(self)
    return try completed().files(chatTemplate: chatTemplate)
  }

  private func files(chatTemplate: String?) throws -> [(name: String, text: String)] {
    let spelling = { (id: Int32?) in id.map { JSONValue.string(pieces.string(at: Int($0))) } }
    var config: OrderedDictionary<String, JSONValue> = [
      "tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": false,
    ]
    let isWordPiece = model == .wordPiece
    for (name, id) in [
      (isWordPiece ? "cls_token" : "bos_token", beginningOfSequence),
      (isWordPiece ? "sep_token" : "eos_token", endOfSequence), ("unk_token", unknown), ("pad_token", padding),
      ("mask_token", special.lazy.map(\.id).first { ["[MASK]", "<mask>"].contains(pieces.string(at: $0)) }.map { Int32($0) }),
    ] {
      if let spelled = spelling(id) { config[name] = spelled }
    }
    if let chatTemplate { config["chat_template"] = .string(chatTemplate) }
    return [
      ("tokenizer.json", try text()), ("tokenizer_config.json", JSONValue.object(config).text(indent: 2) + "\n"),
    ]
  }

  private var special: [(id: Int, kind: TokenKind)] {
    kinds.enumerated().filter { [.control, .userDefined, .unknown].contains($0.element) }.map { ($0.offset, $0.element) }
  }

  /// The vocabulary is written by itself: as keys of a Swift dictionary two spellings of one letter would be one.
  private func text() throws -> String {
    let hole = "\"vocab\":null", whole = try json().text()
    guard model != .unigram, let place = whole.firstRange(of: hole) else { return whole }
    var entries = ""
    for id in pieces.indices where !pieces[id].isEmpty {
      entries += (entries.isEmpty ? "" : ",") + JSONValue.string(pieces.string(at: id)).text() + ":\(id)"
    }
    return whole[..<place.lowerBound] + "\"vocab\":{" + entries + "}" + whole[place.upperBound...]
  }

  private func json() throws -> JSONValue {
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
    case .wordPiece:
      file["normalizer"] = [
        "type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
        "strip_accents": .bool(stripsAccents ?? true), "lowercase": .bool(lowercases ?? true),
      ]
      file["pre_tokenizer"] = ["type": "BertPreTokenizer"]
      file["post_processor"] = boundaryJSON()
      file["decoder"] = ["type": "WordPiece", "prefix": "##", "cleanup": true]
      file["model"] = [
        "type": "WordPiece", "unk_token": unknown.map { .string(pieces.string(at: Int($0))) } ?? nil,
        "continuing_subword_prefix": "##", "max_input_chars_per_word": .int(WordPieceSpelling.characterLimit),
        "vocab": nil,
      ]
    case .unigram:
      // As Hugging Face's own conversion of T5 says it; SentencePiece itself differs where text has marks of its
      // own, or accents apart from their letters.
      let map: [JSONValue] = characterMap.isEmpty
        ? [] : [["type": "Precompiled", "precompiled_charsmap": .string(Data(characterMap).base64EncodedString())]]
      let merging: [JSONValue] = removesExtraSpaces != true ? [] : [
        ["type": "Strip", "strip_left": false, "strip_right": true],
        ["type": "Replace", "pattern": ["Regex": " {2,}"], "content": "▁"],
      ]
      let marks: JSONValue = [
        "type": "Metaspace", "replacement": "▁", "prepend_scheme": addsSpacePrefix == true ? "always" : "never",
        "split": .bool(UnigramEncoder.encodesWordByWord(pieces, kinds)),
      ]
      file["normalizer"] = ["type": "Sequence", "normalizers": .array(map + merging)]
      file["pre_tokenizer"] = marks
      file["post_processor"] = boundaryJSON()
      file["decoder"] = marks
      // Numbers at the end that no text has, with which converters fill up the embedding.
      let used = (kinds.lastIndex { $0 != .unused } ?? -1) + 1
      file["model"] = [
        "type": "Unigram", "unk_id": unknown.map { .int(Int($0)) } ?? nil, "byte_fallback": false,
        "vocab": .array((0..<used).map { [.string(pieces.string(at: $0)), .double(Double(scores[$0]))] }),
      ]
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
    func part(_ id: Int32?, _ isAdded: Bool?, type: Int = 0) -> [JSONValue] {
      guard let id, isAdded == true else { return [] }
      let piece = pieces.string(at: Int(id))
      tokens[piece] = ["id": .string(piece), "ids": [.int(Int(id))], "tokens": [.string(piece)]]
      return [["SpecialToken": ["id": .string(piece), "type_id": .int(type)]]]
    }
    let byDefault: Bool? = model == .sentencePiece
    let first = part(beginningOfSequence, addsBeginningOfSequence ?? byDefault), last = part(endOfSequence, addsEndOfSequence)
    guard !first.isEmpty || !last.isEmpty else { return nil }
    let text = { (name: String, type: Int) -> [JSONValue] in [["Sequence": ["id": .string(name), "type_id": .int(type)]]] }
    // BERT and T5 read two texts as a pair, and BERT tells them apart; the others read one after the other.
    let second = switch model {
    case .wordPiece: text("B", 1) + part(endOfSequence, addsEndOfSequence, type: 1)
    case .unigram: text("B", 0) + last
    default: first + text("B", 0) + last
    }
    return [
      "type": "TemplateProcessing", "single": .array(first + text("A", 0) + last),
      "pair": .array(first + text("A", 0) + last + second), "special_tokens": .object(tokens),
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
