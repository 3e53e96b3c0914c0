// An adapted model in the engine's way of running: with the paged cache, in pieces, beside others.
import Adapters
import Foundation
import Generation
import Layers
import Models
import Tensors
import TestSupport
import Testing

@Suite struct `An adapted decoder` {
  private func logits(_ model: Decoder, _ tokens: [Int32], pieces: Int) -> [Float] {
    let cache = KeyValueCache(model.configuration.pageLayout(.i16))
    return stride(from: 0, to: tokens.count, by: pieces).flatMap { first in
      let piece = Array(tokens[first..<min(tokens.count, first + pieces)])
      return model.logits(model(piece, PagedContext([(cache, piece.count)]))).values
    }
  }

  @Test("gives the bits of one pass when its text is read in pieces, beside another too", arguments: PEFTCase.all.filter {
    ["llama", "mistral", "gpt2", "gpt_neox-parallel", "gemma"].contains($0.family)
  })
  func pieces(_ sample: PEFTCase) throws {
    let checkpoint = try sample.checkpoint()
    var model = try Decoder(checkpoint)
    let plain = model
    try Adapter(folder: sample.folder, for: model, modules: ModelRegistry.modules(of: checkpoint)).apply(to: &model)
    try model.prepareAdapters()
    let own = try sample.tokens(), tokens = model.virtualTokens + own, vocabulary = model.configuration.vocabulary
    let whole = logits(model, tokens, pieces: tokens.count)
    for pieces in [1, 2, 5] { #expect(logits(model, tokens, pieces: pieces) == whole) }
    let layout = model.configuration.pageLayout(.i16), other = Array(tokens.reversed())
    let both = model.logits(
      model(other + tokens, PagedContext([(KeyValueCache(layout), other.count), (KeyValueCache(layout), tokens.count)])))
    #expect(Array(both.values.suffix(whole.count)) == whole)
    // Apart from the cache's 16 bits these are PEFT's numbers.
    let expected = try sample.logits()
    #expect(relativeError(whole.suffix(own.count * vocabulary), expected) <= 2e-3)
    // The model that was adapted is a copy.
    #expect(plain.virtualTokens.isEmpty)
    #expect(relativeError(logits(plain, own, pieces: own.count), expected) > 1e-2)
  }
}
