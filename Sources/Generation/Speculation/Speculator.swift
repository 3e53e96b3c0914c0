// How far to guess: far where guesses come true, and elsewhere so little that it hardly costs.

/// Guesses of one sequence, and the account that is kept of them.
///
/// The unit of the account is the time of a token without guesses. A guess costs its row in the pass and its drafter's
/// time, and saves a token when it comes true. Guesses may not cost more than is in the account, into which every
/// written token pays a little: so the loss over a whole answer is bounded, whatever its text.
package final class Speculator {
  private let drafter: any Drafter
  private let lossLimit: Double
  private var balance = 0.3
  /// How many tokens to guess, as far as the account allows.
  private var reach = 4
  private var secondsPerGuess = 0.0
  private var draftSeconds = 0.0
  /// The guesses that the next pass checks.
  package private(set) var draft: [Int32] = []

  package init(_ drafter: any Drafter, lossLimit: Double) {
    self.drafter = drafter
    self.lossLimit = lossLimit
  }

  func read(_ tokens: [Int32], upTo count: Int) { drafter.read(tokens, upTo: count) }

  /// Guesses at most `most` tokens, each in `0 ..< vocabulary`.
  package func propose(after tokens: [Int32], atMost most: Int, vocabulary: Int, prices: PassCost.Prices) {
    draft = []
    guard prices.token > 0 else { return }  // nothing has been measured yet
    let price = (prices.row + secondsPerGuess) / prices.token
    let count = min(most, reach, Int(min(balance / price, Double(PassCost.rows))))
    guard count > 0 else { return }
    let start = ContinuousClock.now
    draft = drafter.draft(count, after: tokens)
    draft.removeLast(draft.count - draft.prefix { $0 >= 0 && Int($0) < vocabulary }.count)
    draftSeconds = (ContinuousClock.now - start) / .seconds(1)
    guard !draft.isEmpty else { return }
    let seconds = draftSeconds / Double(draft.count)
    secondsPerGuess += (seconds - secondsPerGuess) / (secondsPerGuess == 0 ? 1 : 4)
  }

  /// Closes the account of a pass: `accepted` guesses were what was chosen.
  package func settle(accepted: Int, prices: PassCost.Prices) {
    let cost = draft.isEmpty ? 0 : (Double(draft.count) * prices.row + draftSeconds) / prices.token
    // What was gained long ago does not pay for losses without end, and one bad moment does not end all guesses.
    balance = min(4, max(-1, balance + Double(accepted) - cost) + lossLimit * Double(accepted + 1))
    if !draft.isEmpty {
      reach = accepted == draft.count
        ? min(PassCost.rows, max(reach, 2 * accepted)) : max(1, (draft.count + accepted + 1) / 2)
    }
    draft = []
    draftSeconds = 0
  }
}
