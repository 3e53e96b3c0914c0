// What a file says of its tokenizer must reach the tokenizer unchanged, and what it does not say must stay unsaid.
import Checkpoints
import Testing
import Tokenization

@Suite struct GGUFTokenizerTests {
  private func file(_ pairs: [(String, GGUFValue)]) throws -> GGUFFile {
    var writer = GGUFWriter(path: "x.gguf")
    for (key, value) in pairs { writer.metadata.set("tokenizer." + key, value) }
    return try GGUFFile(data: try writer.encoded(), name: "x.gguf")
  }

  private static let smallest: [(String, GGUFValue)] = [
    ("ggml.model", .string("llama")), ("ggml.tokens", .strings(["<unk>", "<s>", "</s>"])),
  ]

  @Test("Everything that a file says is handed on")
  func complete() throws {
    let vocabulary = try file([
      ("ggml.model", .string("gpt2")), ("ggml.pre", .string("smollm")), ("ggml.tokens", .strings(["a", "b", "ab"])),
      ("ggml.token_type", .array(GGUFArray([3, 1, 0] as [Int32]))), ("ggml.merges", .strings(["a b"])),
      ("ggml.scores", .array(GGUFArray([0, -1, -2] as [Float]))), ("ggml.bos_token_id", .uint32(0)),
      ("ggml.eos_token_id", .uint32(1)), ("ggml.eot_token_id", .uint32(2)), ("ggml.eom_token_id", .uint64(0)),
      ("ggml.unknown_token_id", .int32(1)), ("ggml.padding_token_id", .uint32(2)),
      ("ggml.fim_pad_token_id", .uint32(1)), ("ggml.fim_sep_token_id", .uint32(0)),
      ("ggml.add_bos_token", .bool(true)), ("ggml.add_eos_token", .bool(false)), ("ggml.add_space_prefix", .bool(true)),
    ]).tokenizerVocabulary()
    #expect(vocabulary.model == .byteLevelBPE && vocabulary.preTokenizer == "smollm")
    #expect(vocabulary.pieces.indices.map(vocabulary.pieces.string(at:)) == ["a", "b", "ab"])
    #expect(vocabulary.kinds == [.control, .normal, .normal])
    #expect(vocabulary.merges.indices.map(vocabulary.merges.string(at:)) == ["a b"])
    #expect(vocabulary.scores == [0, -1, -2])
    #expect(vocabulary.beginningOfSequence == 0 && vocabulary.endOfSequence == 1)
    #expect(vocabulary.endOfTurn == 2 && vocabulary.endOfMessage == 0)
    #expect(vocabulary.unknown == 1 && vocabulary.padding == 2)
    #expect(vocabulary.furtherEndOfGeneration == [1, 0])
    #expect(vocabulary.addsBeginningOfSequence == true && vocabulary.addsEndOfSequence == false)
    #expect(vocabulary.addsSpacePrefix == true)
  }

  @Test("What a file does not say is left to the tokenizer")
  func silent() throws {
    let vocabulary = try file(Self.smallest).tokenizerVocabulary()
    #expect(vocabulary.model == .sentencePiece)
    #expect(vocabulary.kinds.isEmpty && vocabulary.scores.isEmpty && vocabulary.merges.isEmpty)
    #expect(vocabulary.preTokenizer.isEmpty && vocabulary.furtherEndOfGeneration.isEmpty)
    #expect(vocabulary.beginningOfSequence == nil && vocabulary.endOfSequence == nil && vocabulary.unknown == nil)
    #expect(vocabulary.addsBeginningOfSequence == nil && vocabulary.addsSpacePrefix == nil)
  }

  @Test("A tokenizer that cannot be used is refused with the key that says so")
  func refused() throws {
    let cases: [([(String, GGUFValue)], String)] = [
      ([], "tokenizer.ggml.model: missing; expected a string"),
      ([("ggml.model", .string("rwkv"))],
        "tokenizer.ggml.model: the kind “rwkv” is not supported; expected gpt2 or llama or bert or t5"),
      ([("ggml.model", .string("llama"))], "tokenizer.ggml.tokens: missing; expected an array of strings"),
      (Self.smallest + [("ggml.token_type", .array(GGUFArray([1, 7, 1] as [Int32])))],
        "tokenizer.ggml.token_type: token 1 has type 7; expected 0 to 6"),
      (Self.smallest + [("ggml.bos_token_id", .int32(-1))],
        "tokenizer.ggml.bos_token_id: expected an integer from 0 to 2147483647, found -1"),
      (Self.smallest + [("ggml.scores", .strings(["0"]))],
        "tokenizer.ggml.scores: expected an array of numbers, found array of string"),
    ]
    for (pairs, expected) in cases {
      let file = try file(pairs)
      let error = #expect(throws: CheckpointError.self) { try file.tokenizerVocabulary() }
      #expect(error?.description == "x.gguf: key " + expected)
    }
  }

  @Test("Chat templates are found by name")
  func chatTemplates() throws {
    let file = try file([
      ("chat_template", .string("{{ messages }}")), ("chat_template.tool_use", .string("{{ tools }}")),
      ("chat_templates", .strings(["tool_use"])),
    ])
    #expect(try file.chatTemplate() == "{{ messages }}")
    #expect(try file.chatTemplate(named: "tool_use") == "{{ tools }}")
    #expect(try file.chatTemplate(named: "rag") == nil)
    #expect(try file.chatTemplateNames() == ["tool_use"])
    #expect(try self.file([]).chatTemplateNames() == [])
  }

  @Test("Strings in one buffer are refused unless their offsets lie in it and never fall")
  func packedStrings() {
    let strings = PackedStrings(bytes: Array("말모이".utf8), offsets: [0, 3, 3, 9])
    #expect(strings.map { strings in strings.indices.map(strings.string(at:)) } == ["말", "", "모이"])
    #expect(PackedStrings(bytes: [], offsets: [0])?.isEmpty == true)
    for offsets in [[], [0], [1, 9], [0, 10], [0, 4, 3, 9], [0, -1, 9]] {
      #expect(PackedStrings(bytes: Array("말모이".utf8), offsets: offsets) == nil, "\(offsets)")
    }
  }
}
