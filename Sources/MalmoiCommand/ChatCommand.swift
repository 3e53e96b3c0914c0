// The commands of a chat, all of which begin with a slash.
import Foundation
import Malmoi

/// A line of a chat that is not for the model.
enum ChatCommand: String, CaseIterable {
  case help, clear, system, save, stats, retry, exit

  /// The argument that the command takes, and what it does.
  var usage: (argument: String, summary: String) {
    switch self {
    case .help: ("", "lists the commands")
    case .clear: ("", "forgets the conversation, but not the instructions")
    case .system: ("TEXT", "gives the model new instructions; without TEXT it shows them")
    case .save: ("FILE", "writes the conversation: Markdown where FILE ends in .md, otherwise JSON")
    case .stats: ("", "tells how fast the last answer was, and how full the context is")
    case .retry: ("", "asks the last question again")
    case .exit: ("", "leaves, as Ctrl-D does")
    }
  }

  static var overview: String {
    let names = allCases.map { "/\($0) \($0.usage.argument)" }, width = names.map(\.count).max() ?? 0
    let lines = zip(allCases, names).map { command, name in
      "  " + name.padding(toLength: width + 2, withPad: " ", startingAt: 0) + command.usage.summary
    }
    return (lines + [
      "A line that ends in \\ goes on in the next one. Ctrl-C stops the answer, or clears the line.",
      "A space before the slash sends a line to the model as it is.",
    ]).joined(separator: "\n")
  }

  /// What a line asks for; nil for a line that is for the model.
  /// - Throws: a ``Failure`` that names the nearest command to one that there is not.
  static func parse(_ line: String) throws -> (command: ChatCommand, argument: String)? {
    guard line.hasPrefix("/") else { return nil }
    let parts = line.dropFirst().split(separator: " ", maxSplits: 1, omittingEmptySubsequences: false)
    let name = parts.first.map(String.init) ?? ""
    let argument = (parts.count > 1 ? String(parts[1]) : "").trimmingCharacters(in: .whitespacesAndNewlines)
    guard let command = ChatCommand(rawValue: name) else {
      let nearest = allCases.min { editDistance(name, $0.rawValue) < editDistance(name, $1.rawValue) } ?? .help
      throw Failure("there is no /\(name); did you mean /\(nearest)? /help lists the commands")
    }
    if command.usage.argument.isEmpty, !argument.isEmpty { throw Failure("/\(command) takes no argument") }
    return (command, argument)
  }
}
