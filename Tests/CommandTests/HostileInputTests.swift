// Whatever is wrong with what the command is given, it says so in one line that names it, and nothing else.
import Checkpoints
import Foundation
import TestSupport
import Testing

@Suite struct HostileInputTests {
  private let folder: TemporaryFolder
  private let command: Executable

  init() throws {
    folder = try TemporaryFolder()
    command = Executable(home: folder.url)
  }

  /// One complaint with these words, nothing on standard output, and the exit status.
  private func expectRefusal(
    _ arguments: [String], _ words: String..., input: Data = Data(), environment: [String: String] = [:],
    shell: String? = nil, status: Int32 = 1, sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    let result = try command.run(arguments, input: input, environment: environment, shell: shell)
    #expect(result.status == status, "\(arguments): \(result.errors)", sourceLocation: sourceLocation)
    #expect(result.output.isEmpty, "\(arguments): standard output is not empty", sourceLocation: sourceLocation)
    #expect(result.complaints.count == 1, "\(arguments): \(result.errors)", sourceLocation: sourceLocation)
    if !arguments.contains("pull") {
      #expect(result.errors.split(separator: "\n").count == 1, "\(result.errors)", sourceLocation: sourceLocation)
    }
    for word in words {
      #expect(result.errors.contains(word), "“\(word)” is not in: \(result.errors)", sourceLocation: sourceLocation)
    }
  }

  /// Runs, shows and tokenizes with a spoiled file; each refuses it in the same words.
  private func expectRefusal(
    ofFile bytes: [UInt8], _ words: String..., sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    let path = try folder.write(bytes, to: "spoiled.gguf").path
    for arguments in [["run", path, "hello"], ["show", path], ["tokenize", path, "hello"]] {
      let result = try command.run(arguments)
      #expect(result.status == 1, "\(arguments): \(result.errors)", sourceLocation: sourceLocation)
      #expect(result.output.isEmpty, "\(arguments): standard output is not empty", sourceLocation: sourceLocation)
      #expect(result.errors.split(separator: "\n").count == 1, "\(result.errors)", sourceLocation: sourceLocation)
      for word in ["malmoi: ", path] + words {
        #expect(result.errors.contains(word), "“\(word)” is not in: \(result.errors)", sourceLocation: sourceLocation)
      }
    }
  }

  @Test func `the model that the tests spoil runs`() throws {
    let path = try folder.write(try HostileInputModel().encoded(), to: "sound.gguf").path
    let answer = try command.run(["run", path, "hello", "-n", "3", "--temperature", "0"])
    #expect(answer.status == 0 && !answer.output.isEmpty, "\(answer.errors)")
    #expect(try command.run(["show", path]).status == 0)
    let tokens = try command.run(["tokenize", path, "--json", "--plain"], input: Data("a".utf8))
    #expect(String(decoding: tokens.output, as: UTF8.self).contains("\"id\" : 100"), "\(tokens.errors)")
  }

  @Test func `a file that is cut off is refused wherever it is cut`() throws {
    let whole = try HostileInputModel().encoded()
    for length in [1, 3] { try expectRefusal(ofFile: Array(whole.prefix(length)), "GGUF") }
    for length in [4, 7, 15, 23, 24, 100, whole.count / 3] {
      try expectRefusal(ofFile: Array(whole.prefix(length)))
    }
    try expectRefusal(ofFile: Array(whole.dropLast(65)), "ffn_down", "truncated")
    try expectRefusal(["run", try folder.write([], to: "empty.gguf").path, "hello"], "empty.gguf")
  }

  @Test func `a wrong magic number or version is refused`() throws {
    let whole = try HostileInputModel().encoded()
    try expectRefusal(ofFile: Array("GGML".utf8) + whole.dropFirst(4), "GGUF")
    try expectRefusal(ofFile: whole.writing(9, width: 4, at: 4), "version 9", "expected 2 or 3")
    try expectRefusal(ofFile: whole.writing(3 << 24, width: 4, at: 4), "big-endian")
  }

  @Test func `tensors that overlap or lie outside the file are refused`() throws {
    let whole = try HostileInputModel().encoded()
    // After a name come the number of axes, the axes, the type and the offset.
    let name = "blk.0.attn_q.weight"
    let place = try #require(whole.place(of: name))
    let offset = place + name.utf8.count + 4 + 2 * 8 + 4
    try expectRefusal(ofFile: whole.writing(0, at: offset), name, "shares bytes with tensor token_embd.weight")
    for number in [1 << 40, UInt64.max - 31] {
      try expectRefusal(ofFile: whole.writing(number, at: offset), name, "reach beyond the end of the file")
    }
    try expectRefusal(ofFile: whole.writing(33, at: offset), name, "not a multiple of the alignment")
    try expectRefusal(ofFile: whole.writing(1 << 62, at: offset - 4 - 16), name)
    try expectRefusal(ofFile: whole.writing(99, width: 4, at: offset - 4), name, "its type, number 99")
  }

  @Test func `absurd counts are refused before memory is taken`() throws {
    let whole = try HostileInputModel().encoded()
    for number in [UInt64.max, 1 << 63, 1 << 40, 1_000_000] {
      try expectRefusal(ofFile: whole.writing(number, at: 8), "announces \(number) tensors")
      try expectRefusal(ofFile: whole.writing(number, at: 16), "announces \(number) metadata pairs")
    }
    let tokens = HostileInputModel.key + "tokens"
    let place = try #require(whole.place(of: tokens)) + tokens.utf8.count + 4 + 4
    try expectRefusal(ofFile: whole.writing(1 << 50, at: place), tokens, "announces \(1 << 50) elements")
    try expectRefusal(ofFile: whole.writing(.max, at: place + 8), tokens, "a string of \(UInt64.max) bytes")
  }

  @Test func `missing and impossible metadata is named`() throws {
    for key in ["general.architecture", "llama.embedding_length", "llama.context_length"] {
      var model = HostileInputModel()
      model.metadata[key] = nil
      let path = try folder.write(try model.encoded(), to: "missing.gguf").path
      for verb in ["show", "run"] { try expectRefusal([verb, path], path, "key \(key): missing") }
    }
    var model = HostileInputModel()
    model.metadata["general.architecture"] = .string("hyena\n\u{1b}[31m")
    var path = try folder.write(try model.encoded(), to: "unknown.gguf").path
    try expectRefusal(["run", path, "x"], path, "\"hyena\\u{a}\\u{1b}[31m\" is not one of the architectures", "llama")
    model = HostileInputModel()
    model.metadata["llama.rope.freq_base"] = .float32(-1)
    path = try folder.write(try model.encoded(), to: "base.gguf").path
    try expectRefusal(["run", path, "x"], "llama.rope.freq_base: expected a positive number")
    model = HostileInputModel()
    model.metadata[HostileInputModel.key + "tokens"] = nil
    path = try folder.write(try model.encoded(), to: "tokens.gguf").path
    try expectRefusal(["tokenize", path, "x"], path, "tokenizer.ggml.tokens: missing")
    try expectRefusal(["run", path, "x"], path, "tokenizer.ggml.tokens: missing")
  }

  @Test func `a tensor that is missing or of another shape is named`() throws {
    var model = HostileInputModel()
    model.tensors.removeLast()
    var path = try folder.write(try model.encoded(), to: "tensor.gguf").path
    try expectRefusal(["run", path, "x"], path, "tensor blk.0.ffn_down.weight: missing")
    model = HostileInputModel()
    model.tensors[4].shape = [32, 64]
    path = try folder.write(try model.encoded(), to: "shape.gguf").path
    try expectRefusal(["run", path, "x"], path, "tensor blk.0.attn_q.weight", "[64, 32]", "[32, 32]")
    model = HostileInputModel()
    model.tensors.append(("rope_freqs.weight", [3]))
    path = try folder.write(try model.encoded(), to: "divisors.gguf").path
    try expectRefusal(["run", path, "x"], "rope_freqs.weight: has 3 divisors, where 8 pairs of columns turn")
  }

  @Test func `text that is not UTF-8 is refused at its first wrong byte`() throws {
    let path = try folder.write(try HostileInputModel().encoded(), to: "model.gguf").path
    let text = Data("ab\u{e9}".utf8) + [0xFF, 0x61]
    for verb in ["run", "tokenize", "score"] {
      try expectRefusal([verb, path], "standard input: not UTF-8 at byte 4", input: text)
      try expectRefusal(
        [verb, path], "argument 3: not UTF-8 at byte 2", shell: #"exec "$@" "$(printf 'ab\377c')""#)
    }
    let file = try folder.write(text, to: "text.txt").path
    try expectRefusal(["perplexity", path, file], "text.txt: not UTF-8 at byte 4")
    try expectRefusal(["perplexity", path, folder.path("none.txt")], "none.txt: cannot be read: No such file")
    try expectRefusal(["perplexity", path, folder.url.path], "cannot be read: Is a directory")
    try expectRefusal(["tokenize", path], "standard input: cannot be read: Is a directory", shell: #"exec "$@" < /"#)
  }

  @Test func `what is no model is refused by its name`() throws {
    let text = try folder.write(Array("hello".utf8), to: "notes.txt").path
    for verb in ["run", "show", "tokenize", "pull"] {
      try expectRefusal([verb, folder.path("none.gguf")], "none.gguf: no such file or folder")
      try expectRefusal([verb, "no-such-model"], "no model is called “no-such-model”", "did you mean")
      try expectRefusal([verb, "smollm2"], "is not on this machine", "offline")
      try expectRefusal([verb, folder.url.path], folder.url.path, "config.json")
      try expectRefusal([verb, "/dev/null"], "/dev/null: not a model: not a regular file")
      try expectRefusal([verb, text], "notes.txt: not a model")
    }
    try expectRefusal(["remove", "no-such-model"], "no model is called")
    try expectRefusal(["remove", "smollm2"], "smollm2:135m is not in the model store")
    _ = try folder.write(Array("{}".utf8), to: "config.json").path
    for verb in ["run", "show", "tokenize"] { try expectRefusal([verb, folder.url.path], folder.url.path) }
  }

  @Test func `a store that cannot be written is named`() throws {
    let file = try folder.write([1], to: "file").path
    try expectRefusal(
      ["pull", "smollm2"], "file/store", "Not a directory",
      environment: ["MALMOI_HOME": file + "/store", "HF_HUB_OFFLINE": "0", "HF_ENDPOINT": "http://127.0.0.1:9"])
  }

  @Test func `a disk that is full stops a pull with its reason`() throws {
    let bytes = LocalHTTPServer.pattern(start: 0, count: 1 << 20)
    let commit = String(repeating: "0123456789", count: 4)
    let listing = #"{"sha":"\#(commit)","siblings":[{"rfilename":"m.gguf","size":1048576}]}"#
    let server = try LocalHTTPServer { request in
      request.path.hasPrefix("/api/")
        ? .init(body: .data(Data(listing.utf8))) : .init(headers: ["ETag": "\"x\""], body: .data(bytes))
    }
    defer { server.stop() }
    // The largest file that may be written is 64 blocks of 512 bytes.
    try expectRefusal(
      ["pull", "hf:owner/model"], "m.gguf.partial: no room", "File too large",
      environment: ["HF_HUB_OFFLINE": "0", "HF_ENDPOINT": server.url.absoluteString],
      shell: #"ulimit -f 64; exec "$@""#)
  }

  @Test(.enabled(if: FileManager.default.fileExists(atPath: "/dev/full"), "this system has no /dev/full"))
  func `standard output that cannot be written is told`() throws {
    let path = try folder.write(try HostileInputModel().encoded(), to: "model.gguf").path
    for arguments in [["list"], ["show", path], ["tokenize", path, "hello"]] {
      try expectRefusal(
        arguments, "standard output cannot be written: No space left on device", shell: #"exec "$@" > /dev/full"#)
    }
  }

  @Test func `wrong usage has a status of its own`() throws {
    for arguments in [
      ["no-such-command"], ["run", "--no-such-option"], ["tokenize"], ["run", "x", "y", "z"],
      ["run", "x", "--temperature", "hot"], ["run", "x", "--top-p", "2"], ["run", "x", "--threads", "0"],
      ["run", "x", "--logit-bias", "1"], ["score", "x", "--tokens", "1,b"], ["show", "x", "--tokens", "0"],
    ] {
      let result = try command.run(arguments)
      #expect(result.status == 2, "\(arguments): \(result.errors)")
      #expect(result.output.isEmpty && !result.errors.isEmpty, "\(arguments)")
    }
  }
}
