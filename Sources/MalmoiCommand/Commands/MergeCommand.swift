// Making adapters part of their model, for programs that know none.
import Adapters
import ArgumentParser
import Checkpoints
import Foundation
import Malmoi
import Models
import Tensors

/// `folder` or `folder=0.7`
extension AdapterReference: ExpressibleByArgument {
  public init?(argument: String) {
    guard let place = argument.lastIndex(of: "="), let weight = Float(argument[argument.index(after: place)...]),
      weight.isFinite, !FileManager.default.fileExists(atPath: argument)
    else {
      self.init(path: argument)
      return
    }
    self.init(path: String(argument[..<place]), weight: weight)
  }
}

/// Adapters that are put into a model without being merged.
struct AdapterArguments: ParsableArguments {
  @Option(name: .customLong("adapter"), help: ArgumentHelp(
    "A folder of malmoi finetune or of PEFT; several of LoRA add up, each with its weight.", valueName: "folder[=weight]"))
  var adapters: [AdapterReference] = []
}

struct MergeCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "merge", abstract: "Make adapters part of their model.",
    discussion: "OUT ends in .gguf for a file; otherwise it is a folder, which must not exist yet.")

  @Argument(help: "The model: a GGUF file, a folder, or a name of the catalog.") var model: String
  @Argument(help: "The adapter's folder, unless --adapter names it.") var adapter: AdapterReference?
  @Option(help: "What to write.") var out: String
  @Option(help: "How matrices that change are kept, such as f32, bf16 or q8_0.") var type = DataType.f32
  @OptionGroup var more: AdapterArguments
  @OptionGroup var hub: HubOptions

  func validate() throws {
    if adapter == nil, more.adapters.isEmpty { throw ValidationError("no adapter is named") }
  }

  func run() async throws {
    let source = try ModelSource(path: try await hub.pull(model).path)
    guard !FileManager.default.fileExists(atPath: out) else { throw Failure("\(out): exists already") }
    let all = (adapter.map { [$0] } ?? []) + more.adapters
    var checkpoint = source.checkpoint
    if let labels = try all.compactMap({ try $0.labels() }).last, try labels != checkpoint.classifierLabels() {
      checkpoint = try LabelledCheckpoint(checkpoint, labels: labels, seed: 0)
    }
    func together(_ model: some AdaptableModel) throws -> Adapter { try Adapter(all, for: model, of: checkpoint) }
    let learnt = switch source.shape {
    case .decoder: try together(Decoder(checkpoint))
    case .encoder: try together(Encoder(checkpoint))
    case .encoderDecoder: try together(EncoderDecoder(checkpoint))
    }
    try source.write(learnt.merged(into: checkpoint, dataType: type), to: out)
    Output.note("wrote \(out)")
  }
}
