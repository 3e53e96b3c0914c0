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
  /// Numbers in a token's vector.
  public var width: Int
  public var layers: Int
  public var heads: Int
  public var keyValueHeads: Int
  /// Numbers in a query, key or value of one head.
  public var headWidth: Int
  /// Numbers between the two maps of a feed-forward layer.
  public var hiddenWidth: Int
  /// Positions that the model was trained for.
  public var contextLength: Int
  public var normEpsilon: Float
  public var activation = Activation.silu
  /// What token vectors are multiplied with before the first layer.
  public var embeddingScale: Float = 1
  /// Whether the output head is the embedding matrix.
  public var isHeadTied: Bool
  /// Norms on each head's queries and keys.
  public var hasHeadNorms = false
  /// Norms on what attention and feed-forward give, before they are added.
  public var hasPostNorms = false
  /// What the dot product of query and key is multiplied with.
  public var attentionScale: Float
  /// How each layer encodes positions and how far back it sees, `[layers]`.
  public var positions: [LayerPositions]

  /// Positions as one layer treats them.
  public struct LayerPositions: Sendable {
    public var rotation: Rotation?
    public var window: Int?

    package init(rotation: Rotation?, window: Int?) {
      self.rotation = rotation
      self.window = window
    }
  }

  /// A family of one's own; what is not named here has a value that most families share.
  package init(
    architecture: String, vocabulary: Int, width: Int, heads: Int, keyValueHeads: Int, headWidth: Int, hiddenWidth: Int,
    contextLength: Int, normEpsilon: Float, isHeadTied: Bool, positions: [LayerPositions]
  ) {
    self.architecture = architecture
    self.vocabulary = vocabulary
    self.width = width
    self.layers = positions.count
    self.heads = heads
    self.keyValueHeads = keyValueHeads
    self.headWidth = headWidth
    self.hiddenWidth = hiddenWidth
    self.contextLength = contextLength
    self.normEpsilon = normEpsilon
    self.isHeadTied = isHeadTied
    self.positions = positions
    attentionScale = 1 / Float(headWidth).squareRoot()
  }

  /// The layout of a cache page.
  public func pageLayout(_ type: CacheType) -> PageLayout {
    PageLayout(layers: layers, heads: keyValueHeads, headWidth: headWidth, type: type)
  }
}

extension DecoderConfiguration {
  /// Reads what all families share from GGUF metadata; every layer gets `rotation` and no window.
  /// - Throws: `CheckpointError` that names the key which is missing, out of range, or contradicts another.
  init(_ file: GGUFFile, rotation pairing: Rotation.Pairing) throws {
    let metadata = file.metadata
    architecture = try metadata.string(required: "general.architecture")
    let key = { [architecture] (name: String) in "\(architecture).\(name)" }
    width = try metadata.int(required: key("embedding_length"), in: 1...1 << 20)
    layers = try metadata.int(required: key("block_count"), in: 1...1 << 12)
    heads = try metadata.int(required: key("attention.head_count"), in: 1...1 << 12)
    keyValueHeads = try metadata.int(key("attention.head_count_kv"), in: 1...1 << 12) ?? heads
    guard heads % keyValueHeads == 0 else {
      throw metadata.error(
        key("attention.head_count_kv"), "\(keyValueHeads) key-value heads cannot be shared by \(heads) heads")
    }
    if let given = try metadata.int(key("attention.key_length"), in: 1...1 << 12) {
      headWidth = given
    } else {
      guard width % heads == 0 else {
        throw metadata.error(key("attention.head_count"), "\(heads) heads do not divide the width \(width)")
      }
      headWidth = width / heads
    }
    guard headWidth % 16 == 0 else {
      throw metadata.error(key("attention.key_length"), "a head width of \(headWidth) is no multiple of 16")
    }
    if let values = try metadata.int(key("attention.value_length")), values != headWidth {
      throw metadata.error(key("attention.value_length"), "\(values), where keys have \(headWidth): not supported")
    }
    hiddenWidth = try metadata.int(required: key("feed_forward_length"), in: 1...1 << 24)
    contextLength = try metadata.int(required: key("context_length"), in: 1...1 << 30)
    normEpsilon = Float(try metadata.float(required: key("attention.layer_norm_rms_epsilon")))
    guard normEpsilon >= 0, normEpsilon < 1 else {
      throw metadata.error(key("attention.layer_norm_rms_epsilon"), "\(normEpsilon) is no epsilon")
    }
    vocabulary = try file.tensor(required: "token_embd.weight").rowCount
    isHeadTied = file.tensor("output.weight") == nil
    attentionScale = 1 / Float(headWidth).squareRoot()
    let turning = try metadata.int(key("rope.dimension_count"), in: 2...headWidth) ?? headWidth
    let rotation = try RotationScaling(file, architecture: architecture, pairs: turning / 2).rotation(
      base: try metadata.positive(key("rope.freq_base")) ?? 10_000, width: turning, pairing: pairing,
      contextLength: contextLength)
    positions = Array(repeating: LayerPositions(rotation: rotation, window: nil), count: layers)
  }
}
