// What `malmoi bench` runs and counts.
import Generation
import Layers
import Models
import Tensors

/// A prompt and an answer of each of some sequences.
struct BenchWorkload {
  var promptTokens, generateTokens, contextFill, batch, chunk: Int
  var cacheType: CacheType

  struct Figures {
    /// Tokens per second of all sequences together.
    var prefill, decode: Double
    /// Shares of the time that attention took.
    var prefillAttention, decodeAttention: Double
  }

  func run(_ decoder: Decoder) -> Figures {
    let layout = decoder.configuration.pageLayout(cacheType), vocabulary = decoder.configuration.vocabulary
    var attention = 0.0
    func pass(_ tokens: [Int32], _ parts: [(KeyValueCache, Int)]) -> Tensor {
      let context = TimedContext(PagedContext(parts))
      defer { attention += context.seconds }
      return decoder(tokens, context)
    }
    func read(_ count: Int, into cache: KeyValueCache) {
      for first in stride(from: 0, to: count, by: chunk) {
        let part = min(chunk, count - first)
        let states = pass((0..<part).map { Int32(($0 * 7919 + 13) % vocabulary) }, [(cache, part)])
        if first + part == count { _ = decoder.logits(states.rows(at: [Int32(part - 1)])) }
      }
    }
    /// Seconds, and the share of attention.
    func time(_ body: () -> Void) -> (seconds: Double, attention: Double) {
      attention = 0
      let seconds = ContinuousClock().measure(body) / .seconds(1)
      return (seconds, attention / seconds)
    }
    let caches = (0..<batch).map { _ in KeyValueCache(layout) }
    for cache in caches where contextFill > 0 { read(contextFill, into: cache) }
    let prefill = time { for cache in caches { read(promptTokens, into: cache) } }
    for cache in caches { cache.truncate(to: contextFill) }
    let decode = time {
      for step in 0..<generateTokens {
        let next = caches.indices.map { Int32(($0 * 31 + step * 17 + 1) % vocabulary) }
        _ = decoder.logits(pass(next, caches.map { ($0, 1) }))
      }
    }
    return Figures(
      prefill: Double(promptTokens * batch) / prefill.seconds,
      decode: Double(generateTokens * batch) / decode.seconds, prefillAttention: prefill.attention,
      decodeAttention: decode.attention)
  }
}

/// A context that counts the time of attention.
private final class TimedContext: AttentionContext {
  private let context: PagedContext
  private(set) var seconds = 0.0

  init(_ context: PagedContext) {
    self.context = context
  }

  var positions: [Int32] { context.positions }

  func attend(_ layer: AttentionLayer, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor {
    let start = ContinuousClock.now
    defer { seconds += (ContinuousClock.now - start) / .seconds(1) }
    return context.attend(layer, queries: queries, keys: keys, values: values)
  }
}

/// What a model reads and computes for a token.
final class ModelSize: ModuleVisitor {
  /// Bytes of all weights that a decode step reads.
  private(set) var readBytes = 0
  /// Multiplications and additions with weights for a prompt's token.
  private(set) var operationsPerToken = 0.0
  private(set) var isQuantized = false

  init(_ decoder: Decoder) throws {
    var decoder = decoder
    try decoder.visit(self, at: ModulePath())
  }

  func visit(_ parameter: inout Tensor, role: ParameterRole, at path: ModulePath) {
    guard role != .lookup else { return }
    readBytes += parameter.dataType.bytes(forElements: parameter.shape.count) ?? 0
    // Only the last token of a prompt reaches the head.
    guard role == .matrix, path.parts.first == "layers" else { return }
    operationsPerToken += 2 * Double(parameter.shape.count)
    isQuantized = isQuantized || parameter.dataType.isQuantized
  }
}
