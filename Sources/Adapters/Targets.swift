// Which projections of a model are meant by the names that a person or a file gives.
import Checkpoints
import Layers
import Tokenization

extension AdapterConfiguration.Targets {
  /// The projections that are meant.
  /// - Throws: ``AdapterError`` that names what there is, where nothing is meant.
  func slots(of parts: ModelParts, modules: HuggingFaceModules?) throws -> [ModelParts.Slot] {
    let expression: NamePattern?
    do {
      expression = if case .pattern(let text) = self { try NamePattern(text) } else { nil }
    } catch {
      throw AdapterError(field: "target_modules", message: "is no regular expression: \(error)")
    }
    let found = try parts.slots.filter { slot in
      if case .all = self { return slot.isInLayer }
      let names = try slot.names(modules)
      if let expression { return names.contains(where: expression.matches) }
      guard case .named(let wanted) = self else { return false }
      return wanted.contains { name in !name.isEmpty && names.contains { $0 == name || $0.hasSuffix("." + name) } }
    }
    guard found.isEmpty else { return found }
    throw AdapterError(
      field: "target_modules",
      message: "\(described) match none of the model's parts, which are \(parts.summary(modules))")
  }

  private var described: String {
    switch self {
    case .all: "all projections"
    case .named(let names): names.prefix(8).map { "“\($0.printable)”" }.joined(separator: ", ")
    case .pattern(let text): "“\(text.printable)”"
    }
  }
}

extension ModelParts.Slot {
  /// Malmoi's name of a projection, GGUF's, and that of transformers.
  fileprivate func names(_ modules: HuggingFaceModules?) throws -> [String] {
    let gguf = CheckpointLoader.name(of: path), own = [name, String(gguf.dropLast(".weight".count))]
    guard let module = try? modules?.place(of: path, shape: [projection.outputs, projection.inputs]).module else {
      return own
    }
    return own + [module]
  }
}

extension ModelParts {
  /// The names of projections, each once, whichever layer it is in.
  func summary(_ modules: HuggingFaceModules?) -> String {
    var seen: [String] = []
    for slot in slots {
      let names = (try? slot.names(modules)) ?? [slot.name], name = names.count > 2 ? names[2] : names[0]
      let general = name.split(separator: ".").map { Int($0) == nil ? String($0) : "*" }.joined(separator: ".")
      if !seen.contains(general) { seen.append(general) }
    }
    return seen.joined(separator: ", ")
  }
}
