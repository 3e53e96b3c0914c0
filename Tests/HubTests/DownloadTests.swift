// The hub's protocol over a real socket, with the faults that a network has.
import Foundation
import Hub
import TestSupport
import Testing

@Suite struct DownloadTests {
  private let folder: TemporaryFolder
  private let remote: FakeHub
  private let model = ggufBytes(300_000)
  private let reference: ModelReference

  init() throws {
    folder = try TemporaryFolder()
    remote = try FakeHub(files: ["m.Q4_0.gguf": model, "m.F16.gguf": ggufBytes(1000)])
    reference = try ModelReference("hf:owner/model")
  }

  private func hub(_ environment: [String: String] = [:], _ change: (inout HubConfiguration) -> Void = { _ in })
    throws -> Hub
  {
    var configuration = try configuration(folder.url, endpoint: remote.server.url, more: environment)
    change(&configuration)
    return Hub(configuration: configuration)
  }

  private var partial: URL {
    folder.file(".local/share/malmoi/models/hf+owner,model/m.Q4_0.gguf.partial")
  }

  @Test func `A pulled model is chosen, verified, noted, listed and removed`() async throws {
    let (hub, progress) = (try hub(), ProgressLog())
    #expect(try hub.resolve(reference) == nil)
    let pulled = try await hub.pull(reference) { progress.add($0) }
    #expect(try Data(contentsOf: pulled.url) == model)
    #expect(pulled.kind == .gguf && pulled.keeper == .store && pulled.name == "hf:owner/model")
    let manifest = try hub.show(reference)
    #expect(manifest.files == [.init(path: "m.Q4_0.gguf", size: 300_000, sha256: sha256(model))])
    #expect(manifest.source == "hf:owner/model" && manifest.commit == remote.commit && manifest.license == "mit")
    #expect(abs(manifest.date.timeIntervalSinceNow) < 60)
    #expect(try hub.list() == [pulled])
    #expect(try hub.totalSize() == 300_000)
    #expect(try hub.path(of: reference) == pulled.path)
    #expect(try hub.resolve(try ModelReference("hf:owner/model:m.Q4_0.gguf"))?.path == pulled.path)
    #expect(progress.all.last?.bytes == 300_000 && progress.all.last?.total == 300_000)
    #expect(progress.all.allSatisfy { $0.place.isEmpty || $0.place == "hf:owner/model" })
    #expect(remote.requests(for: "m.Q4_0.gguf").map(\.path) == ["/owner/model/resolve/\(remote.commit)/m.Q4_0.gguf"])
    let count = remote.server.requests.count
    #expect(try await hub.pull(reference) == pulled)
    #expect(remote.server.requests.count == count)
    try hub.remove(reference)
    #expect(try hub.list().isEmpty)
    #expect(!FileManager.default.fileExists(atPath: pulled.path))
    #expect(throws: HubError.notInStore("hf:owner/model")) { try hub.remove(reference) }
  }

  @Test func `A body that breaks off is continued where it ended`() async throws {
    remote.fail("m.Q4_0.gguf", .truncate(after: 100_000), .truncate(after: 50_000))
    let pulled = try await hub().pull(reference)
    #expect(try Data(contentsOf: pulled.url) == model)
    let requests = remote.requests(for: "m.Q4_0.gguf")
    #expect(requests.map { $0.headers["range"] } == [nil, "bytes=100000-", "bytes=150000-"])
    #expect(requests.map { $0.headers["if-range"] != nil } == [false, true, true])
    #expect(requests.allSatisfy { $0.headers["accept-encoding"] == "identity" })
  }

  @Test func `What a failed pull left is used by the next one`() async throws {
    remote.fail("m.Q4_0.gguf", .truncate(after: 100_000), .status(403))
    await #expect(throws: HubError.accessDenied(repository: "owner/model", status: 403, tokenWasSent: false)) {
      try await hub().pull(reference)
    }
    #expect(try Data(contentsOf: partial) == model.prefix(100_000))
    let pulled = try await hub().pull(reference)
    #expect(try Data(contentsOf: pulled.url) == model)
    #expect(remote.requests(for: "m.Q4_0.gguf").last?.headers["range"] == "bytes=100000-")
    #expect(!FileManager.default.fileExists(atPath: partial.path))
  }

  @Test func `A file that changed between two tries is fetched anew`() async throws {
    remote.fail("m.Q4_0.gguf", .truncate(after: 100_000), .status(404))
    await #expect(throws: HubError.fileNotFound(
      file: "m.Q4_0.gguf", repository: "owner/model", revision: remote.commit)) { try await hub().pull(reference) }
    let changed = Data("GGUF".utf8) + LocalHTTPServer.pattern(start: 777, count: 250_000)
    remote.set("m.Q4_0.gguf", changed)
    let pulled = try await hub().pull(reference)
    #expect(try Data(contentsOf: pulled.url) == changed)
    #expect(remote.requests(for: "m.Q4_0.gguf").last?.headers["range"] == "bytes=100000-")
  }

  @Test func `A partial file longer than today's version is dropped`() async throws {
    remote.fail("m.Q4_0.gguf", .truncate(after: 200_000), .status(403))
    await #expect(throws: HubError.self) { try await hub().pull(reference) }
    remote.set("m.Q4_0.gguf", ggufBytes(1234))
    #expect(try Data(contentsOf: await hub().pull(reference).url) == ggufBytes(1234))
  }

  @Test func `A partial file that is damaged is found out and replaced`() async throws {
    remote.set("m.Q4_0.gguf", model, isLarge: true)
    remote.fail("m.Q4_0.gguf", .truncate(after: 100_000), .status(403))
    await #expect(throws: HubError.self) { try await hub().pull(reference) }
    var bytes = try Data(contentsOf: partial)
    bytes[5000] ^= 1
    try bytes.write(to: partial)
    #expect(try Data(contentsOf: await hub().pull(reference).url) == model)
    #expect(remote.requests(for: "m.Q4_0.gguf").last?.headers["range"] == nil)
  }

  @Test func `A server that asks for a pause gets it`() async throws {
    remote.fail("m.Q4_0.gguf", .status(429, headers: ["Retry-After": "1"]))
    let progress = ProgressLog()
    let time = try await ContinuousClock().measure { _ = try await hub().pull(reference) { progress.add($0) } }
    #expect(time >= .seconds(1))
    #expect(progress.phases.contains {
      if case .retrying(let reason, .seconds(1)) = $0 { reason.contains("429") } else { false }
    })
  }

  @Test func `A pause that is too long is an error that tells its length`() async throws {
    remote.fail("m.Q4_0.gguf", .status(503, headers: ["Retry-After": "7200"]))
    await #expect {
      try await hub().pull(reference)
    } throws: {
      guard case HubError.mustWait(7200, _) = $0 else { return false }
      return true
    }
  }

  @Test func `Passing failures are tried again, of the list and of a file`() async throws {
    remote.fail("api", .status(500), .status(502))
    remote.fail("m.Q4_0.gguf", .status(500), .dropBeforeAnswer, .status(504))
    #expect(try Data(contentsOf: await hub().pull(reference).url) == model)
    #expect(remote.requests(for: "m.Q4_0.gguf").count == 4)
  }

  @Test func `A failure that stays is given up after the last try`() async throws {
    remote.fail("m.Q4_0.gguf", .status(500), .status(500), .status(500), .status(500), .status(500))
    await #expect {
      try await hub().pull(reference)
    } throws: {
      guard case HubError.unexpectedStatus(500, _) = $0 else { return false }
      return true
    }
    #expect(remote.requests(for: "m.Q4_0.gguf").count == 4)
  }

  @Test func `Wrong content is thrown away`() async throws {
    remote.set("m.Q4_0.gguf", model, isLarge: true)
    var wrong = model
    wrong[9] ^= 1
    remote.fail("m.Q4_0.gguf", .replace(wrong, etag: "\"x\""))
    await #expect(throws: HubError.checksumMismatch(
      file: "m.Q4_0.gguf", expected: sha256(model), actual: sha256(wrong))) { try await hub().pull(reference) }
    #expect(!FileManager.default.fileExists(atPath: partial.path))
    #expect(try hub().list().isEmpty)
  }

  @Test func `A body of another size than the list told is refused`() async throws {
    remote.fail("m.Q4_0.gguf", .replace(ggufBytes(400_000), etag: "\"x\""))
    await #expect(throws: HubError.sizeMismatch(file: "m.Q4_0.gguf", expected: 300_000, actual: 400_000)) {
      try await hub().pull(reference)
    }
  }

  @Test(arguments: ["bytes 7-9/300000", "bytes", "", "bytes 0-9/99999999999999999999", "lines 0-9/300000"])
  func `A part that is not the one asked for is refused`(range: String) async throws {
    remote.fail("m.Q4_0.gguf", .status(206, headers: ["Content-Range": range]))
    await #expect {
      try await hub().pull(reference)
    } throws: {
      guard case HubError.malformedResponse = $0 else { return false }
      return true
    }
  }

  @Test func `Denied access tells what to do`() async throws {
    remote.require(token: "hf_secret")
    await #expect {
      try await hub().pull(reference)
    } throws: {
      $0 as? HubError == .accessDenied(repository: "owner/model", status: 401, tokenWasSent: false)
        && "\($0)".contains("set HF_TOKEN")
    }
    await #expect {
      try await hub(["HF_TOKEN": "hf_wrong"]).pull(reference)
    } throws: {
      "\($0)".contains("accept the licence of owner/model")
    }
    #expect(try Data(contentsOf: await hub(["HF_TOKEN": "hf_secret"]).pull(reference).url) == model)
  }

  @Test func `The token goes to the endpoint and not to where it redirects`() async throws {
    let elsewhere = try FakeHub(files: ["m.Q4_0.gguf": model])
    remote.redirect(to: elsewhere.server.url)
    remote.require(token: "hf_secret")
    #expect(try Data(contentsOf: await hub(["HF_TOKEN": "hf_secret"]).pull(reference).url) == model)
    #expect(remote.server.requests.allSatisfy { $0.headers["authorization"] == "Bearer hf_secret" })
    #expect(elsewhere.server.requests.count == 1)
    #expect(elsewhere.server.requests.allSatisfy { $0.headers["authorization"] == nil })
  }

  @Test func `Redirects that lead nowhere are errors`() async throws {
    remote.redirect(to: remote.server.url)
    await #expect {
      try await hub().pull(reference)
    } throws: {
      "\($0)".contains("more than ten redirects")
    }
    remote.redirect(to: URL(fileURLWithPath: "/etc/passwd"))
    await #expect {
      try await hub().pull(reference)
    } throws: {
      "\($0)".contains("a redirect to “file:")
    }
  }

  @Test func `A missing repository, revision or file is named`() async throws {
    await #expect(throws: HubError.repositoryNotFound("owner/other", revision: "main")) {
      try await hub().pull(try ModelReference("hf:owner/other"))
    }
    await #expect(throws: HubError.fileNotFound(file: "no.gguf", repository: "owner/model", revision: "main")) {
      try await hub().pull(try ModelReference("hf:owner/model:no.gguf"))
    }
  }

  @Test func `A list that leads out of the store, or is no list, is harmless`() async throws {
    remote.set("../../escape.gguf", ggufBytes(100))
    _ = try await hub().pull(reference)
    await #expect(throws: HubError.self) { try await hub().pull(try ModelReference("hf:owner/model:escape.gguf")) }
    let nonsense = try LocalHTTPServer { _ in .init(body: .data(Data("[1, 2".utf8))) }
    await #expect {
      try await hub { $0.endpoint = nonsense.url }.pull(try ModelReference("hf:owner/x"))
    } throws: {
      guard case HubError.malformedResponse(_, "no JSON") = $0 else { return false }
      return true
    }
  }

  @Test func `A cancelled pull leaves what it has`() async throws {
    remote.fail("m.Q4_0.gguf", .slow(.milliseconds(200)))
    let hub = try hub()
    let pull = Task { try await hub.pull(reference) }
    while ((try? Data(contentsOf: partial).count) ?? 0) < 100_000 { try await Task.sleep(for: .milliseconds(10)) }
    pull.cancel()
    await #expect(throws: CancellationError.self) { try await pull.value }
    let kept = try Data(contentsOf: partial)
    #expect(kept.count < model.count && kept == model.prefix(kept.count))
    #expect(try Data(contentsOf: await hub.pull(reference).url) == model)
    #expect(remote.requests(for: "m.Q4_0.gguf").last?.headers["range"] == "bytes=\(kept.count)-")
  }

  @Test func `A folder of safetensors is fetched file by file`() async throws {
    let repository = try FakeHub(
      repository: "owner/folder",
      files: ["config.json": Data("{}".utf8), "model.safetensors": model, "1_Pooling/config.json": Data("{ }".utf8)])
    let pulled = try await hub { $0.endpoint = repository.server.url }.pull(try ModelReference("hf:owner/folder@v2"))
    #expect(pulled.kind == .folder && pulled.files.count == 3)
    #expect(try Data(contentsOf: pulled.url.appendingPathComponent("model.safetensors")) == model)
    #expect(pulled.manifest?.source == "hf:owner/folder@v2")
  }

  @Test func `Nobody at the address is an error at once`() async throws {
    let endpoint = try closedEndpoint()
    let time = await ContinuousClock().measure {
      await #expect {
        try await hub {
          $0.endpoint = endpoint
          $0.retryDelays = [.seconds(60)]
        }.pull(reference)
      } throws: {
        guard case HubError.unreachable("127.0.0.1", _) = $0 else { return false }
        return true
      }
    }
    #expect(time < .seconds(40))  // a retry would wait 60; other tests run beside this one
  }

  @Test func `A server that says nothing is given up`() async throws {
    let silent = try LocalHTTPServer { _ in
      Thread.sleep(forTimeInterval: 30)
      return .init(status: 500)
    }
    let time = await ContinuousClock().measure {
      await #expect(throws: HubError.unreachable(host: "127.0.0.1", reason: "no answer within 0.3 seconds")) {
        try await hub {
          $0.endpoint = silent.url
          $0.responseTimeout = .milliseconds(300)
        }.pull(reference)
      }
    }
    #expect(time < .seconds(15))
  }
}
