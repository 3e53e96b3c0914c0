// The chat as a person has it: the real program in a terminal, with a tiny model.
import Foundation
import TestSupport
import Testing

@Suite final class ChatTests {
  private static let environment = ProcessInfo.processInfo.environment
  private let folder: URL

  init() throws {
    folder = FileManager.default.temporaryDirectory.appendingPathComponent("malmoi-chat-" + UUID().uuidString)
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(at: folder) }

  /// Runs `body` with a chat, which leaves with status 0 when told to.
  private func chat(
    _ arguments: String..., model: URL? = nil, columns: Int = 80, environment: [String: String] = [:],
    _ body: (Terminal) throws -> Void
  ) throws {
    let file = model ?? folder.appendingPathComponent("tiny.gguf")
    if !FileManager.default.fileExists(atPath: file.path) {
      try TinyModel.write(to: file, contextLength: 512)
    }
    var variables = [
      "HOME": folder.path, "MALMOI_HOME": folder.path, "TERM": "xterm-256color", "LC_ALL": "POSIX",
      "PATH": Self.environment["PATH"] ?? "",
    ]
    variables.merge(environment) { $1 }
    let terminal = try Terminal(
      program("malmoi"), ["run", file.path, "--temperature", "0"] + arguments, environment: variables,
      columns: columns)
    try terminal.wait(for: "/help lists the commands\n")
    try terminal.wait(for: "> ")
    try body(terminal)
    terminal.send("/exit\r")
    #expect(try terminal.exitStatus() == 0)
  }

  /// Asks, and gives what was shown between the question and the next prompt.
  private func ask(_ terminal: Terminal, _ question: String) throws -> String {
    terminal.send(question + "\r")
    try terminal.wait(for: "\n")
    return try terminal.wait(for: "\n> ")
  }

  private func messages(_ name: String) throws -> [[String: String]] {
    try JSONDecoder().decode(
      [[String: String]].self, from: Data(contentsOf: folder.appendingPathComponent(name)))
  }

  /// The last message of a person in a saved conversation.
  private func lastQuestion(_ terminal: Terminal, _ name: String = "saved.json") throws -> String? {
    #expect(try ask(terminal, "/save \(folder.path)/\(name)").contains("messages are in"))
    return try messages(name).last { $0["role"] == "user" }?["content"]
  }

  @Test func `An answer is streamed, kept and saved`() throws {
    try chat("-n", "12", "--system", "Be brief.") { terminal in
      let first = try ask(terminal, "hello")
      #expect(first.hasSuffix("(stopped after 12 tokens)"))
      let answer = try #require(first.split(separator: "\n").first)
      #expect(answer.allSatisfy { $0 == " " || $0.isLowercase })
      #expect(try lastQuestion(terminal) == "hello")
      let saved = try messages("saved.json")
      #expect(saved.map { $0["role"] } == ["system", "user", "assistant"])
      #expect(saved[0]["content"] == "Be brief.")
      #expect(saved[2]["content"] == String(answer))
      _ = try ask(terminal, "/save \(folder.path)/saved.md")
      let markdown = try String(contentsOf: folder.appendingPathComponent("saved.md"), encoding: .utf8)
      #expect(markdown.hasPrefix("## System\n\nBe brief.\n\n## User\n\nhello\n\n## Assistant\n\n"))
    }
  }

  @Test func `Korean is edited by whole characters`() throws {
    try chat("-n", "4", columns: 30) { terminal in
      let left = "\u{1B}[D", home = "\u{1}", end = "\u{5}", backspace = "\u{7F}"
      // Longer than the window, so that wide characters meet its edge.
      let text = "안녕하세요 온 세상의 모든 말을 모으는 이여 반갑습니다"
      _ = try ask(terminal, text + left + left + backspace + "했" + home + "자, " + end + "!")
      #expect(try lastQuestion(terminal) == "자, 안녕하세요 온 세상의 모든 말을 모으는 이여 반갑했니다!")
    }
  }

  @Test func `Lines go on after a backslash and within pasted text`() throws {
    try chat("-n", "4") { terminal in
      terminal.send("one\\\r")
      try terminal.wait(for: "… ")
      _ = try ask(terminal, "둘")
      #expect(try lastQuestion(terminal) == "one\n둘")
      _ = try ask(terminal, "\u{1B}[200~a\rb\tc\u{2}\r\u{1B}[201~")
      #expect(try lastQuestion(terminal) == "a\nb c")
    }
  }

  @Test func `History outlives the chat`() throws {
    try chat("-n", "2") { terminal in _ = try ask(terminal, "기억해") }
    try chat("-n", "2") { terminal in
      _ = try ask(terminal, "\u{1B}[A\u{1B}[A 줘")
      #expect(try lastQuestion(terminal) == "기억해 줘")
    }
    let file = folder.appendingPathComponent("chat-history")
    #expect(try String(contentsOf: file, encoding: .utf8).hasPrefix("기억해\n/exit\n기억해 줘\n/save "))
    let mode = try FileManager.default.attributesOfItem(atPath: file.path)[.posixPermissions] as? Int
    #expect(mode == 0o600)
  }

  @Test func `Ctrl-C stops the answer and keeps what was written`() throws {
    let endless = folder.appendingPathComponent("endless.gguf")
    try TinyModel.write(to: endless, contextLength: 1 << 20)
    try chat(model: endless) { terminal in
      terminal.send("go on for ever\r")
      try terminal.wait(for: "\n")
      let end = Date().addingTimeInterval(30)
      while terminal.text.count < 50, Date() < end { Thread.sleep(forTimeInterval: 0.01) }
      terminal.send("\u{3}")
      let shown = try terminal.wait(for: "(stopped)\n> ").replacingOccurrences(of: "\n", with: "")
      #expect(!shown.contains("^C"))
      #expect(try lastQuestion(terminal) == "go on for ever")
      let answer = try #require(try messages("saved.json").last?["content"])
      #expect(!answer.isEmpty)
      #expect(shown == answer)
    }
  }

  @Test func `Ctrl-C at the prompt clears the line, then tells how to leave`() throws {
    try chat("-n", "2") { terminal in
      terminal.send("never mind\u{3}")
      try terminal.wait(for: "> ")
      terminal.send("\u{3}")
      try terminal.wait(for: "/exit or Ctrl-D leaves\n> ")
      _ = try ask(terminal, "hello")
      #expect(try lastQuestion(terminal) == "hello")
    }
  }

  @Test func `What is typed ahead waits for the next prompt`() throws {
    try chat("-n", "470") { terminal in
      terminal.send("first\r")
      try terminal.wait(for: "\n")
      terminal.send("QUEUED\r")
      let answer = try terminal.wait(for: "(stopped after 470 tokens)\n")
      #expect(!answer.contains("QUEUED"))
      try terminal.wait(for: "QUEUED")
      try terminal.wait(for: "fit into the context of 512: /clear forgets the conversation")
      try terminal.wait(for: "\n> ")
    }
  }

  @Test func `A full context is explained, or its oldest turns are dropped`() throws {
    try chat("-n", "30", "--context", "80") { terminal in
      #expect(try ask(terminal, "one two three").contains("(stopped after 30 tokens)"))
      let refusal = try ask(terminal, "four five six")
      #expect(refusal.contains("tokens do not fit into the context of 80: /clear forgets the conversation"))
      #expect(refusal.contains("--context 512 would be the most"))
      #expect(try ask(terminal, "/stats").contains(" of 80 tokens"))
      #expect(try ask(terminal, "/clear") == "forgotten")
      #expect(try ask(terminal, "four five six").contains("(stopped after 30 tokens)"))
      #expect(try ask(terminal, String(repeating: "long ", count: 40)).contains("/clear forgets"))
    }
    try chat("-n", "30", "--context", "80", "--context-shift") { terminal in
      _ = try ask(terminal, "one two three")
      #expect(try ask(terminal, "four five six").hasPrefix("(the oldest turn was dropped to make room)\n"))
      #expect(try ask(terminal, String(repeating: "long ", count: 40)).contains("the line is too long"))
      #expect(try lastQuestion(terminal) == "four five six")
    }
  }

  @Test func `Commands are completed, and unknown ones corrected`() throws {
    try chat("-n", "2") { terminal in
      #expect(try ask(terminal, "/he\t").contains("  /save FILE"))
      #expect(try ask(terminal, "/claer") == "there is no /claer; did you mean /clear? /help lists the commands")
      #expect(try ask(terminal, "/retry") == "there is no question yet")
      #expect(try ask(terminal, "/sys\tSpeak Korean.") == "the model has new instructions")
      #expect(try ask(terminal, "/system") == "Speak Korean.")
      _ = try ask(terminal, "hello")
      _ = try ask(terminal, "/retry")
      #expect(try lastQuestion(terminal) == "hello")
      #expect(try messages("saved.json").count == 3)
      let missing = "\(folder.path)/missing/file.json"
      #expect(try ask(terminal, "/save \(missing)").hasSuffix("cannot be written: No such file or directory"))
      #expect(try ask(terminal, "/save \(folder.path)/tiny.gguf").contains("exists already"))
    }
  }

  @Test func `A model without a chat template goes on with each line`() throws {
    let base = folder.appendingPathComponent("base.gguf")
    try TinyModel.write(to: base, architecture: .gemma3, hasChatTemplate: false)
    try chat("-n", "8", model: base) { terminal in
      let first = try ask(terminal, "the")
      #expect(first.hasSuffix("(stopped after 8 tokens)"))
      #expect(try ask(terminal, "the") == first)
      #expect(try ask(terminal, "/save \(folder.path)/x.json") == "there is no conversation yet")
    }
  }

  @Test func `Ctrl-D leaves, and NO_COLOR is respected`() throws {
    try TinyModel.write(to: folder.appendingPathComponent("tiny.gguf"), architecture: .gemma3)
    let terminal = try Terminal(
      program("malmoi"), ["run", folder.appendingPathComponent("tiny.gguf").path],
      environment: ["MALMOI_HOME": folder.path, "TERM": "xterm", "NO_COLOR": "1"])
    let end = Date().addingTimeInterval(30)
    while !terminal.text.contains("> "), Date() < end { Thread.sleep(forTimeInterval: 0.01) }
    #expect(!terminal.text.contains("\u{1B}[1m") && !terminal.text.contains("\u{1B}[2m"))
    terminal.send("\u{4}")
    #expect(try terminal.exitStatus() == 0)
  }
}
