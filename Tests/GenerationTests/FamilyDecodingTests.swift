// Every family as the engine runs it: with the paged cache, in any pieces, beside others.
import Checkpoints
import Foundation
import Generation
import Layers
import Models
import Tensors
import TestSupport
import Testing

@Suite struct FamilyDecodingTests {
  /// Logits of all tokens, read in pieces of one size.
  private func logits(_ model: Decoder, _ tokens: [Int32], pieces: Int) -> [Float] {
    let cache = KeyValueCache(model.configuration.pageLayout(.i16))
    return stride(from: 0, to: tokens.count, by: pieces).flatMap { first in
      let piece = Array(tokens[first..<min(tokens.count, first + pieces)])
      return model.logits(model(piece, PagedContext([(cache, piece.count)]))).values
    }
  }

  @Test("Cached decoding gives the bits of one pass, beside another text too", arguments: FamilyFixture.decoders)
  func pieces(name: String) throws {
    let family = try FamilyFixture(name), model = try Decoder(family.checkpoint)
    let tokens = try family.tokens("tokens"), other = try family.tokens("tokens2")
    let whole = logits(model, tokens, pieces: tokens.count)
    for pieces in [1, 7] { #expect(logits(model, tokens, pieces: pieces) == whole) }
    let layout = model.configuration.pageLayout(.i16)
    let both = model.logits(
      model(other + tokens, PagedContext([(KeyValueCache(layout), other.count), (KeyValueCache(layout), tokens.count)])))
    #expect(Array(both.values.suffix(whole.count)) == whole)
    // Apart from the cache's 16 bits these are the logits of transformers.
    #expect(relativeError(whole, try family.floats("logits")) <= 2e-3)
  }
}
