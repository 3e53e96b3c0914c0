// What is kept on this machine: offline use, damage, obstacles, and the cache of other tools.
import Foundation
import Hub
import TestSupport
import Testing

@Suite struct StoreTests {
  private let folder: TemporaryFolder
  private let remote: FakeHub
  private let model = ggufBytes(200_000)
  private let reference: ModelReference

  init() throws {
    folder = try TemporaryFolder()
    remote = try FakeHub(files: ["m.Q4_0.gguf": model])
    reference = try ModelReference("hf:owner/model")
  }

  private func hub(_ environment: [String: String] = [:], catalog: Catalog = .standard) throws -> Hub {
    var configuration = try configuration(folder.url, endpoint: remote.server.url, more: environment)
    configuration.catalog = catalog
    return Hub(configuration: configuration)
  }

  @Test func `Offline, what is here is used and the network is not touched`() async throws {
    await #expect(throws: HubError.offline("hf:owner/model")) {
      try await hub(["HF_HUB_OFFLINE": "1"]).pull(reference)
    }
    #expect(remote.server.requests.isEmpty)
    let pulled = try await hub().pull(reference)
    remote.server.stop()
    #expect(try await hub(["HF_HUB_OFFLINE": "1"]).pull(reference) == pulled)
  }

  @Test func `A store that cannot be made is one line with its path and reason`() async throws {
    let file = try folder.write(Data(), to: "file")
    let store = file.appendingPathComponent("store")
    await #expect(throws: HubError.storage(
      path: store.appendingPathComponent("locks").path, reason: "the folder cannot be made: Not a directory")
    ) {
      try await hub(["MALMOI_HOME": store.path]).pull(reference)
    }
    #expect(try hub(["MALMOI_HOME": store.path]).list().isEmpty)
  }

  @Test(.enabled(if: FileManager.default.fileExists(atPath: "/dev/full"), "needs /dev/full"))
  func `A full disk is told as such`() async throws {
    let place = folder.file(".local/share/malmoi/models/hf+owner,model/m.Q4_0.gguf.partial")
    try FileManager.default.createDirectory(at: place.deletingLastPathComponent(), withIntermediateDirectories: true)
    try FileManager.default.createSymbolicLink(atPath: place.path, withDestinationPath: "/dev/full")
    await #expect(throws: HubError.diskFull(path: place.path, reason: "cannot be written: No space left on device")) {
      try await hub().pull(reference)
    }
  }

  /// In a process of its own, where the system lets no file grow beyond a limit: what fitted must stay.
  @Test func `A file that may not grow further is kept and finished when it may`() async throws {
    let (home, endpoint) = (folder.url.path, remote.server.url.absoluteString)
    await #expect(processExitsWith: .success) { [home = home as String, endpoint = endpoint as String] in
      signal(SIGXFSZ, SIG_IGN)
      var limit = rlimit(rlim_cur: 100_000, rlim_max: 100_000)
      #if os(Linux)
        try #require(setrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &limit) == 0)
      #else
        try #require(setrlimit(RLIMIT_FSIZE, &limit) == 0)
      #endif
      let url = try #require(URL(string: endpoint))
      let hub = Hub(configuration: try configuration(URL(fileURLWithPath: home), endpoint: url))
      await #expect {
        try await hub.pull(try ModelReference("hf:owner/model"))
      } throws: {
        guard case HubError.diskFull(_, "cannot be written: File too large") = $0 else { return false }
        return true
      }
    }
    #expect(try Data(contentsOf: await hub().pull(reference).url) == model)
    #expect(remote.requests(for: "m.Q4_0.gguf").last?.headers["range"] == "bytes=100000-")
  }

  @Test func `A manifest that is damaged is named, and a file that is gone is fetched again`() async throws {
    let pulled = try await hub().pull(reference)
    try FileManager.default.removeItem(at: pulled.url)
    #expect(try hub().resolve(reference) == nil)
    #expect(try Data(contentsOf: await hub().pull(reference).url) == model)
    let manifest = folder.file(".local/share/malmoi/manifests/hf+owner,model.json")
    for (text, reason) in [
      ("{", "no JSON"), ("{}", "“format” is missing"),
      (try String(contentsOf: manifest, encoding: .utf8).replacing("m.Q4_0.gguf", with: "../../x"),
        "a path in “files” has an empty, “.” or “..” part"),
    ] {
      try Data(text.utf8).write(to: manifest)
      #expect(throws: HubError.invalidManifest(path: manifest.path, reason: reason)) { try hub().resolve(reference) }
    }
    try hub().remove(reference)
    #expect(try hub().list().isEmpty)
  }

  @Test func `A model that another process works on is not removed`() async throws {
    _ = try await hub().pull(reference)
    let lock = try #require(try FileLock(at: folder.file(".local/share/malmoi/locks/hf+owner,model.lock")))
    #expect(throws: HubError.busy("hf:owner/model")) { try hub().remove(reference) }
    lock.release()
    try hub().remove(reference)
  }

  @Test func `What a broken pull left can be removed`() async throws {
    remote.fail("m.Q4_0.gguf", .truncate(after: 1000), .status(403))
    await #expect(throws: HubError.self) { try await hub().pull(reference) }
    try hub().remove(reference)
    #expect(throws: HubError.notInStore("hf:owner/model")) { try hub().remove(reference) }
  }

  @Test func `A pull that waits for another process says so and then uses its result`() async throws {
    let lock = try #require(try FileLock(at: folder.file(".local/share/malmoi/locks/hf+owner,model.lock")))
    let (waiting, progress) = (try hub(), ProgressLog())
    let second = Task { [reference] in try await waiting.pull(reference) { progress.add($0) } }
    while !progress.phases.contains(.waitingForOtherProcess) { try await Task.sleep(for: .milliseconds(10)) }
    #expect(remote.server.requests.isEmpty)
    lock.release()
    #expect(try Data(contentsOf: try await second.value.url) == model)
  }

  @Test func `Two processes that pull the same model fetch it once`() async throws {
    remote.fail("m.Q4_0.gguf", .slow(.milliseconds(150)))
    let (home, endpoint) = (folder.url.path, remote.server.url.absoluteString)
    @Sendable func pullInAnotherProcess() async {
      await #expect(processExitsWith: .success) { [home = home as String, endpoint = endpoint as String] in
        let url = try #require(URL(string: endpoint))
        let hub = Hub(configuration: try configuration(URL(fileURLWithPath: home), endpoint: url))
        let pulled = try await hub.pull(try ModelReference("hf:owner/model"))
        #expect(try Data(contentsOf: pulled.url) == ggufBytes(200_000))
      }
    }
    async let first: Void = pullInAnotherProcess()
    async let second: Void = pullInAnotherProcess()
    _ = await (first, second)
    #expect(remote.requests(for: "m.Q4_0.gguf").count == 1)
    #expect(try hub().list().count == 1)
  }

  @Test func `A model in the cache of Hugging Face's tools is used in place and never removed`() async throws {
    let blob = sha256(model)
    let repository = ".cache/huggingface/hub/models--owner--model"
    _ = try folder.write(model, to: "\(repository)/blobs/\(blob)")
    _ = try folder.write(Data("abc123".utf8), to: "\(repository)/refs/main")
    let link = folder.file("\(repository)/snapshots/abc123/m.Q4_0.gguf")
    try FileManager.default.createDirectory(at: link.deletingLastPathComponent(), withIntermediateDirectories: true)
    try FileManager.default.createSymbolicLink(atPath: link.path, withDestinationPath: "../../blobs/\(blob)")
    let found = try await hub().pull(reference)
    #expect(found.keeper == .huggingFaceCache && found.path == link.path)
    #expect(remote.server.requests.isEmpty)
    #expect(try hub().resolve(try ModelReference("hf:owner/model:m.Q4_0.gguf@abc123"))?.path == link.path)
    #expect(try hub().resolve(try ModelReference("hf:owner/model@other")) == nil)
    #expect(throws: HubError.notInStore("hf:owner/model")) { try hub().remove(reference) }
    #expect(FileManager.default.fileExists(atPath: link.path))
    #expect(try hub().list().isEmpty)

    // A catalog model has to be the right one, as far as the cache's own names tell.
    let place = Catalog.Place.hub(repository: "owner/model", revision: "main")
    for (digest, isFound) in [(blob, true), (String(repeating: "0", count: 64), false)] {
      let file = Catalog.File(path: "m.Q4_0.gguf", size: Int64(model.count), sha256: digest)
      let entry = Catalog.Entry(
        name: "cached", summary: "", license: "", main: "m.Q4_0.gguf", files: [file], places: [place])
      let hub = try hub(catalog: Catalog(entries: [entry], defaultName: "cached"))
      #expect((try hub.resolve(.catalog("cached")) != nil) == isFound)
    }

    try FileManager.default.removeItem(at: folder.file("\(repository)/blobs/\(blob)"))
    #expect(try hub().resolve(reference) == nil)
  }

  /// The server is much faster than who takes the bytes; in a process of its own, so that the peak is the pull's.
  @Test(.enabled(if: FileManager.default.fileExists(atPath: "/proc/self/status"), "reads the peak from /proc"))
  func `Memory stays small however slow the disk is`() async throws {
    let size = 200 << 20
    remote.set("big.gguf", .init(body: .pattern(start: 0, count: size), etag: "\"big\""))
    let (home, endpoint) = (folder.url.path, remote.server.url.absoluteString)
    await #expect(processExitsWith: .success) { [home = home as String, endpoint = endpoint as String] in
      let url = try #require(URL(string: endpoint))
      let hub = Hub(configuration: try configuration(URL(fileURLWithPath: home), endpoint: url))
      let before = try peakMemory()
      _ = try await hub.pull(try ModelReference("hf:owner/model:big.gguf")) { _ in Thread.sleep(forTimeInterval: 0.05) }
      #expect(try peakMemory() - before < 40 << 20)
    }
    #expect(try hub().list().map(\.manifest?.size) == [Int64(size)])
  }
}

/// The largest resident size that this process has had, in bytes.
private func peakMemory() throws -> Int {
  let status = try String(contentsOfFile: "/proc/self/status", encoding: .utf8)
  let match = try #require(status.firstMatch(of: /VmHWM:\s+(\d+) kB/))
  return try #require(Int(match.1)) << 10
}
