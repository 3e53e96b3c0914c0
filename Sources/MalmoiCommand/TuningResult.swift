// What a fine-tuning leaves behind: a folder beside the model, or a model.
import Adapters
import Checkpoints
import Foundation
import Malmoi
import Models
import Tensors
import Training

/// Where the result of a fine-tuning goes, and in which form.
struct TuningResult {
  let out: String
  private let tuning: FineTuning
  private let source: ModelSource
  private let type: DataType
  private let givesModel: Bool

  init(_ tuning: FineTuning, _ source: ModelSource, out: String, type: DataType, givesModel: Bool) {
    (self.tuning, self.source, self.out, self.type, self.givesModel) = (tuning, source, out, type, givesModel)
  }

  private var isFile: Bool { out.hasSuffix(".gguf") }

  /// Where the run's checkpoints are.
  var checkpoints: String { beside("checkpoints") }

  /// Where the run's records are.
  var runs: String { beside("runs") }

  private func beside(_ name: String) -> String {
    isFile ? String(out.dropLast(".gguf".count)) + "." + name : out + "/" + name
  }

  /// Finds out before the training what could not be written after it.
  func check() throws {
    let files = FileManager.default
    let ready = [isFile ? out : out + "/config.json", out + "/adapter_config.json"].first(where: files.fileExists)
    if let ready { throw Failure("\(ready): exists already") }
    guard givesModel, !isFile else { return }
    do {
      _ = try ModelRegistry.folderWriter(for: tuning.merged())
    } catch {
      throw Failure("\(error); --out may name a .gguf file instead")
    }
  }

  func write() throws {
    guard givesModel else { return try tuning.writeAdapter(to: out) }
    try source.write(tuning.merged(dataType: type), to: out)
  }
}

extension ModelSource {
  /// Writes a checkpoint that was made of this model, with its tokenizer: a GGUF file where `path` ends so, else a
  /// folder, which may be there but have no model.
  func write(_ changed: any Checkpoint, to path: String) throws {
    guard !path.hasSuffix(".gguf") else { return try writeGGUF(changed, to: path) }
    let files = FileManager.default, writer = try ModelRegistry.folderWriter(for: changed)
    guard files.fileExists(atPath: path) else {
      return try writer.write(to: path, more: writeCompanions)
    }
    // The folder is there with the run's checkpoints: the model is written beside them and moved in, config.json last.
    let aside = path + "/model.partial"
    try? files.removeItem(atPath: aside)
    try writer.write(to: aside, more: writeCompanions)
    let last = "config.json", names = try files.contentsOfDirectory(atPath: aside)
    for name in names.filter({ $0 != last }) + [last] {
      try? files.removeItem(atPath: path + "/" + name)
      try files.moveItem(atPath: aside + "/" + name, toPath: path + "/" + name)
    }
    try files.removeItem(atPath: aside)
  }
}
