// What can be fuzzed: a target makes inputs from chance and uses them as a program would.
import ArgumentParser
import ChatTemplates

/// A reader of what strangers wrote.
protocol Target: Sendable {
  /// An input, determined by `random` alone.
  func input(_ random: inout SeededGenerator) -> [UInt8]

  /// Does with an input what a program does. Errors are thrown; everything else that goes wrong is a finding, and so is
  /// a promise that is not kept.
  func use(_ input: [UInt8]) throws
}

enum TargetName: String, CaseIterable, ExpressibleByArgument {
  case gguf, safetensors, folder, tokenizer, template, json

  func make() throws -> any Target {
    switch self {
    case .gguf: try GGUFTarget()
    case .safetensors: try SafetensorsTarget()
    case .folder: try FolderTarget()
    case .tokenizer: TokenizerTarget()
    case .template: TemplateTarget()
    case .json: JSONTarget()
    }
  }
}

/// Stops the process, which the supervisor reports with this input.
func promise(_ holds: Bool, _ what: @autoclosure () -> String) {
  if !holds { fatalError("a promise is not kept: " + what()) }
}

/// All runs of a campaign: which target each is for and what its input is.
struct Campaign: Sendable {
  private let targets: [(name: TargetName, target: any Target)]
  private let seed: UInt64

  /// - Parameter name: nil for all targets.
  init(_ name: TargetName?, seed: UInt64) throws {
    targets = try (name.map { [$0] } ?? TargetName.allCases).map { ($0, try $0.make()) }
    self.seed = seed
  }

  private func begin(run: Int) -> (name: TargetName, target: any Target, random: SeededGenerator) {
    var random = SeededGenerator(seed: seed, run: run)
    let (name, target) = random.pick(targets)
    return (name, target, random)
  }

  func input(run: Int) -> (name: TargetName, input: [UInt8]) {
    let (name, target, start) = begin(run: run)
    var random = start
    return (name, target.input(&random))
  }

  /// Makes the input of a run and uses it.
  /// - Returns: the target, and whether it accepted the input.
  func execute(run: Int) -> (TargetName, Bool) {
    let (name, target, start) = begin(run: run)
    var random = start
    do {
      try target.use(target.input(&random))
      return (name, true)
    } catch is TemplateError {
      // It quotes the template, whose text may have any number of lines.
      return (name, false)
    } catch {
      let line = "\(error)"
      promise(!line.isEmpty && !line.contains { $0.isNewline }, "an error is one line: \(line)")
      return (name, false)
    }
  }
}
