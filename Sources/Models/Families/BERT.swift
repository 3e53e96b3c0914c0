// BERT (Devlin et al. 2019), RoBERTa and XLM-R (Liu et al. 2019; Conneau et al. 2020), DistilBERT (Sanh et al. 2019),
// the sentence encoders and rerankers made of them, and ModernBERT (Warner et al. 2024).
import Checkpoints
import JSON
import Layers
import Tensors
import Tokenization

enum BERT: EncoderFamily {
  static let architectures = ["bert"]

  private static let embeddingNames: [(from: String, to: String)] = [
    ("embeddings.word_embeddings", "token_embd"), ("embeddings.position_embeddings", "position_embd"),
    ("embeddings.token_type_embeddings", "token_types"), ("embeddings.LayerNorm", "token_embd_norm"),
  ]

  private static let layerNames = embeddingNames + Models.layerNames("encoder.layer.{}.", "blk.{}.", [
    "attention.self.query": "attn_q", "attention.self.key": "attn_k", "attention.self.value": "attn_v",
    "attention.output.dense": "attn_output", "attention.output.LayerNorm": "attn_output_norm",
    "intermediate.dense": "ffn_up", "output.dense": "ffn_down", "output.LayerNorm": "layer_output_norm",
  ]) + [("pooler.dense", "cls")]

  static let forms = [
    HuggingFaceForm(
      ["bert"], as: "bert", class: "BertModel", prefixes: ["bert."], beside: ["classifier", "cls."],
      names: layerNames + [
        ("classifier", "cls.output"), ("cls.predictions.transform.dense", "mlm.dense"),
        ("cls.predictions.transform.LayerNorm", "mlm.norm"), ("cls.predictions", "output"),
        ("cls.predictions.decoder", "output"),
      ], ignored: ["cls.seq_relationship.weight", "cls.seq_relationship.bias", "cls.predictions.decoder.bias"],
      required: ["token_types.weight"]
    ) {
      try $0.describeEncoder()
    } compose: {
      try composed($0)
    },
    HuggingFaceForm(
      ["roberta", "xlm-roberta"], as: "bert", prefixes: ["roberta."], beside: ["lm_head", "classifier"],
      names: layerNames + [
        ("lm_head.dense", "mlm.dense"), ("lm_head.layer_norm", "mlm.norm"), ("lm_head", "output"),
        ("lm_head.decoder", "output"), ("classifier.dense", "cls"), ("classifier.out_proj", "cls.output"),
      ], ignored: ["lm_head.decoder.bias"]
    ) { translation in
      try translation.describeEncoder()
      // Positions are counted from behind the padding token's number, and none stands before.
      let unused = (try translation.config["pad_token_id"]?.int(in: 0...1 << 10) ?? 1) + 1
      translation.transforms["position_embd"] = .withoutRows(unused)
      translation.set("context_length", max(1, (try translation.int("context_length") ?? 514) - unused))
    },
    HuggingFaceForm(
      ["distilbert"], as: "bert", class: "DistilBertModel", prefixes: ["distilbert."],
      beside: ["vocab_", "pre_classifier", "classifier"], spellings: ["dim", "n_layers", "n_heads", "hidden_dim"],
      names: embeddingNames + Models.layerNames("transformer.layer.{}.", "blk.{}.", [
        "attention.q_lin": "attn_q", "attention.k_lin": "attn_k", "attention.v_lin": "attn_v",
        "attention.out_lin": "attn_output", "sa_layer_norm": "attn_output_norm", "ffn.lin1": "ffn_up",
        "ffn.lin2": "ffn_down", "output_layer_norm": "layer_output_norm",
      ]) + [
        ("vocab_transform", "mlm.dense"), ("vocab_layer_norm", "mlm.norm"), ("vocab_projector", "output"),
        ("pre_classifier", "cls"), ("classifier", "cls.output"),
      ]
    ) { translation in
      try translation.describeEncoder()
      translation.set("attention.layer_norm_epsilon", 1e-12)
      translation.set("classifier.activation", "relu")
    } compose: {
      try composed($0)
    },
  ]

  @Sendable private static func composed(_ checkpoint: any Checkpoint) throws -> [String: JSONValue] {
    var fields: [String: JSONValue] = [
      "max_position_embeddings": .int(try checkpoint.tensor(required: "position_embd.weight").rowCount),
      "type_vocab_size": .int(try checkpoint.tensor("token_types.weight")?.rowCount ?? 0),
      "hidden_act": .string(try checkpoint.metadata.string("bert.hidden_act") ?? "gelu"),
    ]
    fields["activation"] = fields["hidden_act"]
    fields["id2label"] = try checkpoint.labelNames()
    return fields
  }

  static func configuration(_ checkpoint: any Checkpoint) throws -> EncoderConfiguration {
    var configuration = try EncoderConfiguration(checkpoint, rotation: nil)
    configuration.layer.activation = try checkpoint.activation("bert") ?? .gelu
    return configuration
  }
}

enum ModernBERT: EncoderFamily {
  static let architectures = ["modern-bert"]

  static let forms = [
    HuggingFaceForm(
      ["modernbert"], as: "modern-bert", class: "ModernBertModel", fullLayersFirst: true,
      prefixes: ["model."], beside: ["head.", "decoder", "classifier"],
      spellings: ["norm_eps", "global_rope_theta", "local_rope_theta", "local_attention"],
      names: [
        ("embeddings.tok_embeddings", "token_embd"), ("embeddings.norm", "token_embd_norm"),
        ("final_norm", "output_norm"), ("head.dense", "mlm.dense"), ("head.norm", "mlm.norm"), ("decoder", "output"),
        // What stands before a classifier is called the same; `describe` says which it is.
        ("head.dense", "cls"), ("head.norm", "cls.norm"), ("classifier", "cls.output"),
      ] + layerNames("layers.{}.", "blk.{}.", [
        "attn.Wqkv": "attn_qkv", "attn.Wo": "attn_output", "attn_norm": "attn_norm", "mlp_norm": "ffn_norm",
        "mlp.Wi": "ffn_up", "mlp.Wo": "ffn_down",
      ])
    ) { translation in
      try translation.describeEncoder()
      let config = translation.config
      if try config["architectures"]?.strings().contains(where: { $0.hasSuffix("ForSequenceClassification") }) == true {
        translation.renames = [("mlm.dense", "cls"), ("mlm.norm", "cls.norm")]
      }
      translation.set("attention.sliding_window", try config["local_attention"]?.int(in: 1...1 << 30) ?? 128)
      translation.set("classifier.activation", try config["classifier_activation"]?.string() ?? "gelu")
      translation.set("classifier.pooling", try config["classifier_pooling"]?.string() ?? "cls")
      let every = try config["global_attn_every_n_layers"]?.int(in: 1...1 << 12) ?? 3
      if config["layer_types"] != nil {
        try translation.setWindowPattern(period: [], default: nil)
      } else {
        translation.set(
          "attention.sliding_window_pattern", (0..<(try translation.layerCount())).map { $0 % every != 0 })
      }
    } compose: {
      try composed($0)
    }
  ]

  @Sendable private static func composed(_ checkpoint: any Checkpoint) throws -> [String: JSONValue] {
    let metadata = checkpoint.metadata, has = { JSONValue.bool(checkpoint.contains($0 + ".bias")) }
    let head = checkpoint.contains("cls.weight") ? "cls" : "mlm.dense"
    var fields: [String: JSONValue] = [
      "hidden_activation": .string(try metadata.string("modern-bert.hidden_act") ?? "gelu"),
      "classifier_activation": .string(try metadata.string("modern-bert.classifier.activation") ?? "gelu"),
      "classifier_pooling": .string(try metadata.string("modern-bert.classifier.pooling") ?? "cls"),
      "norm_bias": has("token_embd_norm"), "classifier_bias": has(head), "decoder_bias": has("output"),
    ]
    fields["id2label"] = try checkpoint.labelNames()
    return fields
  }

  static func configuration(_ checkpoint: any Checkpoint) throws -> EncoderConfiguration {
    var configuration = try EncoderConfiguration(checkpoint, rotation: .halves)
    let metadata = checkpoint.metadata, layer = configuration.layer
    configuration.layer.activation = try checkpoint.activation("modern-bert") ?? .gelu
    configuration.skipsFirstNorm = !checkpoint.contains("blk.0.attn_norm.weight")
    let local = RotationScaling.none.rotation(
      base: try metadata.positive("modern-bert.rope.freq_base_swa") ?? 10_000, width: layer.headWidth, pairing: .halves,
      contextLength: configuration.contextLength)
    let pattern = try metadata.windowPattern(
      architecture: "modern-bert", layers: configuration.positions.count, default: 3, fullFirst: true)
    for (layer, seesWindow) in (pattern ?? []).enumerated() {
      if seesWindow { configuration.positions[layer].rotation = local } else { configuration.positions[layer].window = nil }
    }
    return configuration
  }
}

extension Checkpoint {
  /// The names of a classifier's labels as `config.json` has them; nil where there are none.
  fileprivate func labelNames() throws -> JSONValue? {
    let architecture = try metadata.string(required: "general.architecture")
    guard let labels = try metadata.strings("\(architecture).classifier.output_labels") else { return nil }
    return .object(.init(uniqueKeysWithValues: labels.indices.map { (String($0), .string(labels.string(at: $0))) }))
  }
}

extension ConfigurationTranslation {
  /// What all encoders have: the names of a classifier's labels, in the order of its scores.
  fileprivate mutating func describeEncoder() throws {
    // What GGUF's readers want to know of an encoder.
    set("attention.causal", false)
    set("pooling_type", 1)
    metadata.set("tokenizer.ggml.token_type_count", .uint32(UInt32(max(1, try int("token_type_count", in: 0...1 << 16) ?? 1))))
    guard let labels = try config["id2label"]?.object() else { return }
    let named = labels.compactMap { key, value -> (Int, String)? in
      guard let id = Int(key), case .string(let name) = value else { return nil }
      return (id, name)
    }
    metadata.set(key("classifier.output_labels"), .strings(named.sorted { $0.0 < $1.0 }.map(\.1)))
  }
}

extension EncoderConfiguration {
  /// Reads what all families share.
  /// - Throws: `CheckpointError` that names the key or tensor which is missing or contradicts another.
  init(_ checkpoint: any Checkpoint, rotation pairing: Rotation.Pairing?) throws {
    let metadata = checkpoint.metadata
    let architecture = try metadata.string(required: "general.architecture")
    let key = { (name: String) in "\(architecture).\(name)" }
    let layers = try metadata.int(required: key("block_count"), in: 1...1 << 12)
    try checkpoint.check(layers: layers, key: key("block_count"))
    let layer = try LayerConfiguration(checkpoint, architecture: architecture)
    // The table of positions is as long as texts can be.
    let table = try checkpoint.tensor("position_embd.weight")?.rowCount
    let contextLength = try table ?? metadata.int(key("context_length"), in: 1...1 << 30) ?? 512
    let dense = checkpoint.contains("cls.weight")
    self.init(
      architecture: architecture, vocabulary: try checkpoint.tensor(required: "token_embd.weight").rowCount,
      contextLength: contextLength, layer: layer,
      positions: try pairing.map {
        try checkpoint.positions(
          architecture: architecture, layers: layers, headWidth: layer.headWidth, contextLength: contextLength,
          pairing: $0)
      } ?? Array(repeating: LayerPositions(), count: layers),
      hasPositionEmbedding: table != nil, tokenTypes: try checkpoint.tensor("token_types.weight")?.rowCount ?? 0,
      hasEmbeddingNorm: checkpoint.contains("token_embd_norm.weight"),
      hasFinalNorm: checkpoint.contains("output_norm.weight"),
      maskHead: checkpoint.contains("mlm.dense.weight")
        ? MaskHead.Configuration(
          isTied: !checkpoint.contains("output.weight"), hasDenseBias: checkpoint.contains("mlm.dense.bias"),
          activation: try checkpoint.activation(architecture) ?? .gelu) : nil,
      classifier: dense
        ? Classifier.Configuration(
          labels: try checkpoint.tensor("cls.output.weight")?.rowCount, hasDenseBias: checkpoint.contains("cls.bias"),
          hasOutputBias: checkpoint.contains("cls.output.bias"), hasNorm: checkpoint.contains("cls.norm.weight"),
          activation: try checkpoint.activation(architecture, key: "classifier.activation") ?? .tanh,
          pooling: try metadata.string(key("classifier.pooling")).flatMap(Pooling.init) ?? .cls) : nil)
  }
}
