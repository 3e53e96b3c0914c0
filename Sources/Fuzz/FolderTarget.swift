// A stranger's Hugging Face folder: its config.json beside sound weights, its tokenizer.json, and whole folders.
import Checkpoints
import Foundation
import JSON
import Layers
import Models
import Tensors
import Tokenization

struct FolderTarget: Target {
  private let configurations: TextMutator
  private let tokenizers: TextMutator
  private let sketches: [FolderSketch]
  private let folder: String
  private let backend = CPUBackend(threads: 1)

  /// A Llama with experts in its second layer; every other family that is claimed misses most of its tensors.
  init() throws {
    folder = FileManager.default.temporaryDirectory.appendingPathComponent(
      "malmoi-fuzz-\(ProcessInfo.processInfo.processIdentifier)").path
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    var writer = SafetensorsWriter(path: folder + "/model.safetensors")
    func add(_ name: String, _ shape: [Int]) throws {
      let count = shape.reduce(4, *)
      try writer.addTensor(name, elementType: .f32, shape: shape, bytes: [UInt8](repeating: 0x3C, count: count))
    }
    try add("model.embed_tokens.weight", [8, 16])
    try add("model.norm.weight", [16])
    for layer in 0..<2 {
      let place = "model.layers.\(layer)."
      for norm in ["input_layernorm", "post_attention_layernorm"] { try add(place + norm + ".weight", [16]) }
      for part in ["q_proj", "k_proj", "v_proj", "o_proj"] { try add(place + "self_attn.\(part).weight", [16, 16]) }
      for part in ["gate_proj", "up_proj", "down_proj"] { try add(place + "mlp.\(part).weight", [16, 16]) }
    }
    try writer.write()
    let common = #""hidden_size":16,"num_hidden_layers":2,"num_attention_heads":1,"intermediate_size":16,"#
      + #""max_position_embeddings":32,"rms_norm_eps":1e-5,"vocab_size":8,"tie_word_embeddings":true"#
    configurations = TextMutator(
      corpus: [
        #"{"model_type":"llama","# + common
          + #","rope_scaling":{"rope_type":"llama3","factor":8.0,"low_freq_factor":1.0,"high_freq_factor":4.0,"#
          + #""original_max_position_embeddings":16}}"#,
        #"{"model_type":"qwen3","# + common + #","sliding_window":4,"use_sliding_window":true,"max_window_layers":1}"#,
        #"{"model_type":"gemma3_text","# + common + #","layer_types":["sliding_attention","full_attention"],"#
          + #""query_pre_attn_scalar":16,"rope_parameters":{"full_attention":{"rope_theta":1e6,"rope_type":"yarn"},"#
          + #""sliding_attention":{"rope_theta":1e4}}}"#,
        #"{"model_type":"mixtral","# + common + #","num_local_experts":4,"num_experts_per_tok":2}"#,
        #"{"model_type":"stablelm","# + common + #","partial_rotary_factor":0.5,"layer_norm_eps":1e-5}"#,
      ],
      dictionary: [
        "{", "}", "[", "]", ",", ":", "null", "true", "false", "0", "1", "-1", "0.5", "1e-5", "1e300", "16", "32",
        "\"head_dim\":", "\"num_key_value_heads\":", "\"rope_theta\":", "\"hidden_act\":\"gelu\"", "\"partial_rotary_factor\":",
        "\"longrope\"", "\"yarn\"", "\"linear\"", "\"gpt2\"", "\"bert\"", "\"t5\"", "\"bart\"", "\"falcon\"", "\"gpt_neox\"",
        "\"modernbert\"", "\"exaone4\"", "\"smollm3\"", "\"phi3\"", "\"olmo2\"", "\"gptj\"",
      ],
      signs: ["\":", "1e"])
    tokenizers = TextMutator(
      corpus: [
        #"{"added_tokens":[{"id":0,"content":"<u>","special":true,"normalized":false}],"normalizer":{"type":"NFKC"},"#
          + #""pre_tokenizer":{"type":"Metaspace","replacement":"▁","prepend_scheme":"first","split":true},"#
          + #""model":{"type":"Unigram","unk_id":0,"vocab":[["<u>",0],["▁",-1],["a",-2.5],["b",-3],["ab",-2]]}}"#,
        #"{"normalizer":{"type":"BertNormalizer","lowercase":true},"pre_tokenizer":{"type":"BertPreTokenizer"},"#
          + ###""decoder":{"type":"WordPiece","prefix":"##","cleanup":true},"model":{"type":"WordPiece","unk_token":"[U]","###
          + ###""continuing_subword_prefix":"##","max_input_chars_per_word":9,"vocab":{"[U]":0,"a":1,"##b":2,"ab":3}}}"###,
        #"{"pre_tokenizer":{"type":"Sequence","pretokenizers":[{"type":"Split","pattern":{"Regex":"\\p{L}+|(?=a)b{1,3}"},"#
          + #""behavior":"Isolated","invert":false},{"type":"ByteLevel","add_prefix_space":true,"use_regex":false}]},"#
          + #""post_processor":{"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"c","type_id":0}},"#
          + #"{"Sequence":{"id":"A","type_id":0}}],"pair":[],"special_tokens":{"c":{"id":"c","ids":[2],"tokens":["c"]}}},"#
          + #""decoder":{"type":"ByteLevel"},"model":{"type":"BPE","vocab":{"a":0,"b":1,"c":2,"Ġ":3,"ab":4,"abc":5},"#
          + #""merges":["a b",["ab","c"]],"unk_token":"c","fuse_unk":true,"byte_fallback":false}}"#,
      ],
      dictionary: [
        "{", "}", "[", "]", ",", ":", "null", "true", "-1", "0", "1", "4", "99999999", "1e30", "\"\"", "\"a\"", "\"Strip\"",
        "\"Replace\"", "\"Prepend\"", "\"Lowercase\"", "\"Precompiled\"", "\"Digits\"", "\"Punctuation\"", "\"Whitespace\"",
        "\"WordLevel\"", "\"ByteFallback\"", "\"Fuse\"", "\"type\":", "\"String\":", "\"Regex\":", "(", ")*", "[^", "{2,9}",
        "\\\\s", "\\\\p{N}", "(?!", "|", "\"dropout\":", "\"ignore_merges\":true", "\"precompiled_charsmap\":\"AAAA\"",
      ],
      signs: ["\":", "##", "(?"])
    sketches = [try .encoder(), try .encoderDecoder()]
    for sketch in sketches.indices {
      try FileManager.default.createDirectory(atPath: folder + "/\(sketch)", withIntermediateDirectories: false)
      try use([UInt8(2 + sketch)] + sketches[sketch].sound())
    }
  }

  func input(_ random: inout SeededGenerator) -> [UInt8] {
    switch random.below(4) {
    case 0: return [0] + configurations.input(&random)
    case 1: return [1] + tokenizers.input(&random)
    default:
      let sketch = random.below(sketches.count)
      return [UInt8(2 + sketch)] + sketches[sketch].input(&random)
    }
  }

  func use(_ input: [UInt8]) throws {
    guard let kind = input.first else { return }
    switch kind {
    case 0: try useConfiguration(input.dropFirst())
    case 1: try useTokenizer(Array(input.dropFirst()))
    default:
      guard sketches.indices.contains(Int(kind) - 2) else { return }
      try sketches[Int(kind) - 2].run(input.dropFirst(), in: folder + "/\(kind - 2)")
    }
  }

  private func useConfiguration(_ text: ArraySlice<UInt8>) throws {
    let checkpoint = try ModelRegistry.open(folder, config: JSONField(JSONValue(parsing: text)))
    guard try ModelRegistry.shape(of: checkpoint) == .decoder else { return }
    let model = try Decoder(checkpoint, backend: backend)
    let states = model([0, Int32(model.configuration.vocabulary - 1)], DenseContext(lengths: [2], isCausal: true))
    promise(model.logits(states).shape == [2, model.configuration.vocabulary], "there is a score for each token")
  }

  private func useTokenizer(_ bytes: [UInt8]) throws {
    let tokenizer = try Tokenizer(tokenizerJSON: bytes, file: "tokenizer.json")
    let text = "ab  Abc, 한글 é\u{301}\n12345 <u>"
    let ids = tokenizer.encode(text, specialTokens: .all)
    promise(ids.allSatisfy { $0 >= 0 && $0 < tokenizer.vocabularyCount }, "tokens are of the vocabulary")
    var decoder = StreamingDecoder(tokenizer, continuesText: false)
    for id in ids { _ = decoder.append(id) }
    _ = decoder.finish()
    for offset in try tokenizer.encoding(of: text, pair: "ab").offsets {
      promise(offset.upperBound <= text.unicodeScalars.count, "\(offset) is in the text")
    }
  }
}
