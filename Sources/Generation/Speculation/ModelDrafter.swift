// Guesses from a second, smaller model, which reads along in a cache of its own.
import Models
import Tensors

/// Proposes what a draft model would write greedily.
final class ModelDrafter: Drafter {
  private let model: Decoder
  private let cache: KeyValueCache
  private let batchTokens: Int
  /// What was proposed last, and after how many tokens: the cache holds guesses that may not have come true.
  private var guess: [Int32] = []
  private var certain = 0

  init(_ model: Decoder, cacheType: CacheType, batchTokens: Int) {
    self.model = model
    self.batchTokens = max(1, batchTokens)
    cache = KeyValueCache(model.configuration.pageLayout(cacheType))
  }

  func read(_ tokens: [Int32], upTo count: Int) {
    if !guess.isEmpty { cache.truncate(to: certain + zip(guess, tokens[certain...]).prefix { $0 == $1 }.count) }
    guess = []
    while cache.count < min(count, tokens.count), canRead(tokens) {
      let part = tokens[cache.count..<min(cache.count + batchTokens, count)]
      _ = model(Array(part), PagedContext([(cache, part.count)]))
    }
  }

  func draft(_ count: Int, after tokens: [Int32]) -> [Int32] {
    // The last tokens are read with the first guess; there is always one of them.
    read(tokens, upTo: tokens.count - batchTokens)
    cache.truncate(to: tokens.count - 1)
    guard tokens.count + count <= model.configuration.contextLength, canRead(tokens) else { return [] }
    certain = tokens.count
    var new = Array(tokens[cache.count...])
    while guess.count < count {
      let states = model(new, PagedContext([(cache, new.count)]))
      let logits = model.logits(states.rows(at: [Int32(new.count - 1)]))
      let best = withExtendedLifetime(logits) {
        Sampler.best(UnsafeMutableBufferPointer(rebasing: logits.floats[..<logits.shape[1]]))
      }
      guess.append(best)
      new = [best]
    }
    return guess
  }

  func forget(after count: Int) {
    cache.truncate(to: guess.isEmpty ? count : min(count, certain))
    guess = []
  }

  /// Whether this model has all the tokens that it has not read: of equal vocabularies one may be padded with rows that
  /// no text gives.
  private func canRead(_ tokens: [Int32]) -> Bool {
    tokens[min(cache.count, tokens.count)...].allSatisfy { Int($0) < model.configuration.vocabulary }
  }
}
