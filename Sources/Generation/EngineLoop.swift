// The engine's thread: takes up requests and advances all running sequences together, one forward pass at a time.
import Foundation
import Models
import Tensors

final class EngineLoop: @unchecked Sendable {  // `waiting` and `isStopping` are guarded by `condition`
  let options: Engine.Options
  private let model: Decoder
  private let condition = NSCondition()
  private var waiting: [RunningSequence] = []
  private var isStopping = false
  private var passCost = PassCost()

  /// No more sequences than a forward pass has tokens: then each of them advances with every pass.
  private var mostRunning: Int { max(1, min(options.sequences, options.batchTokens)) }

  init(_ model: Decoder, options: Engine.Options) {
    self.model = model
    self.options = options
  }

  func add(_ sequence: RunningSequence) {
    condition.lock()
    waiting.append(sequence)
    condition.signal()
    condition.unlock()
  }

  func stop() {
    condition.lock()
    isStopping = true
    condition.signal()
    condition.unlock()
  }

  func run() {
    var running: [RunningSequence] = []
    while true {
      condition.lock()
      while waiting.isEmpty, running.isEmpty, !isStopping { condition.wait() }
      let ends = isStopping
      var over: [RunningSequence] = [], stillWaiting: [RunningSequence] = []
      for sequence in waiting {
        if ends || sequence.isCancelled {
          over.append(sequence)  // a cancelled sequence need not wait for its turn to end
        } else if running.count < mostRunning {
          running.append(sequence)
        } else {
          stillWaiting.append(sequence)
        }
      }
      waiting = stillWaiting
      condition.unlock()
      for sequence in over + running where ends || sequence.isCancelled { sequence.finish(.cancelled) }
      if ends { return }
      running.removeAll(where: \.isFinished)
      step(running)
      running.removeAll(where: \.isFinished)
    }
  }

  /// One forward pass: a token of every sequence that is being written, then as much of prompts as fits.
  private func step(_ running: [RunningSequence]) {
    let writing = running.filter { !$0.isReadingPrompt }, reading = running.filter(\.isReadingPrompt)
    if reading.isEmpty { speculate(writing) }
    var room = max(1, options.batchTokens), batch: [(sequence: RunningSequence, tokens: ArraySlice<Int32>)] = []
    for sequence in writing + reading where room > 0 {
      let tokens = sequence.pending.prefix(room)
      room -= tokens.count
      batch.append((sequence, tokens))
    }
    guard !batch.isEmpty else { return }
    let start = ContinuousClock.now
    let states = model(batch.flatMap(\.tokens), PagedContext(batch.map { ($0.sequence.cache, $0.tokens.count) }))
    var wantedRows: [Int32] = [], ready: [(sequence: RunningSequence, rows: Range<Int>)] = [], row = 0
    for (sequence, tokens) in batch {
      row += tokens.count
      if sequence.isRead {
        let first = wantedRows.count
        wantedRows += (row - 1 - sequence.draft.count..<row).map(Int32.init)
        ready.append((sequence, first..<wantedRows.count))
      } else {
        sequence.didReadPart()
      }
    }
    guard !ready.isEmpty else { return }
    let logits = model.logits(states.rows(at: wantedRows)), vocabulary = logits.shape[1]
    if reading.isEmpty, row <= PassCost.rows {
      passCost.add(rows: row, seconds: (ContinuousClock.now - start) / .seconds(1))
    }
    let prices = passCost.prices(sequences: writing.count)
    withExtendedLifetime(logits) {
      for (sequence, rows) in ready {
        sequence.choose(
          from: UnsafeMutableBufferPointer(
            rebasing: logits.floats[rows.lowerBound * vocabulary..<rows.upperBound * vocabulary]),
          prices: prices)
      }
    }
  }

  /// Guesses for all sequences, in a fair share of the rows that a pass has to spare.
  private func speculate(_ sequences: [RunningSequence]) {
    var spare = min(PassCost.rows, options.batchTokens) - sequences.count
    let prices = passCost.prices(sequences: sequences.count)
    for (index, sequence) in sequences.enumerated() {
      let share = max(0, spare) / (sequences.count - index)
      sequence.propose(atMost: share, vocabulary: model.configuration.vocabulary, prices: prices)
      spare -= sequence.draft.count
    }
  }
}
