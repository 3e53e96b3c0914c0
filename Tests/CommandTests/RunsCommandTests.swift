// Training runs as someone looks at them who has only the command.
import Foundation
import JSON
import TestSupport
import Testing
import Tracking

@Suite struct RunsCommandTests {
  private let folder: TemporaryFolder
  private let executable: Executable

  init() throws {
    folder = try TemporaryFolder()
    executable = Executable(home: folder.url)
    for (name, width) in [("small", 64), ("large", 128)] {
      let run = try Run.create(
        in: folder.path("runs"), name: name, config: ["width": .int(width), "seed": 1], data: .object([:]),
        environment: .object([:]))
      for step in 0..<40 { try run.log(step: step, tokens: step * 512, [("loss", 64 / Double(step + width))]) }
      try run.finish()
    }
  }

  private func runs(_ arguments: String...) throws -> CommandResult {
    try executable.run(["runs"] + arguments + ["--root", folder.path("runs")])
  }

  @Test func `Runs are listed, shown and compared`() throws {
    let list = try runs("list")
    #expect(list.status == 0 && list.errors.isEmpty)
    let lines = String(decoding: list.output, as: UTF8.self).split(separator: "\n")
    #expect(lines.count == 3 && lines.dropFirst().allSatisfy { $0.contains("finished") && $0.contains("19,968") })
    let shown = try runs("show", "small")
    #expect(String(decoding: shown.output, as: UTF8.self).contains("\nconfig\n  width  64\n  seed   1\n"))
    let compared = String(decoding: try runs("compare", "small", "large").output, as: UTF8.self)
    #expect(compared.contains(/width +64 +128\n/) && !compared.contains("seed"))
  }

  @Test func `JSON is for programs`() throws {
    let list = try JSONField(JSONValue(parsing: Array(runs("list", "--json").output))).array()
    #expect(try Set(list.map { try $0.required("state").required("name").string() }) == ["small", "large"])
    let shown = try JSONField(JSONValue(parsing: Array(runs("show", "small", "--json").output)))
    #expect(try shown.required("metrics").required("loss").required("highest").required("value").double() == 1)
    let plot = try JSONField(JSONValue(parsing: Array(runs("plot", "large", "--over", "tokens", "--json").output)))
    #expect(try plot.required("curves").array().first?.required("points").array().count == 40)
  }

  @Test func `Curves are drawn in the terminal and as a picture`() throws {
    let text = String(decoding: try runs("plot", "small").output, as: UTF8.self)
    #expect(text.hasPrefix("loss\n") && text.hasSuffix(" step\n"))
    #expect(text.unicodeScalars.count { (0x2801...0x28FF).contains($0.value) } > 50)
    let both = String(decoding: try runs("plot", "small", "large", "--log").output, as: UTF8.self)
    #expect(both.contains(/\n {2}\*  small [0-9a-f]{6}\n {2}o  large [0-9a-f]{6}\n/))
    let picture = try runs("plot", "small", "large", "--smooth", "0.5", "--png", folder.path("loss.png"))
    #expect(picture.status == 0 && picture.output.isEmpty)
    #expect(try Data(contentsOf: folder.file("loss.png")).starts(with: [0x89, 0x50, 0x4E, 0x47]))
  }

  @Test func `What is not there is said in a line`() throws {
    let none = try runs("show", "nobody")
    #expect(none.status == 1 && none.output.isEmpty)
    #expect(none.errors == "malmoi: \(folder.path("runs")): has no run “nobody” "
      + "(an id, a name, the beginning of one, or last)\n")
    let metric = try runs("plot", "small", "--metric", "gradientNorm")
    #expect(metric.status == 1 && metric.errors.hasSuffix(": logged no gradientNorm; there is loss\n"))
    #expect(try runs("plot", "small", "--png", "/nowhere/x.png").complaints.count == 1)
    #expect(try runs("plot", "small", "--smooth", "1").status == 2)
    #expect(try executable.run(["runs", "list"]).status == 1)
  }
}
