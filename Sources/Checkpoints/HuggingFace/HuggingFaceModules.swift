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
    /// What is odd about its numbers there.
    let transform: TensorTransform

    /// Whether a matrix lies there as `[inputs, outputs]`.
    public var isTransposed: Bool { transform == .transposed }

    /// The part's numbers, `[rows, columns]`, of the whole module's parameter as the folder holds it.
    /// - Parameter columns: nil for a vector.
    public func part(of values: [Float], columns: Int?) -> [Float] {
      let width = columns ?? 1, shift: Float = transform == .plusOne ? 1 : 0
      let isTransposed = transform == .transposed && columns != nil
      return rows.flatMap { row in
        (0..<width).map { values[isTransposed ? $0 * moduleRows + row : row * width + $0] + shift }
      }
    }

    /// Puts the part's numbers into the whole module's parameter as the folder holds it.
    public func put(_ part: [Float], columns: Int?, into values: inout [Float]) {
      let width = columns ?? 1, shift: Float = transform == .plusOne ? 1 : 0
      let isTransposed = transform == .transposed && columns != nil
      for (own, row) in rows.enumerated() {
        for column in 0..<width {
          values[isTransposed ? column * moduleRows + row : row * width + column] = part[own * width + column] - shift
        }
      }
    }
  }

  private let checkpoint: any Checkpoint
  /// The folder that the checkpoint is, or stands on.
  private let folder: HuggingFaceCheckpoint?
  private let form: HuggingFaceForm
  private let transforms: [String: TensorTransform]
  /// An encoder without a head is a class of its own, and its parts have no common beginning.
  private let isBare: Bool

  /// - Parameter forms: all that are known, for a checkpoint that is no folder.
  /// - Throws: ``CheckpointError`` for a model whose names in transformers cannot be told.
  public init(_ checkpoint: any Checkpoint, forms: [HuggingFaceForm]) throws {
    self.checkpoint = checkpoint
    folder = ((checkpoint as? any CheckpointOverlay)?.base ?? checkpoint) as? HuggingFaceCheckpoint
    if let folder {
      (form, transforms) = (folder.form, folder.transforms)
    } else {
      let writer = try HuggingFaceWriter(checkpoint, forms: forms)
      (form, transforms) = (writer.form, writer.transforms)
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

  /// The names of the tensors that one of GGUF's is made of: of a folder those that it has, which may be spelt without
  /// the beginning that they share.
  private func names(of stored: String, isExpert: Bool) -> [String]? {
    if let names = folder?.sources(of: stored) { return names }
    guard folder == nil || checkpoint is any CheckpointOverlay else { return nil }
    return form.names(of: stored, parts: isExpert ? checkpoint.partCount(of: stored) ?? 1 : 1)
  }

  /// The place of a part whose weight, or bias, has this shape.
  /// - Throws: ``CheckpointError`` for a part that has no place there.
  public func place(of path: ModulePath, shape: Shape) throws(CheckpointError) -> Place {
    let location = try CheckpointLoader.find(path, shape, in: checkpoint), stored = location.tensor.name
    let fault = { (message: String) in
      CheckpointError(path: checkpoint.path, field: "tensor \(stored.printable)", message: message)
    }
    guard let names = names(of: stored, isExpert: location.expert != nil), names.indices.contains(location.expert ?? 0)
    else { throw fault("has no name in a model of type \(form.modelTypes[0])") }
    var module = names[location.expert ?? 0]
    for suffix in [".weight", ".bias", ".gamma", ".beta"] where module.hasSuffix(suffix) {
      module.removeLast(suffix.utf8.count)
      break
    }
    module = stem(of: module)
    if !isBare { module = form.qualified(module) }
    let own = shape.rank == 1 ? shape.columns : shape.rows
    var all = own, first = 0
    if location.expert == nil, let whole = try checkpoint.tensor(stored) {
      all = whole.shape.count < 2 ? whole.elementCount : whole.rowCount
      first = location.first
    }
    guard first + own <= all else { throw fault("has \(all) rows, where the model's sizes ask for \(first + own)") }
    let transform = transforms[HuggingFaceCheckpoint.local(stored)] ?? .none
    if case .withoutRows = transform { throw fault("has other rows than its module, which no adapter can change") }
    let order = try transform.order(rows: all, fault)
    let rows = (first..<first + own).map { order?[$0] ?? $0 }
    return Place(module: module, rows: rows, moduleRows: all, transform: transform)
  }
}
