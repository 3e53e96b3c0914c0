// Names to files: what a person names is what is read, always in the same order.
import Foundation
import TestSupport
import Testing
import TrainingData

@Suite struct SourceFileTests {
  private func names(_ files: [SourceFile]) -> [String] {
    files.map { URL(fileURLWithPath: $0.path).lastPathComponent }
  }

  @Test func foldersAreReadWithAllThatIsBelowThem() throws {
    let folder = try TemporaryFolder()
    for name in [
      "b.txt", "a.md", "deep/er/c.jsonl", "deep/d.txt.gz", "e.bin", ".hidden.txt", ".git/f.txt", "g.json",
    ] {
      try folder.write("text", to: "data/" + name)
    }
    #expect(try names(SourceFile.find([folder.path("data")])) == ["a.md", "b.txt", "d.txt.gz", "c.jsonl", "g.json"])
    #expect(
      try names(SourceFile.find([folder.path("data")], kinds: [.text, .lines]))
        == ["a.md", "b.txt", "d.txt.gz", "c.jsonl"])
  }

  @Test func patternsAreExpandedInOrderAndNoFileIsReadTwice() throws {
    let folder = try TemporaryFolder()
    for name in ["2.txt", "10.txt", "1.txt", "1.md", "odd.name"] { try folder.write("text", to: name) }
    let found = try SourceFile.find(["2.txt", "?.*", "*.txt", "odd.name"].map { folder.path($0) })
    #expect(names(found) == ["2.txt", "1.md", "1.txt", "10.txt", "odd.name"])
    #expect(found.last?.kind == .text)
    try folder.write("text", to: "[odd].txt")
    #expect(try names(SourceFile.find([folder.path("[odd].txt")])) == ["[odd].txt"])
  }

  @Test func aNameThatStandsForNothingIsAnError() throws {
    let folder = try TemporaryFolder()
    try folder.write("text", to: "empty/e.bin")
    for name in ["missing.txt", "*.txt", "empty"] {
      let error = #expect(throws: TrainingDataError.self) { try SourceFile.find([folder.path(name)]) }
      #expect(error?.path == folder.path(name))
    }
    #expect(throws: TrainingDataError.self) { try SourceFile.find([]) }
  }
}
