// A conversation in the terminal.
import Foundation
import Malmoi

struct Chat {
  let session: LanguageModelSession
  let options: GenerationOptions
  let shiftsContext: Bool

  init(model: LanguageModel, instructions: String?, options: GenerationOptions, shiftsContext: Bool) {
    session = LanguageModelSession(model: model, instructions: instructions)
    self.options = options
    self.shiftsContext = shiftsContext
  }

  func run() async throws {
    while let line = readLine() {
      for try await piece in session.streamResponse(to: line, options: options) { Output.text(piece) }
      Output.text("\n")
    }
  }
}
