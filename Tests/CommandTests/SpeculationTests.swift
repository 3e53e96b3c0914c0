// Speculation as a user of the command meets it.
import Foundation
import TestSupport
import Testing

@Suite struct SpeculationCommandTests {
  private let folder: TemporaryFolder
  private let command: Executable

  init() throws {
    folder = try TemporaryFolder()
    command = Executable(home: folder.url)
  }

  private func write(_ name: String, _ architecture: TinyModel.Architecture, seed: UInt64 = 1) throws -> String {
    try TinyModel.write(to: folder.url.appendingPathComponent(name), architecture: architecture, seed: seed)
    return folder.path(name)
  }

  @Test func `answers are the same, and the statistics tell of the guesses`() throws {
    let model = try write("tiny.gguf", .llama), draft = try write("draft.gguf", .llama, seed: 2)
    let asked = ["run", model, "one two three one two three", "-n", "120", "--temperature", "0", "--stats"]
    var answers: Set<Data> = []
    for (arguments, guesses) in [
      (["--speculate", "off"], false), (["--speculate", "lookup"], nil), ([], nil), (["--draft-model", draft], nil),
      (["--draft-model", model], true),
    ] as [([String], Bool?)] {
      let result = try command.run(asked + arguments)
      #expect(result.status == 0, "\(result.errors)")
      answers.insert(result.output)
      if let guesses { #expect(result.errors.contains("guessed tokens were right") == guesses, "\(result.errors)") }
    }
    #expect(answers.count == 1)
  }

  @Test func `what cannot draft is refused in one line`() throws {
    let model = try write("tiny.gguf", .llama), other = try write("other.gguf", .gemma3)
    for (arguments, words, status) in [
      (["--draft-model", other], "other.gguf: tokenizer: ", 1),
      (["--draft-model", folder.path("none.gguf")], "none.gguf", 1),
      (["--draft-model", model, "--speculate", "off"], "--draft-model and --speculate exclude each other", 2),
      (["--speculate", "perhaps"], "perhaps", 2),
    ] as [([String], String, Int32)] {
      let result = try command.run(["run", model, "hello", "-n", "3"] + arguments)
      #expect(result.status == status && result.output.isEmpty, "\(result.errors)")
      #expect(result.errors.contains(words), "\(result.errors)")
    }
  }
}
