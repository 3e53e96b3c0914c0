// Everything that decides a pretraining, in one file that a person writes: YAML, or JSON, which is YAML too.
import Foundation
import JSON
import Layers
import OrderedCollections
import Tensors
import TrainingData
import Yams

/// What is pretrained, on what, and how.
public struct Recipe: Sendable {
  /// Where token numbers come from.
  public enum TokenizerSource: Sendable, Equatable {
    /// A tokenizer.json, a model folder or a GGUF file.
    case path(String)
    /// Learnt from the data: `bpe`, `unigram` or `wordpiece`.
    case trained(kind: String, vocabulary: Int)
  }

  /// How long to train: whichever comes first.
  public struct Budget: Sendable, Equatable {
    public var steps: Int?
    public var tokens: Int?
    public var minutes: Double?
  }

  public var sizes: ModelSizes
  public var tokenizer: TokenizerSource

  public var files: [String]
  public var corpus = CorpusOptions()
  /// Of the data, held out.
  public var validationShare: Double
  public var packing: PackedBatches.Packing

  public var batch: Int
  public var sequenceLength: Int
  public var budget: Budget
  public var optimizer = OptimizerOptions()
  public var trainer: TrainerOptions
  public var seed: UInt64
  public var precision: ProductPrecision
  public var recomputation: Recomputation
  public var validationBatches: Int
  /// Steps between lines of progress.
  public var logEvery: Int
  /// Steps between samples of what the model writes; 0 for none.
  public var sampleEvery: Int
  public var samplePrompt: String

  /// The fields as they were given, flags included.
  public let fields: JSONValue

  /// Steps of the run: the smallest of its budgets; those of time are not among them.
  public static func steps(_ budget: Budget, tokensPerStep: Int) -> Int {
    let byTokens = budget.tokens.map { ($0 + tokensPerStep - 1) / tokensPerStep }
    return [budget.steps, byTokens].compactMap(\.self).min() ?? Int(Int32.max)
  }

  /// - Parameters:
  ///   - yaml: the recipe; nil for one of flags alone.
  ///   - path: for messages.
  ///   - overrides: what flags say, by the path of the field, such as `training.steps`.
  /// - Throws: ``TrainingError`` that names the field and what was expected.
  public init(yaml: String?, path: String?, overrides: [(field: String, value: JSONValue)] = []) throws {
    do {
      var root: JSONValue = .object([:])
      if let yaml { root = try Self.value(of: try Yams.load(yaml: yaml) ?? [:], at: "") }
      for (field, value) in overrides { root.set(value, at: field.split(separator: ".").map(String.init)[...]) }
      try self.init(JSONField(root))
    } catch let error as JSONError {
      throw TrainingError(path: path, field: error.field, message: error.message)
    } catch let error as YamlError {
      throw TrainingError(path: path, message: "is no YAML: \(error)")
    } catch var error as TrainingError {
      error.path = error.path ?? path
      throw error
    }
  }

  private static func value(of any: Any, at path: String) throws -> JSONValue {
    switch any {
    case let bool as Bool: return .bool(bool)
    case let int as Int: return .int(int)
    case let double as Double: return .double(double)
    case let text as String: return .string(text)
    case is NSNull: return .null
    case let list as [Any]: return .array(try list.enumerated().map { try value(of: $1, at: "\(path)[\($0)]") })
    case let map as [AnyHashable: Any]:
      var entries: OrderedDictionary<String, JSONValue> = [:]
      for (key, entry) in map.sorted(by: { "\($0.key)" < "\($1.key)" }) {
        entries["\(key)"] = try value(of: entry, at: path.isEmpty ? "\(key)" : "\(path).\(key)")
      }
      return .object(entries)
    default: throw TrainingError(field: path, message: "expected text, a number, a list or a map")
    }
  }

  private init(_ root: JSONField) throws {
    fields = root.value
    try root.allow(["model", "tokenizer", "data", "training"])
    let model = try root.required("model"), data = try root.required("data")
    let training = root["training"] ?? JSONField(.object([:]))

    try model.allow([
      "family", "width", "layers", "heads", "keyValueHeads", "hiddenWidth", "contextLength", "tied",
    ])
    let size = { (name: String) in try model.required(name).int(in: 1...1 << 24) }
    sizes = ModelSizes(
      family: try model.choice("family", ModelSizes.Family.self) ?? .llama, vocabulary: 1,
      contextLength: try size("contextLength"), width: try size("width"), layers: try size("layers"),
      heads: try size("heads"), keyValueHeads: try model["keyValueHeads"]?.int(in: 1...1 << 12),
      hiddenWidth: try model["hiddenWidth"]?.int(in: 1...1 << 20), isTied: try model["tied"]?.bool() ?? true)
    try sizes.check()

    let tokenizer = try root.required("tokenizer")
    if case .string(let path) = tokenizer.value {
      self.tokenizer = .path(path)
    } else {
      try tokenizer.allow(["train", "vocabulary"])
      let kind = try tokenizer.required("train").string()
      guard ["bpe", "unigram", "wordpiece"].contains(kind) else {
        throw try tokenizer.required("train").error("\"\(kind)\" is not one of bpe, unigram, wordpiece")
      }
      self.tokenizer = .trained(kind: kind, vocabulary: try tokenizer.required("vocabulary").int(in: 260...1 << 20))
    }

    try data.allow(["files", "textField", "separator", "deduplicate", "skipBad", "validation", "packing"])
    files = try data.required("files").strings()
    corpus.textField = try data["textField"]?.string() ?? corpus.textField
    corpus.separator = try data["separator"]?.string()
    corpus.deduplicates = try data["deduplicate"]?.bool() ?? false
    corpus.skipsBad = try data["skipBad"]?.bool() ?? false
    validationShare = try data["validation"]?.double() ?? 0.05
    packing = try data["packing"]?.string() == "crops" ? .crops : .documents
    if let name = data["packing"], !["crops", "documents"].contains(try name.string()) {
      throw name.error("expected documents or crops")
    }

    try training.allow([
      "batch", "accumulate", "sequenceLength", "steps", "tokens", "minutes", "optimizer", "learningRate",
      "muonLearningRate", "momentum", "weightDecay", "beta1", "beta2", "epsilon", "schedule", "warmup", "finalShare",
      "decayShare", "clip", "seed", "precision", "recompute", "evaluateEvery", "evaluationBatches", "saveEvery", "keep",
      "spike", "skipsBack", "logEvery", "sampleEvery", "samplePrompt",
    ])
    let int = { (name: String, otherwise: Int) in try training[name]?.int(in: 0...1 << 40) ?? otherwise }
    let double = { (name: String, otherwise: Double) -> Double in
      guard let field = training[name] else { return otherwise }
      let value = try field.double()
      guard value >= 0 else { throw field.error("\(value) is below 0") }
      return value
    }
    batch = try max(1, int("batch", 8))
    sequenceLength = try int("sequenceLength", sizes.contextLength)
    guard (2...sizes.contextLength).contains(sequenceLength) else {
      throw TrainingError(
        field: "training.sequenceLength", message: "\(sequenceLength) is not in 2 ... \(sizes.contextLength)")
    }
    budget = Budget(
      steps: try training["steps"]?.int(in: 1...1 << 31), tokens: try training["tokens"]?.int(in: 1...1 << 50),
      minutes: try training["minutes"]?.double())
    guard budget != Budget() else {
      throw TrainingError(field: "training", message: "expected steps, tokens or minutes")
    }
    optimizer.kind = try training.choice("optimizer", OptimizerOptions.Kind.self) ?? .adamw
    optimizer.learningRate = Float(try double("learningRate", 1e-3))
    optimizer.muonLearningRate = Float(try double("muonLearningRate", 0.02))
    optimizer.momentum = Float(try double("momentum", 0.95))
    optimizer.weightDecay = Float(try double("weightDecay", 0.1))
    optimizer.beta1 = Float(try double("beta1", 0.9))
    optimizer.beta2 = Float(try double("beta2", 0.95))
    optimizer.epsilon = Float(try double("epsilon", 1e-8))
    let accumulation = try max(1, int("accumulate", 1))
    let steps = Self.steps(budget, tokensPerStep: batch * sequenceLength * accumulation)
    trainer = TrainerOptions(schedule: Schedule(
      try training.choice("schedule", Schedule.Kind.self) ?? .cosine, steps: steps,
      warmupSteps: try int("warmup", min(100, steps / 10)), finalShare: try double("finalShare", 0.1),
      decayShare: try double("decayShare", 0.2)))
    trainer.accumulation = accumulation
    trainer.clip = try double("clip", 1)
    trainer.seconds = budget.minutes.map { $0 * 60 }
    trainer.evaluateEvery = try int("evaluateEvery", 250)
    trainer.saveEvery = try int("saveEvery", 500)
    trainer.keep = try max(1, int("keep", 2))
    trainer.spike = try double("spike", 3)
    trainer.skipsBack = try int("skipsBack", 0)
    seed = UInt64(try int("seed", 1))
    precision = try training.choice("precision", ProductPrecision.self) ?? .preferred
    recomputation = try training.choice("recompute", Recomputation.self) ?? .nothing
    validationBatches = try max(1, int("evaluationBatches", 20))
    logEvery = try max(1, int("logEvery", 10))
    sampleEvery = try int("sampleEvery", 0)
    samplePrompt = try training["samplePrompt"]?.string() ?? ""
  }
}

extension JSONField {
  /// Complains of a field that nobody reads: a slip of the pen would otherwise go unnoticed.
  func allow(_ keys: [String]) throws(JSONError) {
    for (key, _) in try object() where !keys.contains(key) {
      throw JSONError(
        field: path.isEmpty ? key : "\(path).\(key)", message: "unknown; expected one of \(keys.joined(separator: ", "))")
    }
  }

  func choice<Choice: RawRepresentable & CaseIterable>(
    _ key: String, _ type: Choice.Type
  ) throws(JSONError) -> Choice? where Choice.RawValue == String {
    guard let field = self[key] else { return nil }
    let name = try field.string()
    guard let choice = Choice(rawValue: name) else {
      throw field.error("\"\(name)\" is not one of \(Choice.allCases.map(\.rawValue).joined(separator: ", "))")
    }
    return choice
  }
}

extension JSONValue {
  /// Puts a value at a path, making objects on the way.
  fileprivate mutating func set(_ value: JSONValue, at path: ArraySlice<String>) {
    guard let key = path.first else { return self = value }
    var entries: OrderedDictionary<String, JSONValue> = [:]
    if case .object(let own) = self { entries = own }
    var entry = entries[key] ?? .object([:])
    entry.set(value, at: path.dropFirst())
    entries[key] = entry
    self = .object(entries)
  }
}
