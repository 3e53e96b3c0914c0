// What a trainer eats: numbers, and where each sequence ends.

/// Tokens of several sequences end to end. Attention never crosses sequences: a packed document is a sequence of its
/// own.
public struct TrainingBatch: Sendable, Equatable {
  /// Sequences that lie end to end.
  public struct Sequences: Sendable, Equatable {
    public var tokens: [Int32] = []
    /// Tokens of each sequence.
    public var lengths: [Int] = []

    public init(tokens: [Int32] = [], lengths: [Int] = []) {
      self.tokens = tokens
      self.lengths = lengths
    }
  }

  /// The target where nothing is learnt.
  public static let ignored: Int32 = -1

  /// `[T]`; what the model reads, and for encoder–decoders what the decoder reads.
  public var tokens: [Int32] = []
  /// `[T]`; what each token should be followed by, or replaced with; ``ignored`` where nothing is learnt.
  public var targets: [Int32] = []
  /// Tokens of each sequence.
  public var lengths: [Int] = []
  /// What the encoder of an encoder–decoder reads, one sequence per sequence; nil for other models.
  public var source: Sequences?
  /// The class of each sequence, for classification; else empty.
  public var labels: [Int32] = []
  /// `[T]`; which of two texts each token belongs to, for pairs of texts; empty where all are 0.
  public var tokenTypes: [Int32] = []

  public init(
    tokens: [Int32] = [], targets: [Int32] = [], lengths: [Int] = [], source: Sequences? = nil, labels: [Int32] = [],
    tokenTypes: [Int32] = []
  ) {
    self.tokens = tokens
    self.targets = targets
    self.lengths = lengths
    self.source = source
    self.labels = labels
    self.tokenTypes = tokenTypes
  }

  /// How many tokens have a target.
  public var learntCount: Int { targets.count { $0 != Self.ignored } }

  /// Appends the sequences of another batch of the same kind.
  mutating func append(_ other: TrainingBatch) {
    // Token types are left out where all are 0, and are spelled out as soon as one is not.
    if !tokenTypes.isEmpty || !other.tokenTypes.isEmpty {
      func types(_ batch: TrainingBatch) -> [Int32] {
        batch.tokenTypes.isEmpty ? Array(repeating: 0, count: batch.tokens.count) : batch.tokenTypes
      }
      tokenTypes = types(self) + types(other)
    }
    tokens += other.tokens
    targets += other.targets
    lengths += other.lengths
    labels += other.labels
    if let theirs = other.source {
      source = Sequences(
        tokens: (source?.tokens ?? []) + theirs.tokens, lengths: (source?.lengths ?? []) + theirs.lengths)
    }
  }
}

/// Two answers to each prompt, of which people prefer one; the prompts are masked in both.
public struct PreferenceBatch: Sendable, Equatable {
  public var chosen: TrainingBatch
  /// Sequence for sequence the other answer to the same prompt.
  public var rejected: TrainingBatch

  public init(chosen: TrainingBatch, rejected: TrainingBatch) {
    self.chosen = chosen
    self.rejected = rejected
  }
}

/// Batches by number. A batch depends on nothing but the data, the options, the seed and its index, so a training goes
/// on at any step as if it had never stopped.
public protocol BatchSource<Batch>: Sendable {
  associatedtype Batch: Sendable = TrainingBatch

  var batchesPerEpoch: Int { get }

  /// The batch at any index from 0; its epoch is `index / batchesPerEpoch`, and each epoch is shuffled anew.
  /// - Throws: ``TrainingDataError`` for a negative index, and for data that have been damaged since they were opened.
  func batch(at index: Int) throws -> Batch
}

extension BatchSource {
  /// The epoch of a batch, and its place in it.
  func place(of index: Int) throws(TrainingDataError) -> (epoch: Int, place: Int) {
    guard index >= 0, batchesPerEpoch > 0 else {
      throw TrainingDataError(message: "there is no batch \(index): the first is 0, an epoch has \(batchesPerEpoch)")
    }
    return index.quotientAndRemainder(dividingBy: batchesPerEpoch) as (Int, Int)
  }
}

/// What random numbers are for: each use has numbers of its own.
enum RandomStream {
  static let documents: UInt64 = 1
  static let rows: UInt64 = 2
  static let crops: UInt64 = 3
  static let objective: UInt64 = 4
  static let examples: UInt64 = 5
  static let batches: UInt64 = 6
  static let split: UInt64 = 7
}
