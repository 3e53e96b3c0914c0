// Small models of every family through the paged cache: near the reference, and the same bits in every company.
import Checkpoints
import Generation
import Models
import Tensors
import TestSupport
import Testing

@Suite struct AccuracyTinyModelTests {
  let tokens = ReferenceModel.tokens

  private func cache(_ decoder: Decoder) -> KeyValueCache {
    KeyValueCache(decoder.configuration.pageLayout(.i16))
  }

  /// Logits of all tokens, read in parts of the given sizes, `[tokens, vocabulary]`.
  private func logits(_ decoder: Decoder, parts: [Int]) -> [Float] {
    let cache = cache(decoder)
    var result: [Float] = []
    for part in parts {
      let tokens = Array(tokens[cache.count..<cache.count + part])
      result += decoder.logits(decoder(tokens, PagedContext([(cache, part)]))).values
    }
    return result
  }

  /// The cache rounds keys and values to 11 bits; these models' attention is sharp, so that up to 6e-4 come of it.
  @Test("Logits are near those of transformers", arguments: ReferenceModel.all)
  func reference(model: ReferenceModel) throws {
    let decoder = try Decoder(GGUFFile(path: model.path)), reference = try model.logits()
    #expect(relativeError(logits(decoder, parts: [80]), reference) <= 1e-3)
  }

  @Test("Reading step by step, in parts and at once gives the same bits", arguments: ReferenceModel.all)
  func parts(model: ReferenceModel) throws {
    let decoder = try Decoder(GGUFFile(path: model.path))
    let whole = logits(decoder, parts: [80])
    #expect(logits(decoder, parts: Array(repeating: 1, count: 80)) == whole)
    #expect(logits(decoder, parts: [3, 17, 1, 40, 19]) == whole)
  }

  @Test("A batch of unequal lengths gives each sequence the bits that it has alone", arguments: ReferenceModel.all)
  func batch(model: ReferenceModel) throws {
    let decoder = try Decoder(GGUFFile(path: model.path))
    let whole = logits(decoder, parts: [80]), width = ReferenceModel.vocabulary
    let lengths = [70, 1, 33, 17], caches = lengths.map { _ in cache(decoder) }
    // First all prompts at once, then eight steps of all sequences at once.
    let prompts = lengths.flatMap { tokens[0..<$0] }
    let read = decoder.logits(decoder(prompts, PagedContext(Array(zip(caches, lengths))))).values
    var row = 0
    for length in lengths {
      #expect(Array(read[row * width..<(row + length) * width]) == Array(whole[0..<length * width]))
      row += length
    }
    for step in 0..<8 {
      let next = lengths.map { tokens[$0 + step] }
      let logits = decoder.logits(decoder(next, PagedContext(caches.map { ($0, 1) }))).values
      for (index, length) in lengths.enumerated() {
        let expected = whole[(length + step) * width..<(length + step + 1) * width]
        #expect(Array(logits[index * width..<(index + 1) * width]) == Array(expected))
      }
    }
  }
}
