// Which families there are, and how a checkpoint becomes a model.
import Checkpoints
import Layers
import Tensors
import Tokenization

/// A family of decoders: which names it answers to in GGUF, and how its metadata are read.
protocol DecoderFamily: Sendable {
  static var architectures: [String] { get }
  static func configuration(_ file: GGUFFile) throws -> DecoderConfiguration
}

/// All families.
public enum ModelRegistry {
  static let decoders: [any DecoderFamily.Type] = [Llama.self, Gemma3.self]

  /// The names of all architectures that can be loaded.
  public static var architectures: [String] { decoders.flatMap { $0.architectures }.sorted() }

  /// What the file says of its model's shape.
  /// - Throws: `CheckpointError` for an unknown architecture or a contradiction in the metadata.
  public static func configuration(_ file: GGUFFile) throws -> DecoderConfiguration {
    let architecture = try file.metadata.string(required: "general.architecture")
    guard let family = decoders.first(where: { $0.architectures.contains(architecture) }) else {
      throw file.metadata.error(
        "general.architecture",
        "\"\(architecture.printable)\" is not one of the architectures that can be loaded: "
          + architectures.joined(separator: ", "))
    }
    return try family.configuration(file)
  }
}

extension Decoder {
  /// A decoder with the file's weights, repacked for the backend.
  /// - Throws: `CheckpointError` that names the tensor which is missing or has another shape.
  public init(_ file: GGUFFile, backend: any Backend = CPUBackend.shared) throws {
    self.init(try ModelRegistry.configuration(file), backend: backend)
    try visit(GGUFLoader(file, backend: backend), at: ModulePath())
  }
}
