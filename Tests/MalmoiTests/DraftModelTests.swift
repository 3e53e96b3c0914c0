// A draft model beside a model: what may draft for what, and that answers stay as they are.
import Checkpoints
import Foundation
import Malmoi
import TestSupport
import Testing

@Suite struct DraftModelTests {
  private let folder: URL

  init() throws {
    folder = FileManager.default.temporaryDirectory.appendingPathComponent("malmoi-draft-\(UUID())")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
  }

  private func write(_ name: String, _ architecture: TinyModel.Architecture, seed: UInt64 = 1) throws -> String {
    let file = folder.appendingPathComponent(name)
    try TinyModel.write(to: file, architecture: architecture, contextLength: 512, seed: seed)
    return file.path
  }

  @Test(arguments: TinyModel.Architecture.allCases)
  func `answers are the same with any speculation`(architecture: TinyModel.Architecture) async throws {
    defer { try? FileManager.default.removeItem(at: folder) }
    let path = try write("target.gguf", architecture), draft = try write("draft.gguf", architecture, seed: 2)
    var answers: Set<String> = []
    for options in [
      LanguageModel.Options(speculation: .off), .init(), .init(draftModel: draft), .init(draftModel: path),
    ] {
      let session = LanguageModelSession(model: try LanguageModel(path: path, options: options))
      let wishes = GenerationOptions(sampling: .random(top: 20, seed: 1), maximumResponseTokens: 100)
      let first = try await session.respond(to: "hello", options: wishes)
      let second = try await session.respond(to: "again", options: wishes)
      answers.insert(first.content + "|" + second.content)
    }
    #expect(answers.count == 1)
  }

  @Test func `a model of another vocabulary cannot draft`() throws {
    defer { try? FileManager.default.removeItem(at: folder) }
    let path = try write("target.gguf", .llama), draft = try write("draft.gguf", .gemma3)
    #expect {
      try LanguageModel(path: path, options: .init(draftModel: draft))
    } throws: { error in
      guard let error = error as? CheckpointError else { return false }
      return error.path == draft && error.field == "tokenizer"
        && error.message.hasSuffix(": it cannot draft for \(path)")
    }
    // As many tokens, of which one is spelled otherwise.
    var bytes = try Data(contentsOf: URL(fileURLWithPath: path))
    let piece = try #require(bytes.range(of: Data("<|im_start|>".utf8)))
    bytes.replaceSubrange(piece, with: Data("<|im_begin|>".utf8))
    try bytes.write(to: URL(fileURLWithPath: draft))
    #expect {
      try LanguageModel(path: path, options: .init(draftModel: draft))
    } throws: { error in
      ((error as? CheckpointError)?.message ?? "").contains("is not the same: it cannot draft for")
    }
    #expect(throws: CheckpointError.self) {
      try LanguageModel(path: path, options: .init(draftModel: folder.appendingPathComponent("none.gguf").path))
    }
  }
}
