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
  /// Tensor names without `.weight` and `.bias`; `{}` stands for a number, in both the same ones in order.
  public var names: [(from: String, to: String)]
  /// Ends of the names of tensors that hold nothing which was learnt.
  public var ignored: [String]
  /// What the shared table of ``ConfigurationTranslation`` does not say.
  public var describe: @Sendable (inout ConfigurationTranslation) throws -> Void

  public init(
    _ modelTypes: [String], as architecture: String, prefixes: [String] = [], names: [(from: String, to: String)],
    ignored: [String] = [], describe: @escaping @Sendable (inout ConfigurationTranslation) throws -> Void = { _ in }
  ) {
    self.modelTypes = modelTypes
    self.architecture = architecture
    self.prefixes = prefixes
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

