// Fine-tuning: examples of similar lengths together, in an order that seed and epoch decide.
import Randomness

/// Batches of examples.
///
/// Each epoch the examples are shuffled and cut into windows of some batches; within a window they are sorted by length
/// and cut into batches, and the batches of all windows are shuffled.
public final class ExampleBatches<Example: ExampleBatch>: BatchSource {
  public let set: ExampleSet<Example>
  public let examplesPerBatch: Int
  /// The most tokens of a batch with more than one example; nil for no limit.
  public let tokenBudget: Int?
  public let seed: UInt64
  public let batchesPerEpoch: Int
  private let plans: EpochCache<[[Int]]>

  /// - Parameters:
  ///   - tokenBudget: with one, who shares a batch with whom is decided once, so that all epochs have as many batches;
  ///     each has them in a new order.
  ///   - batchesPerWindow: more bring together lengths that are more alike, fewer mix better.
  /// - Throws: ``TrainingDataError`` for settings outside of their range.
  public init(
    _ set: ExampleSet<Example>, examplesPerBatch: Int, tokenBudget: Int? = nil, batchesPerWindow: Int = 50, seed: UInt64
  ) throws(TrainingDataError) {
    guard 1...(1 << 20) ~= examplesPerBatch, 1...(1 << 20) ~= batchesPerWindow, tokenBudget ?? 1 > 0 else {
      throw TrainingDataError(
        message: "\(examplesPerBatch) examples per batch, \(batchesPerWindow) batches per window, "
          + "\(tokenBudget ?? 1) tokens per batch; expected 1 or more of each, and at most \(1 << 20) of the first two")
    }
    self.set = set
    self.examplesPerBatch = examplesPerBatch
    self.tokenBudget = tokenBudget
    self.seed = seed
    let lengths = set.examples.map(\.tokenCount)
    let plans = EpochCache { epoch in
      var order = Array(lengths.indices), batches: [[Int]] = []
      var random = SeededGenerator(
        seed: seed, stream: RandomStream.examples, index: tokenBudget == nil ? epoch : 0)
      random.shuffle(&order)
      for start in stride(from: 0, to: order.count, by: examplesPerBatch * batchesPerWindow) {
        let window = order[start..<min(start + examplesPerBatch * batchesPerWindow, order.count)]
        var batch: [Int] = [], tokens = 0
        // The order by chance decides between those of one length, so the sorting has to be stable.
        for index in window.enumerated().sorted(by: { (lengths[$0.1], $0.0) < (lengths[$1.1], $1.0) }).map(\.element) {
          let isFull = batch.count == examplesPerBatch || tokenBudget.map { tokens + lengths[index] > $0 } ?? false
          if isFull, !batch.isEmpty {
            batches.append(batch)
            (batch, tokens) = ([], 0)
          }
          batch.append(index)
          tokens += lengths[index]
        }
        if !batch.isEmpty { batches.append(batch) }
      }
      random = SeededGenerator(seed: seed, stream: RandomStream.batches, index: epoch)
      random.shuffle(&batches)
      return batches
    }
    self.plans = plans
    batchesPerEpoch = plans[0].count
  }

  /// The numbers of the examples in a batch.
  public func examples(ofBatch index: Int) throws -> [Int] {
    let (epoch, place) = try place(of: index)
    return plans[epoch][place]
  }

  public func batch(at index: Int) throws -> Example {
    var batch = Example()
    for number in try examples(ofBatch: index) { batch.add(set.examples[number]) }
    return batch
  }
}
