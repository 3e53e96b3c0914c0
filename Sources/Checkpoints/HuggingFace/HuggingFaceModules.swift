// What a model's parts are called as modules of transformers, and how their rows lie there: adapters of other programs
// are made for those.
import Layers
import Tensors
import Tokenization

/// The correspondence of one checkpoint's model with the modules that transformers makes of it.
public struct HuggingFaceModules: Sendable {
  /// A part of a model as a module of transformers, or as some rows of one.
  public struct Place: Sendable {
    /// Such as `model.layers.3.self_attn.q_proj`.
    public var module: String
    /// For each of the part's rows its row in the module.
    public var rows: [Int]
    /// Rows of the whole module.
    public var moduleRows: Int
  }

  private let checkpoint: any Checkpoint
  private let form: HuggingFaceForm
  private let transforms: [String: TensorTransform]
  private let renames: [(from: String, to: String)]
  /// An encoder without a head is a class of its own, and its parts have no common beginning.
  private let isBare: Bool

  /// - Parameter forms: all that are known, for a checkpoint that is no folder.
  /// - Throws: ``CheckpointError`` for a model whose names in transformers cannot be told.
  public init(_ checkpoint: any Checkpoint, forms: [HuggingFaceForm]) throws {
    self.checkpoint = checkpoint
    if let folder = checkpoint as? HuggingFaceCheckpoint {
      (form, transforms, renames) = (folder.form, folder.transforms, folder.renames)
    } else {
      let writer = try HuggingFaceWriter(checkpoint, forms: forms)
      (form, transforms, renames) = (writer.form, writer.transforms, [])
    }
    let architecture = try checkpoint.metadata.string(required: "general.architecture")
    isBare = try checkpoint.metadata.bool("\(architecture).attention.causal") == false
      && !checkpoint.contains("cls.output.weight") && !checkpoint.contains("mlm.dense.weight")
  }

  /// The kind of model as `config.json` calls it.
  public var modelType: String { form.modelTypes[0] }

  /// Whether matrices lie there as `[inputs, outputs]` (GPT-2's Conv1D).
  public var isTransposed: Bool { transforms.values.contains(.transposed) }

  /// A module's name without what stands before it in some classes and not in others.
  public func stem(of module: String) -> String {
    guard let prefix = form.prefixes.first(where: module.hasPrefix) else { return module }
    return String(module.dropFirst(prefix.count))
  }

  /// The place of a part whose weight, or bias, has this shape.
  /// - Throws: ``CheckpointError`` for a part that has no place there.
  public func place(of path: ModulePath, shape: Shape) throws(CheckpointError) -> Place {
    let location = try CheckpointLoader.find(path, shape, in: checkpoint), stored = location.tensor.name
    let fault = { (message: String) in
      CheckpointError(path: checkpoint.path, field: "tensor \(stored.printable)", message: message)
    }
    var name = stored
    for (from, to) in renames {
      for suffix in [".weight", ".bias"] where stored == to + suffix { name = from + suffix }
    }
    let parts = location.expert == nil ? 1 : checkpoint.partCount(of: stored) ?? 1
    guard let names = form.names(of: name, parts: parts), names.indices.contains(location.expert ?? 0) else {
      throw fault("has no name in a model of type \(form.modelTypes[0])")
    }
    var module = names[location.expert ?? 0]
    for suffix in [".weight", ".bias"] where module.hasSuffix(suffix) { module.removeLast(suffix.utf8.count) }
    if isBare { module = stem(of: module) }
    let own = shape.rank == 1 ? shape.columns : shape.rows
    var all = own, first = 0
    if location.expert == nil, let whole = try checkpoint.tensor(stored) {
      all = whole.shape.count < 2 ? whole.elementCount : whole.rowCount
      first = location.first
    }
    guard first + own <= all else { throw fault("has \(all) rows, where the model's sizes ask for \(first + own)") }
    var order: [Int]?
    switch transforms[HuggingFaceCheckpoint.local(stored)] ?? .none {
    // Its rows are those of a table of positions, which is no module that adapters know.
    case .withoutRows: order = nil
    case let transform: order = try transform.order(rows: all, fault)
    }
    let rows = (first..<first + own).map { order?[$0] ?? $0 }
    return Place(module: module, rows: rows, moduleRows: all)
  }
}
