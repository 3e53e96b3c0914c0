// A model file from a stranger: from its first byte to three tokens written with it.
import Checkpoints
import Generation
import Layers
import Models
import Tensors
import Tokenization

struct GGUFTarget: Target {
  /// What one forward pass may cost, so that runs stay short. Larger models are configured but not loaded.
  private static let mostWeights = 1 << 20, mostLayers = 8, mostHeads = 64

  private let seeds: [(sketch: ModelSketch, bytes: [UInt8], fields: GGUFFields)]
  /// Weights: one that is sound, one of chance, one of infinities and not-numbers.
  private let noises: [[UInt8]]
  private let backend: CPUBackend

  init() throws {
    var random = SeededGenerator(seed: 0, run: 0)
    let sound = (0..<4096).map { _ in Float(random.below(1000)) / 1000 - 0.5 }
    noises = [
      DataType.f16.quantized(sound) ?? [], (0..<1 << 14).map { _ in UInt8(truncatingIfNeeded: random.next()) },
      [0x7F, 0x80, 0xFF, 0x7C, 0x00, 0xC0, 0x7F, 0xFF, 0x01, 0x00, 0x80, 0x7F],
    ]
    let noises = noises
    seeds = ModelSketch.decoders().compactMap { sketch in
      sketch.encoded(noise: noises[0]).map { (sketch, $0, GGUFFields($0)) }
    }
    promise(seeds.count == ModelSketch.decoders().count, "all seeds can be written")
    backend = CPUBackend(threads: 1)
    for seed in seeds { try use(seed.bytes) }
  }

  func input(_ random: inout SeededGenerator) -> [UInt8] {
    let seed = random.pick(seeds)
    if random.chance(2) {
      var sketch = seed.sketch
      for _ in 0..<random.below(4) { sketch.change(&random) }
      if let bytes = sketch.encoded(noise: random.pick(noises), from: random.below(256)) { return bytes }
    }
    var bytes = seed.bytes
    for _ in 0...random.below(3) { seed.fields.damage(&bytes, &random) }
    // Most of a file is weights, where damage finds nothing: the head is damaged.
    if random.chance(4) {
      let headCount = min(bytes.count, seed.fields.tensors.last?.upperBound ?? 0)
      var head = Array(bytes[..<headCount])
      head.damage(&random)
      bytes.replaceSubrange(..<headCount, with: head)
    }
    if random.chance(16) { bytes.removeLast(random.below(bytes.count)) }
    return bytes
  }

  func use(_ input: [UInt8]) throws {
    let file = try GGUFFile(data: input, name: "fuzz.gguf")
    let summary = CheckpointSummary(file)
    promise(summary.byteCount == input.count && summary.bitsPerWeight.isFinite, "the summary is of this file")
    for tensor in file.tensors { promise(tensor.byteRange.upperBound <= input.count, "\(tensor.name) is in the file") }
    if file.metadata["tokenizer.ggml.model"] != nil { _ = try Tokenizer(file.tokenizerVocabulary()) }
    _ = try file.chatTemplate()
    _ = try file.chatTemplateNames()
    let configuration = try ModelRegistry.configuration(file)
    guard configuration.layers <= Self.mostLayers, configuration.layer.heads <= Self.mostHeads,
      file.tensors.reduce(0, { $0 + $1.elementCount }) <= Self.mostWeights
    else { return }
    try write(with: Decoder(file, backend: backend))
  }

  private func write(with decoder: Decoder) throws {
    let configuration = decoder.configuration, vocabulary = configuration.vocabulary
    for type in CacheType.allCases {
      let cache = KeyValueCache(configuration.pageLayout(type))
      var sampler = Sampler(SamplingOptions(typicalP: 0.9, repetitionPenalty: 1.1, seed: 1))
      var tokens: [Int32] = [0, Int32(vocabulary - 1)], from = 0
      for _ in 0..<2 {
        let states = decoder(Array(tokens[from...]), PagedContext([(cache, tokens.count - from)]))
        let logits = decoder.logits(states.rows(at: [Int32(tokens.count - from - 1)]))
        promise(logits.shape.count == vocabulary, "there is a score for each token")
        from = tokens.count
        let token = sampler.sample(logits.floats, recent: tokens)
        promise(token >= 0 && token < vocabulary, "token \(token) is below \(vocabulary)")
        tokens.append(token)
      }
    }
  }
}
