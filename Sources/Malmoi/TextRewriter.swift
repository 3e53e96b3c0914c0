// Models that write one text from another: translation, summaries, answers (T5, BART).
import Adapters
import Checkpoints
import Generation
import Layers
import Models
import Tensors
import Tokenization

/// An encoder–decoder with its tokenizer.
public final class TextRewriter: Sendable {
  public let source: ModelSource
  public let tokenizer: Tokenizer
  public let model: EncoderDecoder

  /// Loads an encoder–decoder from a GGUF file or a Hugging Face folder.
  /// - Throws: `CheckpointError` or `TokenizerError`, each naming what is wrong with the file.
  public init(path: String, threads: Int? = nil, adapters: [AdapterReference] = []) throws {
    source = try ModelSource(path: path)
    guard source.shape == .encoderDecoder else {
      throw source.fault("not a model that writes one text from another")
    }
    var model = try EncoderDecoder(
      source.checkpoint, backend: threads.map { CPUBackend(threads: $0) } ?? CPUBackend.shared)
    try model.apply(adapters, of: source.checkpoint)
    self.model = model
    let vocabulary = model.configuration.vocabulary
    tokenizer = try source.tokenizer(vocabulary: vocabulary)
    guard model.configuration.startToken < vocabulary else {
      throw source.fault("begins answers with token \(model.configuration.startToken), of \(vocabulary)")
    }
  }

  /// Writes the answer to a text, piece by piece.
  ///
  /// - Parameters:
  ///   - body: gets each piece of whole characters as it is written; false ends the answer.
  /// - Returns: why the answer ended.
  /// - Throws: `GenerationError` for a text longer than the model takes, or options out of range.
  @discardableResult
  public func rewrite(
    _ text: String, options: GenerationOptions = GenerationOptions(), _ body: (String) throws -> Bool
  ) throws -> FinishReason {
    try options.sampling.validate()
    var prompt = try tokenizer.encoding(of: text, specialTokens: .none).ids
    let limit = model.configuration.contextLength ?? .max
    guard !prompt.isEmpty else { throw GenerationError.emptyPrompt }
    if let unknown = prompt.first(where: { $0 < 0 || $0 >= model.configuration.vocabulary }) {
      throw GenerationError.unknownToken(unknown, vocabulary: model.configuration.vocabulary)
    }
    prompt = model.virtualTokens + prompt
    guard prompt.count <= limit else {
      throw GenerationError.exceededContextWindowSize(promptTokens: prompt.count, contextLength: limit)
    }
    let encoded = model.encode(prompt, lengths: [prompt.count])
    let memory = model.memory(encoded)
    let history = DenseContext.History()
    var sampler = Sampler(options.sampling), written: [Int32] = []
    var assembler = TextAssembler(tokenizer, stopStrings: options.stopStrings, continuesText: false)
    var next = model.virtualDecoderTokens + [model.configuration.startToken]
    let most = min(options.maximumResponseTokens ?? 512, limit - next.count)
    while written.count < most {
      let context = DenseContext(after: history, tokens: next.count, relativeBias: model.decoder.relativeBias)
      let seen = EncoderMemory(layers: memory, spans: [.init(queries: 0..<next.count, keys: 0..<prompt.count)])
      let states = model(next, context, memory: seen)
      let logits = model.logits(next.count > 1 ? states.rows(at: [Int32(next.count - 1)]) : states)
      let token = withExtendedLifetime(logits) { sampler.sample(logits.floats, recent: written) }
      if tokenizer.endsGeneration(token) {
        let rest = assembler.finish()
        if !rest.isEmpty { _ = try body(rest) }
        return .stop
      }
      written.append(token)
      next = [token]
      let (piece, isStopped) = assembler.append(token)
      if !piece.isEmpty, try !body(piece) { return .cancelled }
      if isStopped { return .stop }
    }
    let rest = assembler.finish()
    if !rest.isEmpty { _ = try body(rest) }
    return .length
  }
}
