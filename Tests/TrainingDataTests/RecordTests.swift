// Records in the shapes in which they are published, and what is said of those that are not.
import ChatTemplates
import Foundation
import TestSupport
import Testing
import Tokenization
import TrainingData

@Suite struct RecordTests {
  private let folder: TemporaryFolder
  private let tokenizer: Tokenizer

  init() throws {
    folder = try TemporaryFolder()
    tokenizer = try chatTokenizer()
  }

  private func encoder(
    _ template: ChatTemplate? = nil, length: Int = 1000, system: String? = nil
  ) throws -> ExampleEncoder {
    try ExampleEncoder(tokenizer: tokenizer, template: template, maximumLength: length, systemPrompt: system)
  }

  /// The texts of the examples of records, what is learnt between brackets.
  private func texts(
    _ records: String, name: String = "records.jsonl", options: RecordOptions = RecordOptions(),
    encoder: ExampleEncoder? = nil
  ) throws -> [String] {
    try folder.write(records, to: name)
    let set = try ExampleSet<TrainingBatch>(
      folder.sources(name), encoder: encoder ?? self.encoder(), options: options)
    return set.examples.map { example in
      var text = tokenizer.decode(example.tokens.prefix(1), skipSpecialTokens: false), isLearnt = false
      for (token, target) in zip(example.tokens.dropFirst() + [example.targets.last ?? 0], example.targets) {
        if (target >= 0) != isLearnt {
          isLearnt.toggle()
          text += isLearnt ? "[" : "]"
        }
        text += tokenizer.decode([token], skipSpecialTokens: false)
      }
      return text + (isLearnt ? "]" : "")
    }
  }

  @Test func formatsAreRecognizedByTheirFields() throws {
    #expect(
      try texts(#"{"instruction":"Add.","context":"1 and 2","response":"3","category":"x"}"#)
        == ["### Instruction:\nAdd.\n\n### Input:\n1 and 2\n\n### Response:\n[3<|im_end|>]"])
    #expect(
      try texts(#"{"instruction":"Add.","input":"","output":"3"}"#)
        == ["### Instruction:\nAdd.\n\n### Response:\n[3<|im_end|>]"])
    #expect(
      try texts(#"{"conversations":[{"from":"system","value":"S"},{"from":"human","value":"Q"},"#
        + #"{"from":"gpt","value":"A"},{"from":"human","value":"R"},{"from":"gpt","value":"B"}]}"#)
        == [
          "### System:\nS\n\n### Instruction:\nQ\n\n### Response:\n[A<|im_end|>]### Instruction:\nR\n\n"
            + "### Response:\n[B<|im_end|>]"
        ])
    #expect(try texts(#"{"prompt":"One, two,","completion":" three"}"#) == ["One, two,[ three<|im_end|>]"])
    let first = tokenizer.decode(tokenizer.encode("the sea").prefix(1)), rest = "the sea".dropFirst(first.count)
    // The first token of a text has none before it from which it could be learnt.
    #expect(try texts(#"{"text":"the sea"}"#) == ["\(first)[\(rest)<|im_end|>]"])
    #expect(
      try texts(#" [{"prompt":"a","completion":"b"}, {"prompt":"c","completion":"d"}]"#, name: "array.json")
        == ["a[b<|im_end|>]", "c[d<|im_end|>]"])
    folder.compress(
      #"{"prompt":"a","completion":"b"}"# + "\n\n" + #"{"prompt":"c","completion":"d"}"#, to: "z.jsonl.gz")
    #expect(try ExampleSet<TrainingBatch>(folder.sources("z.jsonl.gz"), encoder: encoder()).examples.count == 2)
  }

  @Test func instructionsAreTurnsOfTheModelsOwnTemplate() throws {
    let template = try References().plain
    let record = #"{"instruction":"Add.","context":"1 and 2","response":"3"}"#
    #expect(
      try texts(record, encoder: encoder(template, system: "Be brief.")) == [
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nAdd.\n\n1 and 2<|im_end|>\n<|im_start|>assistant\n"
          + "[3<|im_end|>]"
      ])
    let own = #"{"messages":[{"role":"system","content":"S"},{"role":"user","content":"Q"},"#
      + #"{"role":"assistant","content":"A"}]}"#
    #expect(
      try texts(own, encoder: encoder(template, system: "Be brief.")) == [
        "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nQ<|im_end|>\n<|im_start|>assistant\n[A<|im_end|>]"
      ])
  }

  @Test func whatPeopleWriteIsNoSpecialTokenWithoutATemplateEither() throws {
    try folder.write(#"{"prompt":"a<|im_end|>","completion":"<|im_end|>b"}"#, to: "records.jsonl")
    let set = try ExampleSet<TrainingBatch>(folder.sources("records.jsonl"), encoder: encoder())
    #expect(set.examples[0].tokens.allSatisfy { $0 > 2 })
    #expect(set.examples[0].targets.last == tokenizer.endOfSequence)
    #expect(tokenizer.decode(set.examples[0].tokens) == "a<|im_end|><|im_end|>b")
  }

  @Test(arguments: [
    (#"{"instruction":"a"}"#, "instruction", "response: missing, and 'output' too"),
    (#"{"instruction":5,"response":"a"}"#, "instruction", "instruction: expected a string, found an integer"),
    (#"{"messages":[]}"#, "chat", "messages: expected messages, found none"),
    (#"{"messages":[{"role":"user","content":"a"}]}"#, "chat", "messages: expected a message of the role assistant"),
    (#"{"messages":[{"role":"user","content":"a"},{"role":"assistant"}]}"#, "chat", "messages.1.content: missing"),
    (#"{"messages":[{"content":"a"}]}"#, "chat", "messages.0.role: missing, and 'from' too"),
    (#"{"conversations":{}}"#, "chat", "conversations: expected an array, found an object"),
    (#"{"text":"a","label":[1]}"#, "labelled", "label: expected a string or an integer, found an array"),
    (#"{"text":"a"}"#, "labelled", "label: missing"),
    (#"{"prompt":"a","chosen":"b"}"#, "preference", "rejected: missing"),
    (#"{"chosen":"a","rejected":"b"}"#, "preference", "prompt: missing"),
    (#"["a"]"#, "text", "expected an object, found an array"),
    (#"{"prompt":"a""#, "completion", "expected ',' or '}' at byte 13"),
    (#"{"prompt":"a"}"#, nil, "found prompt; expected instruction and response, messages"),
  ]) func malformedRecordsAreNamedWithLineAndField(record: String, format: String?, message: String) throws {
    try folder.write("\n\n" + record + "\n", to: "records.jsonl")
    var options = RecordOptions()
    options.format = format.flatMap(RecordFormat.init)
    let error = #expect(throws: TrainingDataError.self) {
      try ExampleSet<TrainingBatch>(folder.sources("records.jsonl"), encoder: encoder(), options: options)
    }
    #expect(error?.line == 3)
    #expect(error?.description.contains(message) == true, "\(error?.description ?? "")")
  }

  @Test func theFirstRecordsCanBeShown() throws {
    let records = (0..<5).map { #"{"prompt":"\#($0)","completion":"x"}"# } + ["nonsense"]
    try folder.write(records.joined(separator: "\n"), to: "records.jsonl")
    let shown = try TrainingRecord.first(2, of: folder.sources("records.jsonl"))
    #expect(shown == [.completion(prompt: "0", completion: "x"), .completion(prompt: "1", completion: "x")])
    let pieces = try encoder().pieces(of: shown[0])
    #expect(pieces.map(\.text) == ["0", "x<|im_end|>"] && pieces.map(\.isLearnt) == [false, true])
    #expect(throws: TrainingDataError.self) { try TrainingRecord.first(6, of: folder.sources("records.jsonl")) }
  }

  @Test func malformedRecordsCanBeLeftOut() throws {
    let records = (0..<300).map { #"{"prompt":"\#($0)","completion":"x"}"# }
    var lines = records
    lines[7] = "nonsense"
    lines[250] = #"{"prompt":"a","completion":null}"#
    var options = RecordOptions()
    options.skipsBad = true
    try folder.write(lines.joined(separator: "\n"), to: "records.jsonl")
    for threads in [1, 2, 5] {
      options.threads = threads
      let set = try ExampleSet<TrainingBatch>(folder.sources("records.jsonl"), encoder: encoder(), options: options)
      #expect(set.examples.count == 298)
      #expect(set.report.records == 300)
      #expect(set.report.skipped.lines == 2)
      #expect(set.report.skipped.first?.line == 8)
      let prompts = set.examples.map { example in
        tokenizer.decode(zip(example.tokens, example.targets).filter { $1 < 0 }.map(\.0))
      }
      #expect(zip(prompts, (0..<300).filter { $0 != 7 && $0 != 250 }).allSatisfy { String($1).hasPrefix($0) })
    }
    try folder.write(#"[{"prompt":"a","completion":"b"},{"prompt":5,"completion":"b"}]"#, to: "array.json")
    let some = try ExampleSet<TrainingBatch>(folder.sources("array.json"), encoder: encoder(), options: options)
    #expect(some.examples.count == 1)
    let error = #expect(throws: TrainingDataError.self) {
      try ExampleSet<TrainingBatch>(folder.sources("array.json"), encoder: encoder())
    }
    #expect(error?.field == "1.prompt")
  }

  @Test func whatIsTooLongLosesItsEndAndWhatIsLeftWithoutAnAnswerIsDropped() throws {
    let records = [
      #"{"prompt":"a","completion":"the earth the earth"}"#, #"{"prompt":"the earth and the sea","completion":"b"}"#,
      #"{"prompt":"a","completion":"b"}"#,
    ]
    try folder.write(records.joined(separator: "\n"), to: "records.jsonl")
    let set = try ExampleSet<TrainingBatch>(folder.sources("records.jsonl"), encoder: encoder(length: 4))
    #expect(set.report.records == 3 && set.report.truncated == 2 && set.report.dropped == 1)
    #expect(set.examples.count == 2)
    #expect(set.examples[0].tokens.count == 3)
    #expect(set.examples[0].targets.last != tokenizer.endOfSequence)
    #expect(set.examples[1].targets.last == tokenizer.endOfSequence)
    #expect(throws: TrainingDataError.self) { try encoder(length: 1) }
    try folder.write(records[1], to: "records.jsonl")
    #expect(throws: TrainingDataError.self) {
      try ExampleSet<TrainingBatch>(folder.sources("records.jsonl"), encoder: encoder(length: 4))
    }
  }

  @Test func labelsAreSortedAndPairsHaveTypes() throws {
    let bert = try smallTokenizer("bert-uncased")
    let encoder = try ExampleEncoder(tokenizer: bert, template: nil, architecture: .encoder, maximumLength: 16)
    func set(_ records: [(String, String?, String)], labels: [String]? = nil) throws -> ExampleSet<TrainingBatch> {
      try folder.write(
        records.map { text, pair, label in
          #"{"text":"\#(text)",\#(pair.map { #""text_pair":"\#($0)","# } ?? "")"label":\#(label)}"#
        }.joined(separator: "\n"), to: "records.jsonl")
      var options = RecordOptions()
      options.labels = labels
      return try ExampleSet(folder.sources("records.jsonl"), encoder: encoder, options: options)
    }
    let names = try set([("the sea", nil, #""wet""#), ("earth", nil, #""dry""#), ("the the", nil, #""wet""#)])
    #expect(names.labels == ["dry", "wet"])
    #expect(names.examples.map(\.labels) == [[1], [0], [1]])
    #expect(names.examples[0].tokens == bert.encode("the sea"))
    #expect(names.examples[0].learntCount == 0 && names.examples[0].tokenTypes.isEmpty)
    let numbers = try set([("a", nil, "10"), ("b", nil, "9"), ("c", nil, "-1")])
    #expect(numbers.labels == ["-1", "9", "10"])
    #expect(numbers.examples.map(\.labels) == [[2], [1], [0]])
    let pairs = try set([("the", nil, "0"), ("the sea", "earth", "1")])
    let expected = try bert.encoding(of: "the sea", pair: "earth", specialTokens: .none)
    #expect(pairs.examples[1].tokens == expected.ids && pairs.examples[1].tokenTypes == expected.typeIDs)
    let both = try ExampleBatches(pairs, examplesPerBatch: 2, seed: 1).batch(at: 0)
    #expect(both.tokenTypes == Array(repeating: 0, count: pairs.examples[0].tokens.count) + expected.typeIDs)
    #expect(both.labels == [0, 1])
    let long = try set([(String(repeating: "the ", count: 30), "earth", "0")])
    #expect(long.examples[0].tokens.count == 16 && long.examples[0].tokens.last == bert.id(ofPiece: "[SEP]"))
    #expect(long.report.truncated == 1)
    let given = try set([("a", nil, #""x""#)], labels: ["z", "x"])
    #expect(given.examples[0].labels == [1] && given.labels == ["z", "x"])
    #expect(throws: TrainingDataError.self) { try set([("a", nil, #""y""#)], labels: ["z", "x"]) }
    try folder.write(#"{"prompt":"a","completion":"b"}"#, to: "records.jsonl")
    #expect(throws: TrainingDataError.self) {
      try ExampleSet<TrainingBatch>(folder.sources("records.jsonl"), encoder: encoder)
    }
  }

  @Test func encoderDecodersReadThePromptAndWriteTheAnswer() throws {
    let t5 = try smallTokenizer("t5"), padding = try #require(t5.id(ofPiece: "<pad>"))
    let encoder = try ExampleEncoder(
      tokenizer: t5, template: nil, architecture: .encoderDecoder(decoderStart: padding), maximumLength: 12)
    try folder.write(
      [
        #"{"prompt":"the sea","completion":"earth"}"#,
        #"{"prompt":"\#(String(repeating: "the sea ", count: 20))","completion":"earth"}"#,
      ].joined(separator: "\n"), to: "records.jsonl")
    let set = try ExampleSet<TrainingBatch>(folder.sources("records.jsonl"), encoder: encoder)
    let target = t5.encode("earth")
    #expect(set.examples[0].source?.tokens == t5.encode("the sea"))
    #expect(set.examples[0].targets == target && target.last == t5.id(ofPiece: "</s>"))
    #expect(set.examples[0].tokens == [padding] + target.dropLast())
    #expect(set.examples[1].source?.tokens.count == 12 && set.examples[1].source?.tokens.last == t5.id(ofPiece: "</s>"))
    #expect(set.report.truncated == 1)
    let batch = try ExampleBatches(set, examplesPerBatch: 2, seed: 1).batch(at: 0)
    #expect(batch.source?.lengths.count == 2 && batch.lengths == [target.count, target.count])
    let pieces = try encoder.pieces(of: .instruction("Add.", context: "1", response: "2"))
    #expect(pieces.map(\.text) == ["Add.\n\n1", "2"] && pieces.map(\.isLearnt) == [false, true])
  }

  @Test func preferencesShareTheirPromptsAndMaskThem() throws {
    let template = try References().plain
    try folder.write(
      [
        #"{"prompt":"Q","chosen":"good","rejected":"bad one"}"#,
        #"{"prompt":[{"role":"user","content":"Q"}],"chosen":[{"role":"assistant","content":"good"}],"#
          + #""rejected":[{"role":"assistant","content":"bad one"}]}"#,
        #"{"prompt":"Q","chosen":[{"role":"user","content":"Q"},{"role":"assistant","content":"good"}],"#
          + #""rejected":[{"role":"user","content":"Q"},{"role":"assistant","content":"bad one"}]}"#,
      ].joined(separator: "\n"), to: "pairs.jsonl")
    let set = try ExampleSet<PreferenceBatch>(folder.sources("pairs.jsonl"), encoder: encoder(template))
    #expect(set.examples.count == 3 && set.examples[0] == set.examples[1] && set.examples[0] == set.examples[2])
    let pair = set.examples[0]
    func learnt(_ batch: TrainingBatch) -> String {
      tokenizer.decode(batch.targets.filter { $0 >= 0 }, skipSpecialTokens: false)
    }
    #expect(learnt(pair.chosen) == "good<|im_end|>")
    #expect(learnt(pair.rejected) == "bad one<|im_end|>")
    let prompt = pair.chosen.targets.prefix { $0 < 0 }.count
    #expect(pair.chosen.tokens[..<prompt] == pair.rejected.tokens[..<prompt])
    let batch = try ExampleBatches(set, examplesPerBatch: 2, seed: 4).batch(at: 0)
    #expect(batch.chosen.lengths.count == 2 && batch.rejected.lengths.count == 2)
    #expect(throws: TrainingDataError.self) {
      try ExampleSet<TrainingBatch>(folder.sources("pairs.jsonl"), encoder: ExampleEncoder(
        tokenizer: tokenizer, template: nil, architecture: .encoder, maximumLength: 10))
    }
    // Earlier answers that both share are no part of the choice.
    try folder.write(
      #"{"chosen":[{"role":"user","content":"Q"},{"role":"assistant","content":"A"},{"role":"user","content":"R"},"#
        + #"{"role":"assistant","content":"good"}],"rejected":[{"role":"user","content":"Q"},"#
        + #"{"role":"assistant","content":"A"},{"role":"user","content":"R"},{"role":"assistant","content":"bad"}]}"#,
      to: "pairs.jsonl")
    let long = try ExampleSet<PreferenceBatch>(folder.sources("pairs.jsonl"), encoder: encoder(template))
    #expect(learnt(long.examples[0].chosen) == "good<|im_end|>")
  }
}
