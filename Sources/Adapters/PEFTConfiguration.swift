// adapter_config.json as PEFT writes it, and the same for methods that PEFT does not know.
import Checkpoints
import Foundation
import JSON
import Layers
import OrderedCollections
import Tensors
import Tokenization

/// What a folder's `adapter_config.json` says.
struct PEFTConfiguration {
  var configuration: AdapterConfiguration
  /// Alphas of single modules, by regular expressions for the ends of their names; the first that matches counts.
  var alphas: [(pattern: NamePattern, alpha: Double)] = []
  /// Ranks of single modules.
  var ranks: [(pattern: NamePattern, rank: Int)] = []

  static let fileName = "adapter_config.json"

  /// Methods of the folders that Malmoi alone reads: PEFT has none of these.
  static let ownTypes = ["ADAPTER", "BITFIT", "LAST_LAYERS", "FULL"]
  private static let types = ["LORA", "IA3", "PREFIX_TUNING", "PROMPT_TUNING"] + ownTypes

  /// Reads the file in this folder.
  /// - Throws: ``AdapterError`` that names the file and the field.
  init(folder: String) throws {
    let path = folder + "/" + Self.fileName
    do {
      let file = try MappedFile(path: path)
      guard file.bytes.count <= 1 << 22 else {
        throw AdapterError(path: path, message: "has \(file.bytes.count) bytes, more than 4 million")
      }
      self = try withExtendedLifetime(file) { try PEFTConfiguration(JSONField(JSONValue(parsing: file.bytes))) }
    } catch let error as JSONError {
      throw AdapterError(path: path, field: error.field, message: error.message)
    } catch var error as AdapterError {
      error.path = path
      throw error
    } catch {
      throw AdapterError(path: path, message: (error as? MappedFile.Failure)?.reason ?? "\(error)")
    }
  }

  init(_ json: JSONField) throws {
    let type = try json.required("peft_type"), name = try type.string()
    guard Self.types.contains(name) else {
      throw type.error("“\(name.printable)” is not one of \(Self.types.joined(separator: ", "))")
    }
    let method: AdapterConfiguration.Method
    switch name {
    case "LORA": method = .lora(try Self.lowRank(json))
    case "IA3": method = .ia3
    case "PREFIX_TUNING": method = .prefix(tokens: try Self.tokens(json))
    case "PROMPT_TUNING": method = .prompt(tokens: try Self.tokens(json))
    case "BITFIT": method = .bias
    case "LAST_LAYERS":
      method = .lastLayers(
        try json.required("last_layers").int(in: 1...AdapterConfiguration.mostRank),
        head: try json["trains_head"]?.bool() ?? false)
    case "FULL": method = .full
    default:
      let activation = try json.required("non_linearity")
      let spelling = try activation.string()
      guard let known = Activation(rawValue: spelling) else {
        throw activation.error("“\(spelling.printable)” is not one of silu, gelu, geluTanh, relu, tanh")
      }
      method = .bottleneck(.init(
        width: try json.required("bottleneck_size").int(in: 1...AdapterConfiguration.mostRank), activation: known,
        followsAttention: try json["follows_attention"]?.bool() ?? true))
    }
    configuration = AdapterConfiguration(method, baseModel: try json["base_model_name_or_path"]?.string())
    if let targets = json["target_modules"] {
      switch targets.value {
      case .string(let text): configuration.targets = text.lowercased() == "all-linear" ? .all : .pattern(text)
      default: configuration.targets = .named(try targets.strings())
      }
    }
    try readPatterns(json)
  }

  private static func tokens(_ json: JSONField) throws -> Int {
    try json.required("num_virtual_tokens").int(in: 1...AdapterConfiguration.mostTokens)
  }

  private static func lowRank(_ json: JSONField) throws -> AdapterConfiguration.LowRank {
    // What changes the computation and is not done here.
    for key in [
      "lora_bias", "use_qalora", "target_parameters", "layer_replication", "trainable_token_indices", "arrow_config",
      "alora_invocation_tokens", "kasa_config", "use_bdlora", "velora_config", "monteclora_config",
    ] {
      guard let field = json[key] else { continue }
      switch field.value {
      case .bool(false), .array([]), .object([:]): continue
      default: throw field.error("not supported")
      }
    }
    // These change the base too, which would have to be changed in the same way.
    if let start = json["init_lora_weights"], case .string(let name) = start.value,
      !["gaussian", "eva", "orthogonal"].contains(name.lowercased())
    {
      throw start.error("“\(name.printable)” changes the base model's weights: not supported")
    }
    return .init(
      rank: try json.required("r").int(in: 1...AdapterConfiguration.mostRank),
      alpha: try json["lora_alpha"]?.double() ?? 8,
      isRankStabilized: try json["use_rslora"]?.bool() ?? false,
      isWeightDecomposed: try json["use_dora"]?.bool() ?? false)
  }

  private mutating func readPatterns(_ json: JSONField) throws {
    func read<Value>(_ key: String, _ value: (JSONField) throws -> Value) throws -> [(NamePattern, Value)] {
      guard let entries = try json[key]?.object() else { return [] }
      return try entries.map { name, entry in
        let field = JSONField(entry, path: "\(key).\(name.printable)")
        do {
          return (try NamePattern("(?:.*\\.)?(?:\(name))"), try value(field))
        } catch let error as JSONError {
          throw error
        } catch {
          throw field.error("is no regular expression: \(error)")
        }
      }
    }
    ranks = try read("rank_pattern") { try $0.int(in: 1...AdapterConfiguration.mostRank) }
    alphas = try read("alpha_pattern") { try $0.double() }
  }

  func rank(of module: String) -> Int? { ranks.first { $0.pattern.matches(module) }?.rank }

  func alpha(of module: String) -> Double? { alphas.first { $0.pattern.matches(module) }?.alpha }
}

extension AdapterConfiguration {
  /// The fields of `adapter_config.json` that follow from the method alone.
  func fields(task: String) -> OrderedDictionary<String, JSONValue> {
    var fields: OrderedDictionary<String, JSONValue> = [
      "peft_type": "", "task_type": .string(task), "inference_mode": true,
      "base_model_name_or_path": baseModel.map { .string($0) } ?? .null,
    ]
    switch method {
    case .lora(let form):
      fields["peft_type"] = "LORA"
      fields["r"] = .int(form.rank)
      fields["lora_alpha"] = Int(exactly: form.alpha).map { .int($0) } ?? .double(form.alpha)
      fields["lora_dropout"] = 0.0
      fields["use_dora"] = .bool(form.isWeightDecomposed)
      fields["use_rslora"] = .bool(form.isRankStabilized)
      fields["init_lora_weights"] = true
      fields["bias"] = "none"
    case .ia3:
      fields["peft_type"] = "IA3"
      fields["init_ia3_weights"] = true
    case .prefix(let tokens):
      fields["peft_type"] = "PREFIX_TUNING"
      fields["num_virtual_tokens"] = .int(tokens)
      fields["prefix_projection"] = false
    case .prompt(let tokens, _):
      fields["peft_type"] = "PROMPT_TUNING"
      fields["num_virtual_tokens"] = .int(tokens)
      fields["prompt_tuning_init"] = "RANDOM"
      fields["num_transformer_submodules"] = 1
    case .bottleneck(let form):
      fields["peft_type"] = "ADAPTER"
      fields["bottleneck_size"] = .int(form.width)
      fields["non_linearity"] = .string(form.activation.rawValue)
      fields["follows_attention"] = .bool(form.followsAttention)
    case .bias: fields["peft_type"] = "BITFIT"
    case .lastLayers(let count, let head):
      fields["peft_type"] = "LAST_LAYERS"
      fields["last_layers"] = .int(count)
      fields["trains_head"] = .bool(head)
    case .full: fields["peft_type"] = "FULL"
    }
    return fields
  }

  /// Whether a folder of it is one that PEFT reads.
  var isPEFT: Bool {
    switch method {
    case .lora, .ia3, .prefix, .prompt: true
    case .bottleneck, .bias, .lastLayers, .full: false
    }
  }
}
