// Pretraining: a corpus as rows of one length.
import Randomness

/// Batches of a corpus in rows of `sequenceLength` tokens.
public final class PackedBatches: BatchSource {
  /// How rows are taken from a corpus.
  public enum Packing: Sendable, Equatable {
    /// Documents in a new order each epoch, end to end, cut into rows: an epoch has every token once. Each document's
    /// piece in a row is a sequence of its own; the last row of an epoch may be shorter.
    case documents
    /// Rows that begin anywhere in the documents laid end to end in their own order, and whose attention crosses
    /// documents, as in nanoGPT. An epoch has as many tokens as the corpus, but not each once.
    case crops
  }

  public let part: CorpusPart
  public let sequenceLength: Int
  public let rowsPerBatch: Int
  public let seed: UInt64
  public let objective: TrainingObjective
  public let packing: Packing
  public let batchesPerEpoch: Int
  private let rowCount: Int
  private let orders: EpochCache<EpochOrder>

  /// - Parameter sequenceLength: tokens of a row; the token after it, which the last one is to be followed by, comes
  ///   from the same document or is not learnt.
  /// - Throws: ``TrainingDataError`` for lengths that cannot be, and for an objective that they do not suit.
  public init(
    _ part: CorpusPart, sequenceLength: Int, rowsPerBatch: Int, seed: UInt64, objective: TrainingObjective = .nextToken,
    packing: Packing = .documents
  ) throws(TrainingDataError) {
    func check(_ name: String, _ value: Int) throws(TrainingDataError) {
      guard 1...(1 << 24) ~= value else {
        throw TrainingDataError(message: "\(name) is \(value); expected 1 ... \(1 << 24)")
      }
    }
    try check("the length of a sequence", sequenceLength)
    try check("the rows of a batch", rowsPerBatch)
    try objective.validate(sequenceLength: sequenceLength)
    let least = packing == .crops ? sequenceLength + 1 : 1
    guard part.tokenCount >= least else {
      throw TrainingDataError(
        path: part.corpus.path,
        message: "has \(part.tokenCount) tokens for this; rows of \(sequenceLength) need \(least)")
    }
    let rows = packing == .crops
      ? part.tokenCount / sequenceLength : (part.tokenCount + sequenceLength - 1) / sequenceLength
    self.part = part
    self.sequenceLength = sequenceLength
    self.rowsPerBatch = rowsPerBatch
    self.seed = seed
    self.objective = objective
    self.packing = packing
    rowCount = rows
    batchesPerEpoch = (rows + rowsPerBatch - 1) / rowsPerBatch
    let segments = part.segments
    orders = EpochCache { epoch in
      EpochOrder(
        segments, rowCount: packing == .crops ? 0 : rows, seed: seed, epoch: packing == .crops ? nil : epoch)
    }
  }

  public func batch(at index: Int) throws -> TrainingBatch {
    let (epoch, place) = try place(of: index)
    // Crops know no epochs: all are drawn from one stream.
    let order = orders[packing == .crops ? 0 : epoch]
    var batch = TrainingBatch()
    for row in place * rowsPerBatch..<min((place + 1) * rowsPerBatch, rowCount) {
      let number = epoch &* rowCount &+ row
      let sequences = packing == .crops ? [try crop(number, order)] : try packed(order.rows[row], order)
      var random = SeededGenerator(seed: seed, stream: RandomStream.objective, index: number)
      for sequence in sequences { batch.append(objective.example(sequence, &random)) }
    }
    return batch
  }

  private func packed(_ row: Int, _ order: EpochOrder) throws(TrainingDataError) -> [TokenSequence] {
    let start = row * sequenceLength
    var sequences: [TokenSequence] = []
    for piece in order.pieces(start..<min(start + sequenceLength, order.tokenCount)) {
      let end = piece.range.upperBound + (piece.isContinued ? 1 : 0)
      let tokens = try part.corpus.tokens(piece.range.lowerBound..<end)
      sequences.append(
        TokenSequence(tokens: Array(tokens[..<piece.range.count]), next: piece.isContinued ? tokens.last : nil))
    }
    return sequences
  }

  private func crop(_ number: Int, _ order: EpochOrder) throws(TrainingDataError) -> TokenSequence {
    var random = SeededGenerator(seed: seed, stream: RandomStream.crops, index: number)
    let start = random.below(order.tokenCount - sequenceLength)
    var tokens: [Int32] = []
    for piece in order.pieces(start..<start + sequenceLength + 1) { tokens += try part.corpus.tokens(piece.range) }
    let next = tokens.removeLast()
    return TokenSequence(tokens: tokens, next: next)
  }
}

/// Tokens that belong together, and the one that follows them where it is known.
struct TokenSequence: Equatable {
  var tokens: [Int32]
  var next: Int32?
}
