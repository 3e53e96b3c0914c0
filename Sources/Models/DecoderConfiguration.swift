// What is different between one decoder family and another, as data.
import Checkpoints
import Layers
import Tensors

/// Sizes and choices from which a ``Decoder`` is built.
public struct DecoderConfiguration: Sendable {
  /// The family's name in GGUF, such as `llama`.
  public var architecture: String
  /// Tokens that the model knows.
  public var vocabulary: Int
  /// Positions that the model was trained for.
  public var contextLength: Int
  /// What all layers have in common.
  public var layer: LayerConfiguration
  /// How each layer encodes positions and how far back it sees, `[layers]`.
  public var positions: [LayerPositions]
  /// Layers with one feed-forward map where others have experts.
  public var denseLayers: Set<Int> = []
  /// What token vectors are multiplied with before the first layer.
  public var embeddingScale: Float = 1
  /// Whether a vector for each position is added to the token's (GPT-2).
  public var hasPositionEmbedding = false
  /// Whether the output head is the embedding matrix.
  public var isHeadTied: Bool
  public var headHasBias = false
  /// Scores of tokens are bent to stay within ± this.
  public var scoreSoftCap: Float?

  public var layers: Int { positions.count }
  /// Numbers in a token's vector.
  public var width: Int { layer.width }

  /// A family of one's own; what is not named here has a value that most families share.
  package init(
    architecture: String, vocabulary: Int, contextLength: Int, layer: LayerConfiguration, isHeadTied: Bool,
    positions: [LayerPositions]
  ) {
    self.architecture = architecture
    self.vocabulary = vocabulary
    self.contextLength = contextLength
    self.layer = layer
    self.isHeadTied = isHeadTied
    self.positions = positions
  }

  /// The layout of a cache page.
  public func pageLayout(_ type: CacheType) -> PageLayout {
    PageLayout(layers: layers, heads: layer.keyValueHeads, headWidth: layer.headWidth, type: type)
  }
}

extension DecoderConfiguration {
  /// Reads what all families share; every layer gets the same rotation, and the window if one is stated.
  /// - Parameter pairing: nil for a family whose positions are not rotations.
  /// - Throws: `CheckpointError` that names the key which is missing, out of range, or contradicts another.
  init(_ checkpoint: any Checkpoint, rotation pairing: Rotation.Pairing?) throws {
    let metadata = checkpoint.metadata, architecture = try metadata.string(required: "general.architecture")
    let key = { (name: String) in "\(architecture).\(name)" }
    let layers = try metadata.int(required: key("block_count"), in: 1...1 << 12)
    try checkpoint.check(layers: layers, key: key("block_count"))
    let layer = try LayerConfiguration(checkpoint, architecture: architecture)
    let contextLength = try metadata.int(required: key("context_length"), in: 1...1 << 30)
    self.init(
      architecture: architecture, vocabulary: try checkpoint.tensor(required: "token_embd.weight").rowCount,
      contextLength: contextLength, layer: layer, isHeadTied: !checkpoint.contains("output.weight"),
      positions: try pairing.map {
        try checkpoint.positions(
          architecture: architecture, layers: layers, headWidth: layer.headWidth, contextLength: contextLength,
          pairing: $0)
      } ?? Array(repeating: LayerPositions(), count: layers))
    headHasBias = checkpoint.contains("output.bias")
    hasPositionEmbedding = checkpoint.contains("position_embd.weight")
    scoreSoftCap = try metadata.positive(key("final_logit_softcapping")).map { Float($0) }
    guard let experts = layer.experts else { return }
    for index in 0..<layers {
      guard checkpoint.contains("blk.\(index).ffn_gate_inp.weight") else {
        denseLayers.insert(index)
        continue
      }
      // A count is believed when the file has as many: a model of it takes memory before anything is read.
      let name = "blk.\(index).ffn_gate_exps.weight", found = checkpoint.partCount(of: name) ?? 0
      guard found == experts.count else {
        throw metadata.error(key("expert_count"), "\(experts.count), where tensor \(name) has \(found)")
      }
    }
  }

  /// The configuration of one layer.
  func layer(_ index: Int) -> LayerConfiguration {
    var layer = layer
    if denseLayers.contains(index) { layer.experts = nil }
    return layer
  }
}
