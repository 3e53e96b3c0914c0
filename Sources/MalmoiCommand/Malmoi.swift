import ArgumentParser

@main
struct MalmoiCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(commandName: "malmoi", abstract: "A complete large-language-model system.")
}
