// An adapter made part of its model: for programs that know no adapters, and where it will not change any more.
import Checkpoints
import Layers
import Models
import Tensors
import Tokenization

extension Adapter {
  /// A checkpoint whose model does what `checkpoint`'s does with this adapter; `GGUFWriter` and
  /// `ModelRegistry.folderWriter` write it. Tensors that the adapter does not touch are the base's as they are.
  /// - Parameter dataType: of matrices that change.
  /// - Throws: ``AdapterError`` for a method that changes no weights, or an adapter of another model.
  public func merged(into checkpoint: any Checkpoint, dataType: DataType = .f32) throws -> any Checkpoint {
    switch configuration.method {
    case .bottleneck, .prefix, .prompt:
      throw AdapterError(message: "\(configuration.name) adds parts to a model and cannot be merged into its weights")
    case .lora, .ia3, .bias, .lastLayers, .full: break
    }
    func merge(_ model: some AdaptableModel) throws -> MergedCheckpoint {
      var model = model
      try apply(to: &model)
      return try MergedCheckpoint(checkpoint, with: ModelParts(model), replaced: Set(tensors.keys), as: dataType)
    }
    return switch try ModelRegistry.shape(of: checkpoint) {
    case .decoder: try merge(Decoder(checkpoint))
    case .encoder: try merge(Encoder(checkpoint))
    case .encoderDecoder: try merge(EncoderDecoder(checkpoint))
    }
  }
}

/// A checkpoint some of whose tensors are made when they are asked for.
private final class MergedCheckpoint: Checkpoint {
  /// Some rows of a tensor, or numbers of a vector, and what becomes of them.
  private struct Piece {
    var rows: Range<Int>
    var change: @Sendable (inout [Float]) throws -> Void
  }

  /// What becomes of a tensor.
  private struct Change {
    var dataType: DataType
    var shape: [Int]
    /// Whether the base has none.
    var isNew: Bool
    var pieces: [Piece] = []
  }

  private let base: any Checkpoint
  private let changes: [String: Change]
  let tensorNames: [String]

  init(_ base: any Checkpoint, with parts: ModelParts, replaced: Set<String>, as dataType: DataType) throws {
    self.base = base
    guard dataType.quantized([Float](repeating: 0, count: dataType.elementsPerBlock)) != nil else {
      throw AdapterError(message: "tensors cannot be written as \(dataType.name)")
    }
    var changes: [String: Change] = [:]
    func add(
      _ path: ModulePath, _ shape: Shape, inputs: Int?, _ change: @escaping @Sendable (inout [Float]) throws -> Void
    ) throws {
      let count = shape.rank == 1 ? shape.columns : shape.rows
      let place = try Self.place(of: path, shape, inputs: inputs, in: base)
      let type = place.shape.count < 2 ? .f32 : place.shape[0] % dataType.elementsPerBlock == 0 ? dataType : .f32
      let piece = Piece(rows: place.first..<place.first + count, change: change)
      changes[place.name, default: Change(dataType: type, shape: place.shape, isNew: place.isNew)].pieces.append(piece)
    }
    let inputs = Dictionary(
      parts.slots.map { ($0.name + ".bias", $0.projection.inputs) }, uniquingKeysWith: { first, _ in first })
    for parameter in parts.parameters where parameter.role != .adapter && replaced.contains(parameter.name) {
      let tensor = parameter.tensor
      try add(parameter.path, tensor.shape, inputs: inputs[parameter.name]) { $0 = tensor.plainFloats().values }
    }
    let biases = Set(parts.parameters.map(\.name))
    for slot in parts.slots {
      guard let adapter = slot.projection as? any AdapterProjection else { continue }
      try add(slot.path, [adapter.outputs, adapter.inputs], inputs: nil) { try adapter.merge(into: &$0) }
      if biases.contains(slot.name + ".bias") {
        try add(slot.path / "bias", [adapter.outputs], inputs: adapter.inputs) { adapter.merge(intoBias: &$0) }
      }
    }
    self.changes = changes
    tensorNames = base.tensorNames + changes.filter(\.value.isNew).keys.sorted()
  }

  /// Where a parameter lies, or would lie: a bias that a model was given beside a matrix, beside that.
  private static func place(
    of path: ModulePath, _ shape: Shape, inputs: Int?, in base: any Checkpoint
  ) throws -> (name: String, first: Int, shape: [Int], isNew: Bool) {
    do {
      let location = try CheckpointLoader.find(path, shape, in: base), name = location.tensor.name
      return (name, location.first, try base.tensor(required: name).shape, false)
    } catch {
      guard path.parts.last == "bias", let inputs else { throw error }
      var matrix = ModulePath()
      for part in path.parts.dropLast() { matrix = matrix / part }
      let location = try CheckpointLoader.find(matrix, [shape.count, inputs], in: base), name = location.tensor.name
      let rows = try base.tensor(required: name).rowCount
      return (name.dropLast(".weight".utf8.count) + ".bias", location.first, [rows], true)
    }
  }

  var path: String { base.path }
  var metadata: GGUFMetadata { base.metadata }
  func contains(_ name: String) -> Bool { changes[name] != nil || base.contains(name) }

  var sizes: [TensorSize] {
    tensorNames.compactMap { name in
      if let change = changes[name] {
        let count = change.shape.reduce(1, *)
        return TensorSize(
          dataType: change.dataType, elementCount: count, byteCount: change.dataType.bytes(forElements: count) ?? 0)
      }
      return (try? base.tensor(name)).map {
        TensorSize(dataType: $0.dataType, elementCount: $0.elementCount, byteCount: $0.byteRange.count)
      }
    }
  }

  var byteCount: Int { sizes.reduce(0) { $0 + $1.byteCount } }

  func partCount(of name: String) -> Int? {
    base.partCount(of: name) ?? (changes[name] == nil ? nil : 1)
  }

  func part(_ index: Int, of name: String) throws(CheckpointError) -> GGUFTensor? {
    guard changes[name] != nil, let count = partCount(of: name), index < count else {
      return try base.part(index, of: name)
    }
    guard let whole = try tensor(name) else { return nil }
    let rows = whole.rowCount / count
    return whole.rows(index * rows..<(index + 1) * rows)
  }

  func tensor(_ name: String) throws(CheckpointError) -> GGUFTensor? {
    guard let change = changes[name] else { return try base.tensor(name) }
    let count = change.shape.reduce(1, *), columns = change.shape.count < 2 ? 1 : change.shape[0]
    var values: [Float]
    if let stored = try base.tensor(name) {
      let backend = CPUBackend.shared
      values = backend.floats(Tensor(stored, shape: [count / columns, columns], backend: backend)).values
    } else {
      values = [Float](repeating: 0, count: count)
    }
    for piece in change.pieces {
      let range = piece.rows.lowerBound * columns..<piece.rows.upperBound * columns
      var part = Array(values[range])
      do {
        try piece.change(&part)
      } catch {
        throw CheckpointError(path: path, field: "tensor \(name)", message: "\(error)")
      }
      values.replaceSubrange(range, with: part)
    }
    guard let bytes = change.dataType.quantized(values) else {
      throw CheckpointError(
        path: path, field: "tensor \(name)", message: "cannot be written as \(change.dataType.name)")
    }
    return GGUFTensor(name: name, dataType: change.dataType, shape: change.shape, bytes: bytes)
  }
}
