// What docs/ADDING_A_MODEL.md shows is what is compiled and compared with transformers.
import Foundation
import Models
import TestSupport
import Testing

@Suite struct DocumentTests {
  private static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent()

  private func text(_ path: String) throws -> String {
    try String(contentsOf: Self.root.appendingPathComponent(path), encoding: .utf8)
  }

  @Test func `the worked example is the family's own file, short, and among those that are compared`() throws {
    let document = try text("docs/ADDING_A_MODEL.md"), source = try text("Sources/Models/Families/OLMo2.swift")
    #expect(document.contains("```swift\n" + source + "```"))
    #expect(source.split(separator: "\n", omittingEmptySubsequences: false).count < 60)
    #expect(FamilyFixture.decoders.contains("olmo2"))
  }

  @Test func `a family takes fewer than 150 lines`() throws {
    let folder = Self.root.appendingPathComponent("Sources/Models/Families")
    for file in try FileManager.default.contentsOfDirectory(atPath: folder.path) {
      let source = try text("Sources/Models/Families/" + file)
      let families = max(1, source.components(separatedBy: "Family {").count - 1)
      let lines = source.split(separator: "\n", omittingEmptySubsequences: false).count
      #expect(lines / families < 150, "\(file) has \(lines) lines for \(families) families")
    }
  }
}
