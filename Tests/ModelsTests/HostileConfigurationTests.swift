// config.json comes from strangers: what is missing, of another type, absurd or contradictory is named.
import Checkpoints
import JSON
import Models
import TestSupport
import Testing

@Suite struct HostileConfigurationTests {
  /// What is said of a family's tiny model after a change of its configuration; nil if nothing is wrong with it.
  private func complaint(_ family: String, _ change: (inout [String: JSONValue]) -> Void) throws -> String? {
    let fixture = try FamilyFixture(family)
    let text = try #require(try? String(contentsOfFile: fixture.path + "/config.json", encoding: .utf8))
    guard case .object(let entries) = try JSONValue(parsing: text.utf8) else { return nil }
    var fields = Dictionary(uniqueKeysWithValues: entries.map { ($0.key, $0.value) })
    change(&fields)
    let config = JSONValue.object(.init(uniqueKeysWithValues: fields.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }))
    do {
      let checkpoint = try ModelRegistry.open(fixture.path, config: JSONField(config))
      switch try ModelRegistry.shape(of: checkpoint) {
      case .decoder: _ = try Decoder(checkpoint)
      case .encoder: _ = try Encoder(checkpoint)
      case .encoderDecoder: _ = try EncoderDecoder(checkpoint)
      }
      return nil
    } catch {
      return "\(error)"
    }
  }

  @Test("A field that is missing is named", arguments: [
    ("llama", "num_hidden_layers", "block_count"), ("llama", "hidden_size", "embedding_length"),
    ("llama", "max_position_embeddings", "context_length"), ("llama", "rms_norm_eps", "layer_norm_rms_epsilon"),
    ("gpt2", "n_head", "head_count"), ("bert", "num_attention_heads", "head_count"), ("t5", "num_layers", "block_count"),
    ("mixtral", "num_experts_per_tok", "expert_used_count"), ("llama", "model_type", "model_type"),
  ])
  func missing(family: String, field: String, named: String) throws {
    let found = try #require(try complaint(family) { $0[field] = nil })
    #expect(found.contains(named) && found.contains("missing") && found.contains("config.json"), "\(found)")
  }

  @Test("A field of another type, or absurd, is named", arguments: [
    ("llama", "hidden_size", JSONValue.string("32"), "hidden_size: expected an integer, found a string"),
    ("llama", "hidden_size", -32, "hidden_size: expected an integer from 0"),
    ("llama", "hidden_size", 4_000_000_000, "embedding_length"), ("llama", "num_hidden_layers", 3000, "3000 layers"),
    ("llama", "num_hidden_layers", 0, "block_count"), ("llama", "num_attention_heads", 3, "head"),
    ("llama", "num_key_value_heads", 3, "3 key-value heads cannot be shared by 2 heads"),
    ("llama", "head_dim", 24, "no multiple of 16"), ("llama", "rms_norm_eps", 7, "is no epsilon"),
    ("llama", "rope_theta", 0, "rope.freq_base: expected a positive number"),
    ("llama", "rope_scaling", ["rope_type": "magic"], "“magic” is not one of default, linear"),
    ("llama-3", "rope_scaling", ["rope_type": "llama3", "factor": 8.0], "low_freq_factor: missing"),
    ("llama", "hidden_act", "mish", "\"mish\" is not one of silu"), ("llama", "intermediate_size", 64, "the shape [48, 32]"),
    ("llama", "model_type", "lama", "the nearest are llama"), ("gpt_neox-parallel", "rotary_pct", 7, "a share from 0 to 1"),
    ("mixtral", "num_local_experts", 4000, "4000, where tensor blk.0.ffn_gate_exps.weight has 3"),
    ("mixtral", "num_experts_per_tok", 9, "expected an integer from 1 to 3"),
    ("llama-3", "rotary_dim", 536_870_912, "rope.dimension_count: expected an integer from 2"),
    ("llama-3", "head_dim", 536_870_912, "attention.key_length: expected an integer from 1"),
    ("falcon-7b", "alibi", true, "ALiBi"), ("smollm3", "no_rope_layers", [1], "a flag for each of 2 layers"),
    ("bart", "decoder_ffn_dim", 96, "differs from encoder_ffn_dim"), ("t5", "relative_attention_num_buckets", 4, "the shape"),
    ("t5", "num_decoder_layers", 900, "900 layers"), ("gemma2", "query_pre_attn_scalar", 0, "expected a positive number"),
  ] as [(String, String, JSONValue, String)])
  func absurd(family: String, field: String, value: JSONValue, message: String) throws {
    let found = try #require(try complaint(family) { $0[field] = value })
    #expect(found.contains(message), "\(found)")
  }
}
