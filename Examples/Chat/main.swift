// The shortest use of Malmoi: load a model, ask it something, show the answer as it is written.
import Malmoi

let model = try await LanguageModel.load("smollm2")
let session = LanguageModelSession(model: model, instructions: "Answer in one sentence.")
for try await piece in session.streamResponse(to: "What is a large language model?") {
  print(piece, terminator: "")
}
print()
