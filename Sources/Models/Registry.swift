// Which families there are, and how a checkpoint becomes a model.
import Checkpoints
import Foundation
import JSON
import Layers
import Tensors
import Tokenization

/// A family of models: what it is called in GGUF, and in which forms Hugging Face folders hold it.
protocol ModelFamily: Sendable {
  static var architectures: [String] { get }
  static var forms: [HuggingFaceForm] { get }
}

/// A family of decoders, and how its metadata are read.
protocol DecoderFamily: ModelFamily {
  static func configuration(_ checkpoint: any Checkpoint) throws -> DecoderConfiguration
}

/// A family of encoders, and how its metadata are read.
protocol EncoderFamily: ModelFamily {
  static func configuration(_ checkpoint: any Checkpoint) throws -> EncoderConfiguration
}

/// A family of encoder–decoders, and how its metadata are read.
protocol EncoderDecoderFamily: ModelFamily {
  static func configuration(_ checkpoint: any Checkpoint) throws -> EncoderDecoderConfiguration
}

/// The shape of a transformer.
public enum ModelShape: Sendable {
  case decoder, encoder, encoderDecoder
}

/// All families.
public enum ModelRegistry {
  static let decoders: [any DecoderFamily.Type] = [
    Llama.self, SmolLM3.self, Qwen.self, Gemma.self, GPT2.self, GPTJ.self, GPTNeoX.self, StableLM.self, Phi3.self,
    OLMo2.self, Falcon.self, EXAONE.self,
  ]
  static let encoders: [any EncoderFamily.Type] = [BERT.self, ModernBERT.self]
  static let encoderDecoders: [any EncoderDecoderFamily.Type] = [T5.self, BART.self]
  static var families: [any ModelFamily.Type] { decoders + encoders + encoderDecoders }

  /// The names of all architectures that can be loaded.
  public static var architectures: [String] { families.flatMap { $0.architectures }.sorted() }

  /// Opens a GGUF file, or a Hugging Face folder with `config.json` and safetensors files.
  /// - Throws: `CheckpointError` that names the file and what is wrong with it.
  public static func open(_ path: String) throws -> any Checkpoint {
    var isFolder: ObjCBool = false
    guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder), isFolder.boolValue else {
      return try GGUFFile(path: path)
    }
    let file = path + "/config.json"
    let config: JSONField
    do {
      let mapped = try MappedFile(path: file)
      config = try withExtendedLifetime(mapped) { JSONField(try JSONValue(parsing: mapped.bytes)) }
    } catch let error as JSONError {
      throw CheckpointError(path: file, field: error.field, message: error.message)
    } catch {
      throw CheckpointError(path: file, message: (error as? MappedFile.Failure)?.reason ?? "\(error)")
    }
    return try open(path, config: config)
  }

  /// Opens a Hugging Face folder with this `config.json`.
  package static func open(_ path: String, config: JSONField) throws -> any Checkpoint {
    let file = path + "/config.json", type: String
    do {
      type = try config.required("model_type").string()
    } catch {
      throw CheckpointError(path: file, field: error.field, message: error.message)
    }
    let forms = families.flatMap { $0.forms }
    guard let form = forms.first(where: { $0.modelTypes.contains(type) }) else {
      if let inner = config["text_config"]?["model_type"], let name = try? inner.string(),
        forms.contains(where: { $0.modelTypes.contains(name) })
      {
        throw CheckpointError(
          path: file, field: "model_type",
          message: "“\(type.printable)” reads pictures beside text, which is not supported; its text part alone is a "
            + "“\(name)” model, which a folder of that type or a GGUF file of it would be")
      }
      throw CheckpointError(
        path: file, field: "model_type", message: unknown(type, known: forms.flatMap(\.modelTypes)))
    }
    return try HuggingFaceCheckpoint(path: path, config: config, form: form)
  }

  /// Whether the checkpoint is of a decoder, an encoder or both.
  /// - Throws: `CheckpointError` for an unknown architecture.
  public static func shape(of checkpoint: any Checkpoint) throws -> ModelShape {
    let name = try checkpoint.metadata.string(required: "general.architecture")
    let isOne = { (family: any ModelFamily.Type) in family.architectures.contains(name) }
    if decoders.contains(where: isOne) { return .decoder }
    if encoders.contains(where: isOne) { return .encoder }
    if encoderDecoders.contains(where: isOne) { return .encoderDecoder }
    throw checkpoint.metadata.error("general.architecture", unknown(name, known: architectures))
  }

  /// Writes a checkpoint as a Hugging Face folder, config.json and safetensors.
  /// - Throws: `CheckpointError` for a family of which only GGUF files can be written.
  public static func folderWriter(for checkpoint: any Checkpoint) throws -> HuggingFaceWriter {
    try HuggingFaceWriter(checkpoint, forms: families.flatMap { $0.forms })
  }

  /// What the parts of a checkpoint's model are called in transformers.
  /// - Throws: `CheckpointError` for a file of a family whose names cannot be told from GGUF's.
  public static func modules(of checkpoint: any Checkpoint) throws -> HuggingFaceModules {
    try HuggingFaceModules(checkpoint, forms: families.flatMap { $0.forms })
  }

  /// What the checkpoint says of its model's shape.
  /// - Throws: `CheckpointError` for an unknown architecture or a contradiction in the metadata.
  public static func configuration(_ checkpoint: any Checkpoint) throws -> DecoderConfiguration {
    try family(of: checkpoint, among: decoders, as: "decoder").configuration(checkpoint)
  }

  static func encoderConfiguration(_ checkpoint: any Checkpoint) throws -> EncoderConfiguration {
    try family(of: checkpoint, among: encoders, as: "encoder").configuration(checkpoint)
  }

  /// What the checkpoint says of an encoder–decoder's shape.
  /// - Throws: `CheckpointError` for an unknown architecture or a contradiction in the metadata.
  public static func encoderDecoderConfiguration(_ checkpoint: any Checkpoint) throws -> EncoderDecoderConfiguration {
    try family(of: checkpoint, among: encoderDecoders, as: "encoder–decoder").configuration(checkpoint)
  }

  /// The most tokens of a text; nil for a model that sets no end.
  /// - Throws: `CheckpointError` for an unknown architecture or a contradiction in the metadata.
  public static func contextLength(of checkpoint: any Checkpoint) throws -> Int? {
    switch try shape(of: checkpoint) {
    case .decoder: try configuration(checkpoint).contextLength
    case .encoder: try encoderConfiguration(checkpoint).contextLength
    case .encoderDecoder: try encoderDecoderConfiguration(checkpoint).contextLength
    }
  }

  private static func family<Family>(
    of checkpoint: any Checkpoint, among families: [Family], as shape: String
  ) throws -> Family {
    let architecture = try checkpoint.metadata.string(required: "general.architecture")
    let family = families.first { (($0 as? any ModelFamily.Type)?.architectures ?? []).contains(architecture) }
    if let family { return family }
    let isKnown = architectures.contains(architecture)
    throw checkpoint.metadata.error(
      "general.architecture",
      isKnown ? "\"\(architecture)\" is no \(shape)" : unknown(architecture, known: architectures))
  }

  /// Says that a name is unknown, and which known ones are nearest to it.
  static func unknown(_ name: String, known: [String]) -> String {
    let nearest = known.sorted { (distance($0, name), $0) < (distance($1, name), $1) }.prefix(3)
    return "\"\(name.printable)\" is not one of the architectures that can be loaded; the nearest are "
      + "\(nearest.joined(separator: ", ")), of \(known.sorted().joined(separator: ", "))"
  }

  /// Letters to put in, take out or replace (Levenshtein 1966).
  private static func distance(_ a: String, _ b: String) -> Int {
    let b = Array(b.lowercased().utf8.prefix(64))
    var row = Array(0...b.count)
    for (i, x) in a.lowercased().utf8.prefix(64).enumerated() {
      var previous = row[0]
      row[0] = i + 1
      for (j, y) in b.enumerated() {
        (previous, row[j + 1]) = (row[j + 1], min(row[j + 1] + 1, row[j] + 1, previous + (x == y ? 0 : 1)))
      }
    }
    return row[b.count]
  }
}

extension DecoderConfiguration {
  /// Keeps the window on those layers that have one; without a pattern on all.
  mutating func keepWindows(_ checkpoint: any Checkpoint, default period: Int? = nil) throws {
    let pattern = try checkpoint.metadata.windowPattern(architecture: architecture, layers: layers, default: period)
    for (layer, seesWindow) in (pattern ?? []).enumerated() where !seesWindow { positions[layer].window = nil }
  }
}

extension Decoder {
  /// A decoder with the checkpoint's weights, repacked for the backend.
  /// - Throws: `CheckpointError` that names the tensor which is missing or has another shape.
  public init(_ checkpoint: any Checkpoint, backend: any Backend = CPUBackend.shared) throws {
    self.init(try ModelRegistry.configuration(checkpoint), backend: backend)
    try visit(CheckpointLoader(checkpoint, backend: backend), at: ModulePath())
  }
}
