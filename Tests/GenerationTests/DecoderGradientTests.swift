// Gradients reach a model's first layer through everything in between, the cache included.
import Generation
import Layers
import Models
import Tensors
import TestSupport
import Testing

@Suite struct `A decoder's gradients` {
  private let tokens: [Int32] = {
    var random = SeededRandom(2)
    return random.tokens(90, vocabulary: 300)
  }()

  /// Σ scores × fixed factors.
  private func score(_ decoder: Decoder, _ factors: Tensor) -> Double {
    let context = PagedContext([(KeyValueCache(decoder.configuration.pageLayout(.i16)), tokens.count)])
    let logits = decoder.logits(decoder(tokens, context)).values
    return zip(logits, factors.values).reduce(0) { $0 + Double($1.0) * Double($1.1) }
  }

  @Test func `of the first norm follow finite differences through quantized weights and the cache`() throws {
    var form = RandomDecoder()
    form.types = [.q8_0, .q4_k, .f16]
    var decoder = try form.make()
    var random = SeededRandom(3)
    let factors = Tensor(
      random.floats(tokens.count * 300), shape: [tokens.count, 300], backend: decoder.backend)
    var norm = try #require(decoder.layers[0].attentionNorms.before)
    let weight = norm.weight, leaf = weight.requiringGradient()
    norm.weight = leaf
    decoder.layers[0].attentionNorms.before = norm
    let context = PagedContext([(KeyValueCache(decoder.configuration.pageLayout(.i16)), tokens.count)])
    let logits = decoder.logits(decoder(tokens, context))
    let gradient = try #require(logits.gradients(upstream: factors)[leaf]).values
    // One direction stands for all elements: along the gradient itself, and far enough, the difference is large beside
    // the roundings of the cache.
    let length = gradient.reduce(0) { $0 + Double($1) * Double($1) }.squareRoot(), step = 0.03
    let ends = [step, -step].map { step in
      var moved = decoder
      let values = zip(weight.values, gradient).map { Float(Double($0) + step * Double($1) / length) }
      moved.layers[0].attentionNorms.before?.weight = Tensor(values, shape: weight.shape, backend: decoder.backend)
      return score(moved, factors)
    }
    let slope = (ends[0] - ends[1]) / (2 * step)
    #expect(abs(slope - length) < 0.01 * length, "slope \(slope), gradient \(length)")
  }
}
