// Every family against transformers: a tiny random model of each, as Hugging Face saves it, must give the same numbers.
import Checkpoints
import Foundation
import Layers
import Models
import Tensors
import TestSupport
import Testing

@Suite struct FamilyTests {
  @Test("A decoder's logits are those of transformers, two texts in one pass", arguments: FamilyFixture.decoders)
  func decoder(name: String) throws {
    let family = try FamilyFixture(name), model = try Decoder(family.checkpoint)
    let first = try family.tokens("tokens"), second = try family.tokens("tokens2")
    let context = DenseContext(lengths: [first.count, second.count], isCausal: true)
    let logits = model.logits(model(first + second, context))
    let boundary = first.count * model.configuration.vocabulary
    #expect(relativeError(logits.values[..<boundary], try family.floats("logits")) <= 1e-5)
    // LongRoPE's divisors change with the length of the text in transformers; here a text's own length changes nothing.
    if name != "phi3-longrope" {
      #expect(relativeError(logits.values[boundary...], try family.floats("logits2")) <= 1e-5)
    }
  }

  @Test("An encoder's vectors and scores are those of transformers, two texts in one pass", arguments: FamilyFixture.encoders)
  func encoder(name: String) throws {
    let family = try FamilyFixture(name), model = try Encoder(family.checkpoint)
    let texts = [try family.tokens("tokens"), try family.tokens("tokens2")], lengths = texts.map(\.count)
    let types = [try family.tokens("type_ids"), try family.tokens("type_ids2")]
    let hidden = model(texts.flatMap { $0 }, types: types.flatMap { $0 }, lengths: lengths)
    let expected = try family.floats("hidden") + family.floats("hidden2")
    #expect(relativeError(hidden.values, expected) <= 1e-5)
    if family.has("pooled") {
      let pooled = try #require(model.classifier).pooled(Pooling.cls.pool(hidden, lengths: lengths))
      #expect(relativeError(pooled.values, try family.floats("pooled") + family.floats("pooled2")) <= 1e-5)
    }
    if family.has("logits") {
      let scores = try #require(model.maskScores(hidden) ?? model.labelScores(hidden, lengths: lengths))
      #expect(relativeError(scores.values, try family.floats("logits") + family.floats("logits2")) <= 1e-5)
    }
  }

  @Test("An encoder–decoder's numbers are those of transformers, and cached decoding gives the same",
    arguments: FamilyFixture.encoderDecoders)
  func encoderDecoder(name: String) throws {
    let family = try FamilyFixture(name), model = try EncoderDecoder(family.checkpoint)
    let texts = [try family.tokens("encoder_tokens"), try family.tokens("encoder_tokens2")]
    let answers = [try family.tokens("decoder_tokens"), try family.tokens("decoder_tokens2")]
    let encoded = model.encode(texts.flatMap { $0 }, lengths: texts.map(\.count))
    let expected = try family.floats("encoder_hidden") + family.floats("encoder_hidden2")
    #expect(relativeError(encoded.values, expected) <= 1e-5)

    let read = texts[0].count, all = read + texts[1].count, written = answers[0].count
    let memory = EncoderMemory(
      layers: model.memory(encoded),
      spans: [
        .init(queries: 0..<written, keys: 0..<read), .init(queries: written..<written + answers[1].count, keys: read..<all),
      ])
    let context = DenseContext(
      lengths: answers.map(\.count), isCausal: true, relativeBias: model.decoder.relativeBias)
    let logits = model.logits(model(answers.flatMap { $0 }, context, memory: memory)).values
    #expect(relativeError(logits, try family.floats("logits") + family.floats("logits2")) <= 1e-5)

    // Token by token, the first text alone.
    let alone = EncoderMemory(
      layers: model.memory(model.encode(texts[0], lengths: [read])), spans: [.init(queries: 0..<1, keys: 0..<read)])
    let history = DenseContext.History()
    let steps = answers[0].flatMap { token in
      let context = DenseContext(after: history, tokens: 1, relativeBias: model.decoder.relativeBias)
      return model.logits(model([token], context, memory: alone)).values
    }
    #expect(steps == Array(logits[..<steps.count]))
  }

  @Test("A GGUF file written as a folder is the same model", arguments: FamilyFixture.all)
  func folder(name: String) throws {
    let family = try FamilyFixture(name), folder = try TemporaryFolder()
    try GGUFWriter(path: folder.path("model.gguf"), of: family.checkpoint).write()
    let file = try ModelRegistry.open(folder.path("model.gguf"))
    try ModelRegistry.folderWriter(for: file).write(to: folder.path("again"))
    try expectSame(file, ModelRegistry.open(folder.path("again")), family)
    #expect(throws: CheckpointError.self) { try ModelRegistry.folderWriter(for: file).write(to: folder.path("again")) }
  }

  @Test("A folder written as GGUF and read again is the same model", arguments: FamilyFixture.all)
  func saved(name: String) throws {
    let family = try FamilyFixture(name), folder = try TemporaryFolder(), path = folder.path("model.gguf")
    try GGUFWriter(path: path, of: family.checkpoint).write()
    let read = try ModelRegistry.open(path)
    try expectSame(family.checkpoint, read, family)
  }

  /// Two checkpoints of one model give the same bits.
  private func expectSame(_ one: any Checkpoint, _ other: any Checkpoint, _ family: FamilyFixture) throws {
    let tokens = try family.tokens(family.has("tokens") ? "tokens" : "encoder_tokens"), lengths = [tokens.count]
    let numbers = try [one, other].map { checkpoint -> [Float] in
      switch try ModelRegistry.shape(of: checkpoint) {
      case .decoder:
        let model = try Decoder(checkpoint)
        return model.logits(model(tokens, DenseContext(lengths: lengths, isCausal: true))).values
      case .encoder:
        let model = try Encoder(checkpoint), hidden = model(tokens, lengths: lengths)
        return hidden.values + ((model.maskScores(hidden) ?? model.labelScores(hidden, lengths: lengths))?.values ?? [])
      case .encoderDecoder:
        let model = try EncoderDecoder(checkpoint), encoded = model.encode(tokens, lengths: lengths)
        let memory = EncoderMemory(
          layers: model.memory(encoded), spans: [.init(queries: 0..<tokens.count, keys: 0..<tokens.count)])
        let context = DenseContext(lengths: lengths, isCausal: true, relativeBias: model.decoder.relativeBias)
        return encoded.values + model.logits(model(tokens, context, memory: memory)).values
      }
    }
    #expect(numbers[0] == numbers[1])
  }
}
