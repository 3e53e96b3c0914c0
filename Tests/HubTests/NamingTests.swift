// How models are named, which file a repository's name stands for, and what surroundings mean.
import Foundation
import Hub
import TestSupport
import Testing

@Suite struct NamingTests {
  @Test(arguments: [
    ("smollm2", ModelReference.catalog("smollm2:135m")), ("smollm2:135m", .catalog("smollm2:135m")),
    ("gemma3:270m", .catalog("gemma3:270m")), ("minilm", .catalog("minilm")),
  ])
  func `A catalog name or alias is a catalog model`(text: String, expected: ModelReference) throws {
    #expect(try ModelReference(text) == expected)
  }

  @Test(arguments: [
    ("hf:owner/repo", "owner/repo", nil, "main"),
    ("hf:owner/repo:model.Q4_0.gguf", "owner/repo", "model.Q4_0.gguf", "main"),
    ("hf:owner/repo:sub/model.gguf@v1.0", "owner/repo", "sub/model.gguf", "v1.0"),
    ("hf:owner/repo@refs/pr/3", "owner/repo", nil, "refs/pr/3"),
    ("hf:a.b-c_d/E", "a.b-c_d/E", nil, "main"),
  ] as [(String, String, String?, String)])
  func `A hub reference has a repository, a file and a revision`(
    text: String, repository: String, file: String?, revision: String
  ) throws {
    guard case .hub(let reference) = try ModelReference(text) else {
      Issue.record("not a hub reference")
      return
    }
    #expect(reference.repository == repository)
    #expect(reference.file == file)
    #expect(reference.revision == revision)
    #expect(reference.description == text)
  }

  @Test(arguments: [
    "hf:", "hf:owner", "hf:owner/", "hf:/repo", "hf:a/b/c", "hf:../x", "hf:owner/..", "hf:o/r:../../etc/passwd",
    "hf:o/r:/etc/passwd", "hf:o/r:a//b", "hf:o/r:", "hf:o/r@", "hf:o/r@../x", "hf:o/r@a b", "hf:o r/x", "", "a\0b",
    "https://huggingface.co/owner/repo", "hf:o/r:a\nb", "hf:-o/r", "hf:o/a--b",
  ])
  func `A reference that cannot be meant is refused with a reason`(text: String) {
    #expect {
      try ModelReference(text)
    } throws: { error in
      guard case HubError.invalidReference(text, let reason) = error else { return false }
      return !reason.isEmpty
    }
  }

  @Test func `An unknown name is answered with the nearest known ones`() {
    #expect(throws: HubError.unknownModel("smolm2", nearest: ["smollm2", "minilm", "gemma3"])) {
      try ModelReference("smolm2")
    }
    #expect("\(HubError.unknownModel("gema3", nearest: ["gemma3"]))".contains("did you mean gemma3?"))
  }

  @Test func `A path that exists is used as it is, and one that does not is named`() throws {
    let folder = try TemporaryFolder()
    let file = try folder.write(ggufBytes(64), to: "own.gguf")
    #expect(try ModelReference(file.path) == .path(file.path))
    #expect(try ModelReference(folder.url.path) == .path(folder.url.path))
    #expect(throws: HubError.noSuchPath("./missing.gguf")) { try ModelReference("./missing.gguf") }
    #expect {
      try ModelReference("owner/repo")
    } throws: {
      "\($0)".contains("hf:owner/repo")
    }
  }

  @Test func `A path leads to a GGUF file or a folder with a config, and to nothing else`() throws {
    let folder = try TemporaryFolder()
    let hub = Hub(configuration: try configuration(folder.url, endpoint: closedEndpoint()))
    let model = try folder.write(ggufBytes(64), to: "own.gguf")
    let text = try folder.write(Data("not a model".utf8), to: "text.txt")
    _ = try folder.write(Data("{}".utf8), to: "full/config.json")
    _ = try folder.write(Data(), to: "bare/readme.txt")
    #expect(try hub.resolve(.path(model.path))?.kind == .gguf)
    #expect(try hub.resolve(.path(folder.file("full").path))?.kind == .folder)
    #expect(throws: HubError.notAModel(path: text.path, reason: "the file does not begin with “GGUF”")) {
      try hub.resolve(.path(text.path))
    }
    #expect(throws: HubError.notAModel(path: folder.file("bare").path, reason: "the folder has neither a GGUF file nor a config.json")) {
      try hub.resolve(.path(folder.file("bare").path))
    }
    _ = try folder.write(ggufBytes(64), to: "one/model.gguf")
    #expect(try hub.resolve(.path(folder.file("one").path))?.path.hasSuffix("one/model.gguf") == true)
    _ = try folder.write(ggufBytes(64), to: "one/other.gguf")
    let both = "the folder has several models, name one: model.gguf, other.gguf"
    #expect(throws: HubError.notAModel(path: folder.file("one").path, reason: both)) {
      try hub.resolve(.path(folder.file("one").path))
    }
    #expect(throws: HubError.notAModel(path: "/dev/null", reason: "not a regular file")) {
      try hub.resolve(.path("/dev/null"))
    }
  }
}

@Suite struct CatalogTests {
  @Test func `Names are unique, digests have 64 hexadecimal digits, and every place has every file`() {
    let catalog = Catalog.standard
    let names = catalog.entries.flatMap { [$0.name] + $0.aliases }
    #expect(Set(names).count == names.count)
    #expect(catalog[catalog.defaultName] != nil)
    for entry in catalog.entries {
      #expect(!entry.summary.isEmpty && !entry.license.isEmpty && !entry.places.isEmpty && !entry.files.isEmpty)
      #expect(Set(entry.files.map(\.path)).count == entry.files.count)
      for file in entry.files {
        #expect(file.sha256.wholeMatch(of: /[0-9a-f]{64}/) != nil, "\(file.path)")
        #expect(file.size > 0)
      }
      if let main = entry.main { #expect(entry.files.contains { $0.path == main }) }
      for case .python(let requirements, let contents) in entry.places {
        #expect(requirements.allSatisfy { $0.contains("==") })
        #expect(Set(contents.keys) == Set(entry.files.map(\.path)))
        #expect(contents.values.allSatisfy { !$0.isEmpty })
      }
    }
  }

  @Test func `The default model is SmolLM2`() {
    #expect(Catalog.standard.defaultName == "smollm2:135m")
  }
}

@Suite struct FileChoiceTests {
  private func choose(_ paths: [String], _ wanted: String? = nil) throws -> FileChoice {
    try FileChoice(from: paths, wanted: wanted, repository: "o/r", revision: "main")
  }

  @Test func `The most welcome quantization is chosen`() throws {
    let all = ["m.Q8_0.gguf", "m.Q4_0.gguf", "m-Q4_K_M.gguf", "m.Q4_1.gguf", "m.F16.gguf", "mmproj-Q4_K_M.gguf"]
    #expect(try choose(all).main == "m-Q4_K_M.gguf")
    #expect(try choose(all.filter { !$0.contains("Q4_K_M") }).main == "m.Q4_1.gguf")
    #expect(try choose(["m.q8_0.gguf", "m.iq4_0.gguf", "m-Q4_0_4_4.gguf"]).main == "m.q8_0.gguf")
    #expect(try choose(["readme.md", "only.gguf"]).main == "only.gguf")
  }

  @Test func `A label or a path picks one`() throws {
    let all = ["m.Q8_0.gguf", "m.Q4_0.gguf"]
    #expect(try choose(all, "q8_0").main == "m.Q8_0.gguf")
    #expect(try choose(all, "m.Q4_0.gguf").paths == ["m.Q4_0.gguf"])
    #expect(throws: HubError.fileNotFound(file: "Q2_K", repository: "o/r", revision: "main")) {
      try choose(all, "Q2_K")
    }
  }

  @Test func `What cannot be decided is listed`() {
    #expect(throws: HubError.ambiguousFile(repository: "o/r", choices: ["a.Q4_0.gguf", "b.Q4_0.gguf"])) {
      try choose(["b.Q4_0.gguf", "a.Q4_0.gguf", "c.F16.gguf"])
    }
    #expect(throws: HubError.ambiguousFile(repository: "o/r", choices: ["one.gguf", "two.gguf"])) {
      try choose(["two.gguf", "one.gguf"])
    }
    #expect(throws: HubError.noUsableFile(repository: "o/r")) { try choose(["pytorch_model.bin", "config.json"]) }
  }

  @Test func `A model in parts is fetched whole and opened at its first part`() throws {
    let parts = (1...3).map { "q/m-Q4_K_M-0000\($0)-of-00003.gguf" }
    let choice = try choose(parts.reversed() + ["m-Q8_0.gguf"])
    #expect(choice.main == parts[0])
    #expect(choice.paths == parts)
  }

  @Test func `Without GGUF the safetensors and their companions are the model`() throws {
    let choice = try choose([
      "README.md", "config.json", "tokenizer.json", "model.safetensors", "consolidated.safetensors", "vocab.txt",
      "1_Pooling/config.json", "onnx/model.onnx", "pytorch_model.bin", "openvino/x/config.json",
    ])
    #expect(choice.main == nil)
    #expect(
      choice.paths == ["1_Pooling/config.json", "config.json", "model.safetensors", "tokenizer.json", "vocab.txt"])
  }
}

@Suite struct ConfigurationTests {
  @Test func `Folders follow their variables in order`() throws {
    let home = try HubConfiguration(environment: ["HOME": "/h"])
    #expect(home.store.path == "/h/.local/share/malmoi")
    #expect(home.huggingFaceCache.path == "/h/.cache/huggingface/hub")
    #expect(home.endpoint.absoluteString == "https://huggingface.co")
    #expect(home.token == nil)
    #expect(!home.isOffline)
    let named = try HubConfiguration(environment: [
      "HOME": "/h", "XDG_DATA_HOME": "/d", "XDG_CACHE_HOME": "/c", "HF_HUB_OFFLINE": "1", "HF_TOKEN": " hf_x\n",
    ])
    #expect(named.store.path == "/d/malmoi")
    #expect(named.huggingFaceCache.path == "/c/huggingface/hub")
    #expect(named.isOffline)
    #expect(named.token == "hf_x")
    let explicit = try HubConfiguration(environment: [
      "HOME": "/h", "XDG_DATA_HOME": "relative", "MALMOI_HOME": "/m", "HF_HOME": "/hf", "HF_HUB_CACHE": "/cache",
    ])
    #expect(explicit.store.path == "/m")
    #expect(explicit.huggingFaceCache.path == "/cache")
  }

  @Test func `The token may lie in a file`() throws {
    let folder = try TemporaryFolder()
    _ = try folder.write(Data("hf_from_file\n".utf8), to: "token")
    #expect(try HubConfiguration(environment: ["HF_HOME": folder.url.path]).token == "hf_from_file")
    #expect(try HubConfiguration(environment: ["HF_HOME": folder.url.path, "HF_TOKEN": "x"]).token == "x")
  }

  @Test(arguments: [
    ["HF_ENDPOINT": "nonsense"], ["HF_ENDPOINT": "file:///etc"], ["HF_ENDPOINT": "https://user@host"],
    ["HF_TOKEN": "two\r\nX-Header: lines"],
  ])
  func `A setting that cannot be used is named`(environment: [String: String]) {
    #expect {
      try HubConfiguration(environment: environment)
    } throws: {
      guard case HubError.invalidSetting(environment.keys.first, _) = $0 else { return false }
      return true
    }
  }
}
