// Models that read: a vector for a text, the words behind a mask, a label for a text or a pair of texts.
import Adapters
import Checkpoints
import Foundation
import JSON
import Models
import Tensors
import Tokenization

/// An encoder with its tokenizer (BERT and its relatives). Safe to use from any number of tasks.
public final class TextEncoder: Sendable {
  public let source: ModelSource
  public let tokenizer: Tokenizer
  public let encoder: Encoder
  /// The most tokens of a text; what is longer is cut off.
  public let tokenLimit: Int
  /// How the model was trained to make one vector of a text.
  public let pooling: Pooling
  /// The names of the labels that the model gives, in the order of its scores; empty for a model that gives none.
  public let labels: [String]

  /// Tokens of one forward pass: enough to share each weight among many, few enough to stay in the caches.
  private static let batchTokens = 512

  /// Loads an encoder from a GGUF file or a Hugging Face folder.
  /// - Throws: `CheckpointError` or `TokenizerError`, each naming what is wrong with the file.
  public init(path: String, threads: Int? = nil, adapters: [AdapterReference] = []) throws {
    source = try ModelSource(path: path)
    guard source.shape == .encoder else { throw source.fault("a model that writes texts, where one that reads is needed") }
    var checkpoint = source.checkpoint
    // A classifier that was learnt with an adapter takes the place of the model's own.
    if let learnt = try adapters.compactMap({ try $0.labels() }).last, try learnt != checkpoint.classifierLabels() {
      checkpoint = try LabelledCheckpoint(checkpoint, labels: learnt, seed: 0)
    }
    var encoder = try Encoder(checkpoint, backend: threads.map { CPUBackend(threads: $0) } ?? CPUBackend.shared)
    try encoder.apply(adapters, of: checkpoint)
    self.encoder = encoder
    tokenizer = try source.tokenizer(vocabulary: encoder.configuration.vocabulary)
    let stated = try source.sentenceSettings()
    let room = encoder.configuration.contextLength - encoder.virtualTokens.count
    tokenLimit = max(0, min(stated.limit ?? source.tokenizerLimit ?? .max, room))
    pooling = try stated.pooling ?? source.numberedPooling ?? .mean
    labels = try checkpoint.classifierLabels()
  }

  /// A text, or two that belong together, as the model takes it, cut off where it is too long.
  /// - Throws: `CheckpointError` for a text of no tokens, or where the tokenizer's files name tokens or segments that
  ///   the model does not have.
  public func encoding(of text: String, pair: String? = nil) throws -> TokenEncoding {
    try encoding(of: text, pair: pair, specialTokens: .none)
  }

  private func encoding(
    of text: String, pair: String? = nil, specialTokens: SpecialTokenParsing
  ) throws -> TokenEncoding {
    let encoding = try tokenizer.encoding(
      of: text, pair: pair, specialTokens: specialTokens, truncation: EncodingTruncation(limit: tokenLimit))
    let configuration = encoder.configuration
    guard encoding.count > 0 else { throw source.fault("a text has no tokens") }
    if let id = encoding.ids.first(where: { $0 < 0 || $0 >= configuration.vocabulary }) {
      throw source.fault("its tokenizer puts token \(id) around texts, where the model has \(configuration.vocabulary)")
    }
    if configuration.tokenTypes > 1, let type = encoding.typeIDs.first(where: { $0 < 0 || $0 >= configuration.tokenTypes }) {
      throw source.fault("its tokenizer names segment \(type), where the model has \(configuration.tokenTypes)")
    }
    return encoding
  }

  /// What the last layer says of each token of a text: `[tokens, width]`.
  public func states(of encodings: [TokenEncoding]) -> Tensor {
    let (states, lengths) = allStates(of: encodings), virtual = encoder.virtualTokens.count
    guard virtual > 0 else { return states }
    var rows: [Int32] = [], first = 0
    for length in lengths {
      rows += (first + virtual..<first + length).map { Int32($0) }
      first += length
    }
    return states.rows(at: rows)
  }

  /// The same with what an adapter puts before each text, and the lengths with that.
  private func allStates(of encodings: [TokenEncoding]) -> (states: Tensor, lengths: [Int]) {
    let virtual = encoder.virtualTokens, none = [Int32](repeating: 0, count: virtual.count)
    let types = encoder.configuration.tokenTypes > 1 ? encodings.flatMap { none + $0.typeIDs } : nil
    let lengths = encodings.map { virtual.count + $0.count }
    return (encoder(encodings.flatMap { virtual + $0.ids }, types: types, lengths: lengths), lengths)
  }

  /// One vector for each text, `[texts][width]`. Texts of like length are computed together.
  /// - Parameters:
  ///   - pooling: nil for the model's own.
  ///   - normalized: to length 1, so that a product of two vectors is the cosine between them.
  /// - Throws: `EncodingError` where special tokens alone are more than the model takes.
  public func embeddings(
    of texts: [String], pooling: Pooling? = nil, normalized: Bool = true
  ) throws -> [[Float]] {
    let backend = encoder.backend, kind = pooling ?? self.pooling
    return try inBatches(texts.map { try encoding(of: $0) }) { batch in
      let (states, lengths) = allStates(of: batch)
      let vectors = kind.pool(states, lengths: lengths, skipping: encoder.prefix?.count ?? 0)
      let width = vectors.shape.columns
      let values = vectors.values
      return withExtendedLifetime(backend) {
        batch.indices.map { index in
          let vector = Array(values[index * width..<(index + 1) * width])
          guard normalized else { return vector }
          let length = vector.reduce(0) { $0 + $1 * $1 }.squareRoot()
          return length > 0 ? vector.map { $0 / length } : vector
        }
      }
    }
  }

  /// Scores of all ``labels`` for each text or pair, `[texts][labels]`: logits, of which a softmax makes probabilities.
  /// A reranker has one label, how well two texts fit together.
  /// - Throws: `CheckpointError` for a model without labels.
  public func labelScores(of texts: [(text: String, pair: String?)]) throws -> [[Float]] {
    guard !labels.isEmpty else { throw source.fault("has no labels: it was not trained to classify") }
    return try inBatches(texts.map { try encoding(of: $0.text, pair: $0.pair) }) { batch in
      let (states, lengths) = allStates(of: batch)
      let scores = encoder.labelScores(states, lengths: lengths)?.values ?? []
      return batch.indices.map { Array(scores[$0 * labels.count..<($0 + 1) * labels.count]) }
    }
  }

  /// Computes texts in batches, those of like length together, and gives results in the order of the texts.
  private func inBatches<Result>(
    _ encodings: [TokenEncoding], _ compute: ([TokenEncoding]) throws -> [Result]
  ) rethrows -> [Result] {
    let order = encodings.indices.sorted { (encodings[$0].count, $0) < (encodings[$1].count, $1) }
    var results = [Result?](repeating: nil, count: encodings.count), batch: [Int] = [], tokens = 0
    func run() throws {
      guard !batch.isEmpty else { return }
      for (index, result) in zip(batch, try compute(batch.map { encodings[$0] })) { results[index] = result }
      (batch, tokens) = ([], 0)
    }
    for index in order {
      if tokens + encodings[index].count > Self.batchTokens { try run() }
      batch.append(index)
      tokens += encodings[index].count
    }
    try run()
    return results.compactMap(\.self)
  }

  /// A word that may stand behind a mask.
  public struct Filling: Sendable, Codable {
    public var token: Int32
    /// The word's text.
    public var word: String
    public var probability: Double
  }

  /// The likeliest words behind each mask of a text, the likeliest first, `[masks][top]`.
  /// - Parameter text: with the tokenizer's own mask, such as `[MASK]` or `<mask>`; either is understood.
  /// - Throws: `CheckpointError` for a model that does not fill masks, or a text without one.
  public func fill(_ text: String, top: Int = 5) throws -> [[Filling]] {
    guard encoder.maskHead != nil else { throw source.fault("was not trained to fill masks") }
    guard let mask = maskToken else { throw source.fault("its tokenizer has no mask") }
    var spelled = text
    for other in Self.maskSpellings { spelled = spelled.replacingOccurrences(of: other, with: mask.piece) }
    let encoding = try encoding(of: spelled, specialTokens: .all)
    let rows = encoding.ids.indices.filter { encoding.ids[$0] == mask.id }.map { Int32($0) }
    guard !rows.isEmpty else { throw source.fault("the text has no \(mask.piece)") }
    guard let scores = encoder.maskScores(states(of: [encoding]).rows(at: rows)) else { return [] }
    let vocabulary = min(scores.shape.columns, tokenizer.vocabularyCount), values = scores.softmax().values
    return rows.indices.map { row in
      let first = row * scores.shape.columns
      return (0..<vocabulary).sorted { values[first + $0] > values[first + $1] }.prefix(top).map { token in
        Filling(
          token: Int32(token),
          word: String(decoding: tokenizer.bytes(of: Int32(token)), as: UTF8.self).trimmingCharacters(in: .whitespaces),
          probability: Double(values[first + token]))
      }
    }
  }

  private static let maskSpellings = ["[MASK]", "<mask>"]

  private var maskToken: (id: Int32, piece: String)? {
    Self.maskSpellings.lazy.compactMap { piece in self.tokenizer.id(ofPiece: piece).map { ($0, piece) } }.first
  }
}
