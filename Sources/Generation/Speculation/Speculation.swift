// Whether and how the engine guesses ahead. A guess is checked by the model itself, so it can only change the speed.
import Models
import Tensors

/// Where guesses at a sequence's next tokens come from (Leviathan et al. 2022, Chen et al. 2023).
///
/// A forward pass over a token and the guesses that follow it costs little more than one over the token alone, and
/// gives the scores after each of them. Every token is still chosen from its scores, in order, and guesses count for as
/// long as they are what was chosen: a sequence has the same tokens with and without speculation, however they are
/// sampled. How far to guess follows from what passes cost here and from which guesses came true.
public struct Speculation: Sendable {
  /// A drafter for one sequence; nil where nothing is guessed.
  let makeDrafter: (@Sendable (Engine.Options) -> any Drafter)?
  /// What failed guesses may cost at most, as a share of the time without any.
  let lossLimit: Double

  private init(_ makeDrafter: (@Sendable (Engine.Options) -> any Drafter)?) {
    self.makeDrafter = makeDrafter
    lossLimit = 0.02
  }

  package init(lossLimit: Double, makeDrafter: @escaping @Sendable () -> any Drafter) {
    self.makeDrafter = { _ in makeDrafter() }
    self.lossLimit = lossLimit
  }

  /// No guesses: a forward pass for every token.
  public static let off = Speculation(nil)

  /// What followed the latest tokens when they last occurred in prompt or answer (Saxena 2023): pays where an answer
  /// repeats, as in editing and extraction, and needs nothing.
  public static let lookup = Speculation { _ in LookupDrafter() }

  /// What a smaller model of the same vocabulary would write.
  public static func draftModel(_ model: Decoder) -> Speculation {
    Speculation { ModelDrafter(model, cacheType: $0.cacheType, batchTokens: $0.batchTokens) }
  }
}

/// Guesses how one sequence goes on. Used by one thread at a time.
package protocol Drafter: AnyObject {
  /// Takes up the first `count` of a sequence's tokens ahead of the first guess.
  ///
  /// From call to call the tokens only grow, unless ``forget(after:)`` comes between.
  func read(_ tokens: [Int32], upTo count: Int)

  /// - Returns: at most `count` tokens that may follow `tokens`.
  func draft(_ count: Int, after tokens: [Int32]) -> [Int32]

  /// The next tokens may differ from those so far after the first `count`.
  func forget(after count: Int)
}
