// How the models of one Hugging Face kind correspond to GGUF: a table of names, and what is odd about them.
import JSON
import Tokenization

/// The correspondence of one kind of Hugging Face model with GGUF.
public struct HuggingFaceForm: Sendable {
  /// Values of `model_type` in `config.json`.
  public var modelTypes: [String]
  /// GGUF's name of the family.
  public var architecture: String
  /// Beginnings of tensor names that say nothing, such as `transformer.`; where several fit, the first counts.
  public var prefixes: [String]
  /// Beginnings of names that stand beside the model, without the prefix which its other parts share: heads.
  public var beside: [String]
  /// Tensor names without `.weight` and `.bias`; `{}` stands for a number, in both the same ones in order.
  public var names: [(from: String, to: String)]
  /// Ends of the names of tensors that hold nothing which was learnt.
  public var ignored: [String]
  /// What the shared table of ``ConfigurationTranslation`` does not say.
  public var describe: @Sendable (inout ConfigurationTranslation) throws -> Void
  /// The class that `transformers` makes of it, such as `LlamaForCausalLM`; nil for a form that is only read.
  public var className: String?
  /// Of several spellings of a size in `config.json`, those of this form.
  public var spellings: Set<String>
  /// Tensors without which a checkpoint is of another form.
  public var required: [String]
  /// Where layers that see a window and others alternate, whether a period begins with one that sees all.
  public var fullLayersFirst: Bool
  /// What this form's `config.json` says beside what all do.
  public var compose: @Sendable (any Checkpoint) throws -> [String: JSONValue]

  public init(
    _ modelTypes: [String], as architecture: String, class className: String? = nil, fullLayersFirst: Bool = false,
    prefixes: [String] = [], beside: [String] = ["lm_head"], spellings: Set<String> = [],
    names: [(from: String, to: String)], ignored: [String] = [], required: [String] = [],
    describe: @escaping @Sendable (inout ConfigurationTranslation) throws -> Void = { _ in },
    compose: @escaping @Sendable (any Checkpoint) throws -> [String: JSONValue] = { _ in [:] }
  ) {
    self.modelTypes = modelTypes
    self.architecture = architecture
    self.className = className
    self.spellings = spellings
    self.required = required
    self.compose = compose
    self.fullLayersFirst = fullLayersFirst
    self.prefixes = prefixes
    self.beside = beside
    self.names = names
    self.ignored = ignored + ["rotary_emb.inv_freq", ".position_ids", ".masked_bias"]
    self.describe = describe
  }

  /// What a tensor is called in GGUF: nil for one that is ignored.
  /// - Throws: ``CheckpointError`` for a tensor that has no place in this kind of model.
  func place(of tensor: String, path: String) throws(CheckpointError) -> (name: String, part: Int?)? {
    if ignored.contains(where: tensor.hasSuffix) { return nil }
    var stem = tensor, suffix = ""
    // The oldest BERT models spell them so.
    for (ending, meaning) in [(".weight", ".weight"), (".bias", ".bias"), (".gamma", ".weight"), (".beta", ".bias")]
    where stem.hasSuffix(ending) {
      stem.removeLast(ending.utf8.count)
      suffix = meaning
      break
    }
    if let prefix = prefixes.first(where: stem.hasPrefix) { stem.removeFirst(prefix.count) }
    let parts = stem.split(separator: ".", omittingEmptySubsequences: false)
    for (from, to) in names {
      guard let numbers = Self.match(parts, from) else { continue }
      var name = to, rest = numbers[...]
      while let hole = name.firstRange(of: "{}"), let number = rest.popFirst() { name.replaceSubrange(hole, with: number) }
      // A number too many counts the parts of one tensor.
      return (name + (to.hasSuffix(".bias") ? "" : suffix), rest.first.flatMap { Int($0) })
    }
    throw CheckpointError(
      path: path, field: "tensor \(tensor.printable)", message: "has no place in a model of type \(modelTypes[0])")
  }

  /// What a tensor of GGUF is called in a folder: a name, or one for each of the tensors that it is stacked of; nil for
  /// one that has no place.
  func names(of tensor: String, parts: Int) -> [String]? {
    var stem = tensor, suffix = ""
    for ending in [".weight", ".bias"] where stem.hasSuffix(ending) {
      stem.removeLast(ending.utf8.count)
      suffix = ending
    }
    for (from, to) in names {
      let isWhole = to.hasSuffix(".bias")
      guard let numbers = Self.match((isWhole ? tensor : stem).split(separator: ".", omittingEmptySubsequences: false), to)
      else { continue }
      var name = qualified(from), rest = numbers[...]
      while let number = rest.popFirst(), let hole = name.firstRange(of: "{}") { name.replaceSubrange(hole, with: number) }
      let end = isWhole ? "" : suffix
      guard let hole = name.firstRange(of: "{}") else { return [name + end] }
      return (0..<parts).map { name[..<hole.lowerBound] + String($0) + name[hole.upperBound...] + end }
    }
    return nil
  }

  /// A name with the beginning that the parts of a model share, but for heads, which stand beside it.
  func qualified(_ stem: String) -> String {
    (beside.contains(where: stem.hasPrefix) ? "" : prefixes.first ?? "") + stem
  }

  /// The numbers that stand for `{}`, nil where the name is another.
  private static func match(_ parts: [Substring], _ pattern: String) -> [Substring]? {
    let wanted = pattern.split(separator: ".", omittingEmptySubsequences: false)
    guard wanted.count == parts.count else { return nil }
    var numbers: [Substring] = []
    for (part, want) in zip(parts, wanted) {
      if want == "{}" {
        guard let number = Int(part), number >= 0, number < 1 << 16 else { return nil }
        numbers.append(part)
      } else if part != want {
        return nil
      }
    }
    return numbers
  }
}

