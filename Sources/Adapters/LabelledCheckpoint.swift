// An encoder with a classifier that its files do not have: for labels that it has never seen.
import Checkpoints
import Models
import Tensors
import Tokenization

/// An encoder's checkpoint with a new classifier. Everything else is the base's.
///
/// A map that stands before the scores stays where the base has one; ModernBERT's is the one before its words' scores.
public final class LabelledCheckpoint: CheckpointOverlay {
  package let base: any Checkpoint
  public let metadata: GGUFMetadata
  /// The paths of parts that hold random numbers.
  public let newParts: [String]
  private let made: [String: GGUFTensor]

  /// - Parameter seed: decides the new numbers, normal with a deviation of 0.02.
  /// - Throws: `CheckpointError` where the base is no encoder, ``AdapterError`` for no labels.
  public init(_ base: any Checkpoint, labels: [String], seed: UInt64) throws {
    guard try ModelRegistry.shape(of: base) == .encoder else {
      throw CheckpointError(path: base.path, message: "is no encoder, and takes no classifier")
    }
    guard (1...1 << 16).contains(labels.count) else {
      throw AdapterError(message: "a classifier of \(labels.count) labels, where 1 to 65536 are possible")
    }
    let architecture = try base.metadata.string(required: "general.architecture")
    let width = try base.tensor(required: "token_embd.weight").rowLength
    var made: [String: GGUFTensor] = [:], parts = ["classifier.output"]
    func add(_ name: String, _ shape: [Int], deviation: Float) {
      var random = NamedRandom(seed: seed, name: name)
      let count = shape.reduce(1, *)
      let values = deviation > 0 ? random.normal(count, deviation: deviation) : [Float](repeating: 0, count: count)
      made[name] = GGUFTensor(name: name, dataType: .f32, shape: shape, bytes: values.withUnsafeBytes { Array($0) })
    }
    add("cls.output.weight", [width, labels.count], deviation: 0.02)
    add("cls.output.bias", [labels.count], deviation: 0)
    if !base.contains("cls.weight") {
      if architecture == "modern-bert", base.contains("mlm.dense.weight") {
        for (own, theirs) in [("cls", "mlm.dense"), ("cls.norm", "mlm.norm")] {
          for suffix in [".weight", ".bias"] {
            guard let tensor = try base.tensor(theirs + suffix) else { continue }
            made[own + suffix] = GGUFTensor(
              name: own + suffix, dataType: tensor.dataType, shape: tensor.shape, bytes: Array(tensor.bytes))
          }
        }
      } else {
        add("cls.weight", [width, width], deviation: 0.02)
        add("cls.bias", [width], deviation: 0)
        parts.append("classifier.dense")
      }
    }
    var metadata = base.metadata
    metadata.set("\(architecture).classifier.output_labels", .strings(labels))
    (self.base, self.metadata, self.made, newParts) = (base, metadata, made, parts)
  }

  public var path: String { base.path }

  public var tensorNames: [String] {
    base.tensorNames.filter { made[$0] == nil } + made.keys.sorted()
  }

  public var sizes: [TensorSize] {
    tensorNames.compactMap { name in
      (try? tensor(name)).map {
        TensorSize(dataType: $0.dataType, elementCount: $0.elementCount, byteCount: $0.byteRange.count)
      }
    }
  }

  public var byteCount: Int { sizes.reduce(0) { $0 + $1.byteCount } }

  public func contains(_ name: String) -> Bool { made[name] != nil || base.contains(name) }

  public func partCount(of name: String) -> Int? { made[name] == nil ? base.partCount(of: name) : 1 }

  public func part(_ index: Int, of name: String) throws(CheckpointError) -> GGUFTensor? {
    guard let own = made[name] else { return try base.part(index, of: name) }
    return index == 0 ? own : nil
  }

  public func tensor(_ name: String) throws(CheckpointError) -> GGUFTensor? {
    if let own = made[name] { return own }
    return try base.tensor(name)
  }
}

extension Checkpoint {
  /// The names of an encoder's labels, in the order of its scores; empty for a model that gives none.
  /// - Throws: `CheckpointError` for metadata of another type.
  public func classifierLabels() throws -> [String] {
    guard let scores = try tensor("cls.output.weight") else { return [] }
    let architecture = try metadata.string(required: "general.architecture")
    let names = try metadata.strings("\(architecture).classifier.output_labels")
    return (0..<scores.rowCount).map { index in
      names.flatMap { index < $0.count ? $0.string(at: index) : nil } ?? "LABEL_\(index)"
    }
  }
}
