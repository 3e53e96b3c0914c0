// From a Hugging Face folder to a GGUF file, and back.
import ArgumentParser
import Checkpoints
import Foundation
import Malmoi
import Models
import Tensors
import Tokenization

struct ConvertCommand: AsyncParsableCommand {
  enum PlainType: String, ExpressibleByArgument, CaseIterable {
    case f32, f16, bf16

    var dataType: DataType {
      switch self {
      case .f32: .f32
      case .f16: .f16
      case .bf16: .bf16
      }
    }
  }

  static let configuration = CommandConfiguration(
    commandName: "convert", abstract: "Turn a Hugging Face folder into a GGUF file, or a GGUF file into a folder.",
    discussion: "OUT ends in .gguf for a file; otherwise it is a folder, which must not exist yet.")

  @Argument(help: "The model: a folder, a GGUF file, or a name of the catalog.") var input: String
  @Argument(help: "What to write.") var output: String
  @Option(help: "How a folder holds matrices that are quantized in the file: bf16, f16 or f32.") var type = PlainType.bf16
  @OptionGroup var hub: HubOptions

  func run() async throws {
    let source = try ModelSource(path: try await hub.pull(input).path)
    if output.hasSuffix(".gguf") {
      try source.writeGGUF(to: output)
    } else {
      try ModelRegistry.folderWriter(for: source.checkpoint).write(
        to: output, dataType: type.dataType, more: { try source.writeCompanions(intoFolder: $0) }
      ) { done, all in Output.status("\(done) of \(all) tensors") }
      Output.status("")
    }
    Output.note("wrote \(output)")
  }
}
