// What each shape of model is to become better at, as one number.
import Layers
import Models
import Tensors
import TrainingData

/// A model that can be trained.
public protocol TrainableModel: Module {
  var backend: any Backend { get }
  /// Tokens that the model knows.
  var vocabularySize: Int { get }

  /// Σ over targets of −ln p(target) × `factor` → `[1]`.
  /// - Parameter recomputation: what is computed again for gradients, not kept.
  func loss(of batch: TrainingBatch, factor: Float, recomputation: Recomputation) -> Tensor
}

/// Logits that are in memory at once, about 48 MB.
private let mostLogits = 12 << 20

/// Σ of the cross-entropy of rows that have a target.
private func crossEntropy(
  _ hidden: Tensor, _ targets: [Int32], factor: Float, vocabulary: Int, _ logits: (Tensor) -> Tensor
) -> Tensor {
  let learnt = targets.indices.filter { targets[$0] >= 0 }
  let rows = learnt.count == targets.count ? hidden : hidden.rows(at: learnt.map { Int32($0) })
  let own = learnt.map { targets[$0] }
  // Parts of one size, as few as can be: the weight is packed once for each.
  let most = max(16, mostLogits / vocabulary / 16 * 16), parts = max(1, (own.count + most - 1) / most)
  let size = ((own.count + parts - 1) / parts + 15) / 16 * 16
  return rows.totalByParts(rows: size) { part, range in
    logits(part).crossEntropy(Array(own[range]), times: factor)
  }
}

extension Decoder: TrainableModel {
  public var vocabularySize: Int { configuration.vocabulary }

  public func loss(of batch: TrainingBatch, factor: Float, recomputation: Recomputation) -> Tensor {
    let batch = batch.following(virtualTokens)
    let context = DenseContext(lengths: batch.lengths, isCausal: true, recomputation: recomputation)
    return crossEntropy(
      self(batch.tokens, context), batch.targets, factor: factor, vocabulary: vocabularySize) { logits($0) }
  }

  /// ln p of each sequence's targets, Σ over them: `[sequences]`.
  func logProbabilities(of batch: TrainingBatch, recomputation: Recomputation) -> Tensor {
    let batch = batch.following(virtualTokens)
    let context = DenseContext(lengths: batch.lengths, isCausal: true, recomputation: recomputation)
    let hidden = self(batch.tokens, context)
    var first = 0
    let sums = batch.lengths.map { length in
      defer { first += length }
      let rows = first..<first + length
      return crossEntropy(
        hidden.rows(at: rows.map { Int32($0) }), Array(batch.targets[rows]), factor: -1, vocabulary: vocabularySize
      ) { logits($0) }.reshaped([1, 1])
    }
    return Tensor.concatenated(sums).reshaped([sums.count])
  }
}

extension Encoder: TrainableModel {
  public var vocabularySize: Int { configuration.vocabulary }

  /// Of masked tokens; of labels, where the batch has them.
  public func loss(of batch: TrainingBatch, factor: Float, recomputation: Recomputation) -> Tensor {
    let batch = batch.following(virtualTokens), types = batch.tokenTypes.isEmpty ? nil : batch.tokenTypes
    let hidden = self(batch.tokens, types: types, lengths: batch.lengths, recomputation: recomputation)
    guard batch.labels.isEmpty else {
      let scores = labelScores(hidden, lengths: batch.lengths) ?? hidden
      return scores.crossEntropy(batch.labels, times: factor)
    }
    return crossEntropy(hidden, batch.targets, factor: factor, vocabulary: vocabularySize) { maskScores($0) ?? $0 }
  }
}

extension EncoderDecoder: TrainableModel {
  public var vocabularySize: Int { configuration.vocabulary }

  public func loss(of batch: TrainingBatch, factor: Float, recomputation: Recomputation) -> Tensor {
    let batch = batch.following(virtualDecoderTokens, source: virtualTokens)
    let source = batch.source ?? TrainingBatch.Sequences()
    let encoded = encode(source.tokens, lengths: source.lengths, recomputation: recomputation)
    var spans: [DenseAttention.Span] = [], query = 0, key = 0
    for (own, theirs) in zip(batch.lengths, source.lengths) {
      spans.append(.init(queries: query..<query + own, keys: key..<key + theirs))
      (query, key) = (query + own, key + theirs)
    }
    let context = DenseContext(lengths: batch.lengths, isCausal: true, relativeBias: decoder.relativeBias)
    let hidden = self(batch.tokens, context, memory: EncoderMemory(layers: memory(encoded), spans: spans))
    return crossEntropy(hidden, batch.targets, factor: factor, vocabulary: vocabularySize) { logits($0) }
  }
}

extension TrainingBatch {
  /// Targets, or labels, that a loss is the sum over.
  public var targetCount: Int { labels.isEmpty ? learntCount : labels.count }

  /// The batch whose sequences begin with what an adapter learnt in place of words. Nothing is asked of these tokens.
  /// - Parameters:
  ///   - virtual: before what the model reads, and in an encoder–decoder before what the decoder does.
  ///   - source: before what the encoder of an encoder–decoder reads.
  func following(_ virtual: [Int32], source virtualSource: [Int32] = []) -> TrainingBatch {
    var result = self
    if !virtual.isEmpty {
      func before<Element>(_ all: [Element], _ added: [Element]) -> [Element] {
        guard !all.isEmpty else { return [] }
        var first = 0, result: [Element] = []
        for length in lengths {
          result += added + all[first..<first + length]
          first += length
        }
        return result
      }
      result.tokens = before(tokens, virtual)
      result.targets = before(targets, virtual.map { _ in Self.ignored })
      result.tokenTypes = before(tokenTypes, virtual.map { _ in 0 })
      result.lengths = lengths.map { virtual.count + $0 }
    }
    if let source, !virtualSource.isEmpty {
      var first = 0, tokens: [Int32] = []
      for length in source.lengths {
        tokens += virtualSource + source.tokens[first..<first + length]
        first += length
      }
      result.source = Sequences(tokens: tokens, lengths: source.lengths.map { virtualSource.count + $0 })
    }
    return result
  }
}
