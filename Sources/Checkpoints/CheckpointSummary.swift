// What a person, or a program reading JSON, wants to know of a model before running it.
import Tensors

/// A description of a checkpoint, read from its metadata and tensor list alone.
///
/// What the file does not say, or says in an unexpected form, is nil.
public struct CheckpointSummary: Codable, Equatable, Sendable {
  /// How much of a model is stored in one format.
  public struct FormatUse: Codable, Equatable, Sendable {
    /// The format's name, such as `Q4_K`.
    public let format: String
    public let tensorCount: Int
    public let parameterCount: Int
    public let byteCount: Int
  }

  public let architecture: String?
  public let name: String?
  public let author: String?
  public let licence: String?
  public let languages: [String]
  public let tags: [String]
  /// The model that this one was made from.
  public let baseModel: String?

  public let parameterCount: Int
  /// Bytes of the file, of all its parts if it is split.
  public let byteCount: Int
  /// The mixture of formats as it is commonly named, such as `Q4_K_M`.
  public let quantization: String?
  /// By share of the bytes, largest first.
  public let formats: [FormatUse]
  /// Bits of the tensors for each parameter.
  public let bitsPerWeight: Double

  /// Tokens that the model was trained to attend to.
  public let contextLength: Int?
  /// Length of a hidden state.
  public let width: Int?
  public let layerCount: Int?
  /// Query heads of a layer; of the layer with most of them if they differ.
  public let headCount: Int?
  /// Key and value heads of a layer; of the layer with most of them if they differ.
  public let keyValueHeadCount: Int?
  public let headWidth: Int?
  /// Inner width of the feed-forward part; of the widest layer if they differ.
  public let feedForwardWidth: Int?

  public let vocabularySize: Int?
  /// The tokenizer's kind as GGUF names it: `gpt2` is byte-level BPE, `llama` SentencePiece BPE.
  public let tokenizer: String?
  /// How `gpt2` tokenizers split text before merging.
  public let preTokenizer: String?
  public let hasChatTemplate: Bool

  public init(_ file: any Checkpoint) {
    let metadata = file.metadata
    let architecture = metadata["general.architecture"]?.string
    func text(_ key: String) -> String? { metadata["general." + key]?.string }
    func list(_ key: String) -> [String] {
      metadata["general." + key]?.array?.strings.map { strings in strings.indices.map(strings.string(at:)) } ?? []
    }
    func size(_ key: String) -> Int? {
      guard let value = architecture.flatMap({ metadata["\($0).\(key)"] }) else { return nil }
      return value.integer ?? value.array?.integers?.max()
    }

    self.architecture = architecture
    name = text("name") ?? text("basename")
    author = text("author") ?? text("organization")
    licence = text("license.name") ?? text("license")
    languages = list("languages")
    tags = list("tags")
    baseModel = text("base_model.0.name") ?? text("base_model.0.repo_url")

    let formats = Self.formats(file.sizes)
    let tensorBytes = formats.reduce(0) { $0 + $1.byteCount }
    self.formats = formats
    parameterCount = formats.reduce(0) { $0 + $1.parameterCount }
    byteCount = file.byteCount
    quantization = metadata["general.file_type"]?.integer.flatMap { Self.quantizationNames[$0] }
    bitsPerWeight = Double(tensorBytes) * 8 / Double(max(1, parameterCount))

    contextLength = size("context_length")
    width = size("embedding_length")
    layerCount = size("block_count")
    headCount = size("attention.head_count")
    keyValueHeadCount = size("attention.head_count_kv") ?? headCount
    feedForwardWidth = size("feed_forward_length")
    let evenHeadWidth = if let width, let headCount, headCount > 0 { width / headCount } else { nil as Int? }
    headWidth = size("attention.key_length") ?? evenHeadWidth

    vocabularySize = metadata["tokenizer.ggml.tokens"]?.array?.count ?? size("vocab_size")
    tokenizer = metadata["tokenizer.ggml.model"]?.string
    preTokenizer = metadata["tokenizer.ggml.pre"]?.string
    hasChatTemplate = metadata["tokenizer.chat_template"]?.string != nil
  }

  private static func formats(_ tensors: [TensorSize]) -> [FormatUse] {
    Dictionary(grouping: tensors, by: \.dataType).map { type, tensors in
      FormatUse(
        format: type.name, tensorCount: tensors.count,
        parameterCount: tensors.reduce(0) { $0 + $1.elementCount },
        byteCount: tensors.reduce(0) { $0 + $1.byteCount })
    }
    .sorted { ($0.byteCount, $1.format) > ($1.byteCount, $0.format) }
  }

  /// `general.file_type`, numbered as llama.cpp's `llama_ftype`.
  private static let quantizationNames: [Int: String] = [
    0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1", 10: "Q2_K", 11: "Q3_K_S", 12: "Q3_K_M",
    13: "Q3_K_L", 14: "Q4_K_S", 15: "Q4_K_M", 16: "Q5_K_S", 17: "Q5_K_M", 18: "Q6_K", 21: "Q2_K_S", 25: "IQ4_NL",
    30: "IQ4_XS", 32: "BF16",
  ]
}
