// Any checkpoint as a Hugging Face folder: config.json and safetensors.
import Foundation
import JSON
import Tensors
import Tokenization

extension Checkpoint {
  /// Along its slowest axis, how many tensors a tensor could be cut into.
  fileprivate func slices(of name: String) -> Int {
    guard let shape = try? tensor(name)?.shape, shape.count > 1 else { return 1 }
    return shape[shape.count - 1]
  }
}

/// Writes a checkpoint into a folder as `transformers` reads it.
public struct HuggingFaceWriter {
  private let checkpoint: any Checkpoint
  let form: HuggingFaceForm
  private let config: JSONValue
  let transforms: [String: TensorTransform]
  /// The folder's tensors, and what each is made of.
  private let tensors: [(name: String, source: String, part: Int, parts: Int)]

  /// - Parameter forms: all that are known; the first one counts in which every tensor of the checkpoint has a place.
  /// - Throws: ``CheckpointError`` for a model of which no folder can be made.
  public init(_ checkpoint: any Checkpoint, forms: [HuggingFaceForm]) throws {
    self.checkpoint = checkpoint
    let architecture = try checkpoint.metadata.string(required: "general.architecture")
    var found: (form: HuggingFaceForm, tensors: [(name: String, source: String, part: Int, parts: Int)])?, missing = ""
    for form in forms
    where form.architecture == architecture && form.className != nil && form.required.allSatisfy(checkpoint.contains) {
      var tensors: [(name: String, source: String, part: Int, parts: Int)] = []
      let misfit = checkpoint.tensorNames.first { source in
        if source.hasPrefix("rope_f") { return false }
        guard let names = form.names(of: source, parts: checkpoint.slices(of: source)) else { return true }
        for (part, name) in names.enumerated() { tensors.append((name, source, part, names.count)) }
        return false
      }
      guard let misfit else {
        found = (form, tensors)
        break
      }
      missing = misfit
    }
    guard let found else {
      throw CheckpointError(
        path: checkpoint.path,
        field: missing.isEmpty ? "key general.architecture" : "tensor \(missing.printable)",
        message: "a Hugging Face folder cannot be written of this \(architecture.printable) model")
    }
    (form, tensors) = found
    config = try ConfigurationTranslation.configuration(of: checkpoint, form: form)
    do {
      // Read it as if it were a stranger's: what it does not say again would be lost.
      var read = try ConfigurationTranslation(JSONField(config), architecture: architecture, path: checkpoint.path)
      try form.describe(&read)
      transforms = read.transforms
      // The kind of pooling has a file of its own beside config.json.
      for key in checkpoint.metadata.keys where key.hasPrefix(architecture + ".") && !key.hasSuffix(".pooling_type") {
        try Self.check(key, checkpoint.metadata, read.metadata)
      }
    } catch let error as JSONError {
      throw CheckpointError(path: checkpoint.path, field: error.field, message: "config.json cannot say it: " + error.message)
    }
  }

  private static func check(_ key: String, _ own: GGUFMetadata, _ read: GGUFMetadata) throws(CheckpointError) {
    guard let value = own[key]?.float, let again = read[key]?.float else { return }
    guard abs(value - again) <= 1e-5 * max(abs(value), abs(again)) else {
      throw own.error(key, "\(value), of which config.json would make \(again)")
    }
  }

  /// Writes the folder; it takes its name only when it is complete.
  /// - Parameters:
  ///   - dataType: of matrices that are quantized: F32, F16 or BF16. Others keep theirs.
  ///   - more: writes further files, such as the tokenizer's, into the folder that it is given.
  ///   - progress: called with the tensors that are done, of how many.
  /// - Throws: ``CheckpointError``, or what `more` throws; then no folder is left behind.
  public func write(
    to path: String, dataType: DataType = .bf16, more: (_ folder: String) throws -> Void = { _ in },
    progress: @escaping (Int, Int) -> Void = { _, _ in }
  ) throws {
    let files = FileManager.default
    guard !files.fileExists(atPath: path) else { throw CheckpointError(path: path, message: "exists already") }
    let aside = path + ".\(ProcessInfo.processInfo.processIdentifier).partial"
    do {
      try files.createDirectory(atPath: aside, withIntermediateDirectories: false)
    } catch {
      throw CheckpointError(path: path, message: "cannot be written: " + ((error as NSError).localizedFailureReason ?? "\(error)"))
    }
    do {
      var writer = SafetensorsWriter(path: aside + "/model.safetensors"), done = 0
      for tensor in tensors {
        let made = try self.tensor(tensor.source, part: tensor.part, of: tensor.parts, as: dataType)
        guard let type = SafetensorsElementType(made.dataType) else {
          throw CheckpointError(
            path: checkpoint.path, field: "tensor \(tensor.source)", message: "\(made.dataType.name) has no place in safetensors")
        }
        try writer.addTensor(tensor.name, elementType: type, shape: made.shape.reversed()) { append in
          let made = try self.tensor(tensor.source, part: tensor.part, of: tensor.parts, as: dataType)
          try withExtendedLifetime(made) { try append(made.bytes) }
          done += 1
          progress(done, tensors.count)
        }
      }
      try writer.write(mostBytes: 5 << 30)
      let file = try AtomicFile(path: aside + "/config.json")
      try Array((config.text(indent: 2) + "\n").utf8).withUnsafeBytes(file.append)
      try file.commit()
      try more(aside)
      try files.moveItem(atPath: aside, toPath: path)
    } catch {
      try? files.removeItem(atPath: aside)
      throw error
    }
  }

  private func tensor(_ source: String, part: Int, of parts: Int, as dataType: DataType) throws -> GGUFTensor {
    var tensor = try checkpoint.tensor(required: source)
    if parts > 1 {
      let rows = tensor.shape.count == 1 ? tensor.rowLength / parts : tensor.rowCount / parts
      tensor = tensor.rows(part * rows..<(part + 1) * rows) ?? tensor
      if rows == 1, tensor.shape.count > 1 { tensor = tensor.replaced(shape: [tensor.rowLength], dataType: tensor.dataType, bytes: Array(tensor.bytes)) }
    }
    if tensor.dataType.isQuantized {
      let floats = CPUBackend.shared.floats(Tensor(tensor, backend: CPUBackend.shared)).values
      guard let bytes = dataType.quantized(floats) else {
        throw CheckpointError(path: checkpoint.path, field: "tensor \(source)", message: "cannot be written as \(dataType.name)")
      }
      tensor = tensor.replaced(shape: tensor.shape, dataType: dataType, bytes: bytes)
    }
    return try (transforms[HuggingFaceCheckpoint.local(source)] ?? .none).reverted(tensor, path: checkpoint.path)
  }
}
