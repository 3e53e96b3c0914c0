// A conversation in the terminal.
import Foundation
import Malmoi

/// Asks for lines until there are no more, and gives each to the model or to a command.
final class Chat {
  private let model: LanguageModel
  private let session: LanguageModelSession
  private let options: GenerationOptions
  private let shiftsContext: Bool
  private let continuesText: Bool
  private let signals: ChatSignals
  private let editor: LineEditor
  private let history: ChatHistory?
  private var lastQuestion: String?
  private var lastStatistics: GenerationStatistics?
  private var savedFiles: Set<String> = []

  /// - Parameters:
  ///   - continuesText: each line is gone on with as text; always so for a model without a chat template.
  ///   - shiftsContext: the oldest turns are dropped when the context is full.
  init(
    model: LanguageModel, instructions: String?, options: GenerationOptions, shiftsContext: Bool,
    continuesText: Bool = false
  ) throws {
    self.model = model
    self.options = options
    self.shiftsContext = shiftsContext
    self.continuesText = continuesText || model.chatTemplate == nil
    session = LanguageModelSession(model: model, instructions: instructions)
    signals = try ChatSignals()
    editor = LineEditor(signals: signals, completions: ChatCommand.allCases.map { "/\($0)" })
    history = (try? HubConfiguration()).map { ChatHistory(file: $0.store.appendingPathComponent("chat-history")) }
  }

  func run() async throws {
    for entry in history?.entries() ?? [] { editor.remember(entry) }
    greet()
    defer { TerminalEcho.on() }
    while let line = await readLines() {
      guard line.contains(where: { !$0.isWhitespace }) else { continue }
      do {
        guard let (command, argument) = try ChatCommand.parse(line) else {
          try await answer(line)
          continue
        }
        if command == .exit { return }
        try await carryOut(command, argument)
      } catch {
        say(explain(error))
      }
    }
  }

  private func greet() {
    let sizes = model.source.checkpoint.sizes
    let parameters = sizes.reduce(0) { $0 + $1.elementCount }, bytes = sizes.reduce(0) { $0 + $1.byteCount }
    let million = 1_000_000
    say(
      "\((model.name as NSString).lastPathComponent): "
        + (parameters < million ? Output.number(parameters) : "\(Output.number(parameters / million)) million")
        + " parameters, \(Output.bytes(bytes)), "
        + "context of \(Output.number(model.contextLength)) tokens; /help lists the commands")
    guard continuesText else { return }
    say(model.chatTemplate == nil
      ? "This model has no chat template: it cannot converse, and goes on with each line as text."
      : "Each line is gone on with as text; nothing of it is remembered.")
  }

  /// A line, or several of which all but the last end in a backslash; nil at the end of the input.
  private func readLines() async -> String? {
    var lines: [String] = []
    while true {
      switch await editor.read(prompt(lines.isEmpty ? "> " : "… ")) {
      case .end:
        Output.text("\n")
        return nil
      case .interrupted(let wasEmpty):
        if wasEmpty, lines.isEmpty { say("/exit or Ctrl-D leaves") }
        lines = []
      case .line(let line) where line.hasSuffix("\\"):
        lines.append(String(line.dropLast()))
      case .line(let line):
        let mark = String(KeyDecoder.lineMark)
        var entry = (lines + [line]).joined(separator: mark)
        while entry.hasSuffix(mark) { entry.removeLast() }  // the end of a pasted line
        remember(entry)
        return entry.replacingOccurrences(of: mark, with: "\n")
      }
    }
  }

  private func remember(_ entry: String) {
    guard entry.contains(where: { !$0.isWhitespace }) else { return }
    editor.remember(entry)
    // A history that cannot be kept is no reason to bother whoever chats.
    try? history?.append(entry)
  }

  private func carryOut(_ command: ChatCommand, _ argument: String) async throws {
    switch command {
    case .help: say(ChatCommand.overview)
    case .clear:
      session.transcript = instructions
      lastQuestion = nil
      say("forgotten")
    case .system where argument.isEmpty:
      say(instructions.first?.text ?? "there are no instructions")
    case .system:
      session.transcript = [ChatMessage(role: "system", content: argument)]
        + session.transcript.dropFirst(instructions.count)
      say("the model has new instructions")
    case .save: try save(argument)
    case .stats:
      guard let statistics = lastStatistics else { throw Failure("there is no answer yet") }
      let used = statistics.promptTokens + statistics.generatedTokens
      say("\(describe(statistics)); context: \(Output.number(used)) of \(Output.number(model.contextLength)) tokens")
    case .retry:
      guard let question = lastQuestion else { throw Failure("there is no question yet") }
      let before = session.transcript
      // A question that was stopped before the answer's first word is not there.
      if before.dropLast().last?.text == question { session.transcript = before.dropLast(2) }
      do {
        try await answer(question)
      } catch {
        session.transcript = before
        throw error
      }
    case .exit: break
    }
  }

  private var instructions: [ChatMessage] { session.transcript.prefix { $0.role == "system" } }

  private func save(_ argument: String) throws {
    guard !argument.isEmpty else { throw Failure("/save needs the name of a file") }
    guard session.transcript.contains(where: { $0.role != "system" }) else {
      throw Failure("there is no conversation yet")
    }
    let path = (argument as NSString).expandingTildeInPath
    if !savedFiles.contains(path), FileManager.default.fileExists(atPath: path) {
      throw Failure("\(path): exists already, and is not from this chat")
    }
    try writeAtomically(ChatTranscript.encoded(session.transcript, for: path), to: path)
    savedFiles.insert(path)
    say("\(session.transcript.count) messages are in \(path)")
  }

  // MARK: - Answering

  private func answer(_ question: String) async throws {
    let stream = try continuesText
      ? model.streamCompletion(of: question, options: options, reading: showReading) : begin(question)
    lastQuestion = question
    var last = "", isReading = true
    try await signals.onInterrupt({ stream.cancel() }) {
      do {
        for try await piece in stream {
          if isReading { Output.status("") }
          isReading = false
          last = isatty(1) == 1 ? piece.withoutControls : piece
          Output.text(last)
        }
      } catch is CancellationError {
        // What has been written stands.
      }
    }
    if isReading { Output.status("") }
    if !last.hasSuffix("\n") { Output.text("\n") }
    guard let outcome = stream.outcome else { return }
    lastStatistics = outcome.statistics
    switch outcome.finishReason {
    case .stop: break
    case .cancelled:
      if outcome.text.isEmpty, !continuesText { session.transcript.removeLast(2) }
      say("(stopped)")
    case .length:
      let used = outcome.statistics.promptTokens + outcome.statistics.generatedTokens
      say(used < model.contextLength
        ? "(stopped after \(outcome.statistics.generatedTokens) tokens)" : "(stopped: the context is full)")
    }
  }

  /// Begins an answer in the conversation, which loses its oldest turns first where it may and must.
  private func begin(_ question: String) throws -> ResponseStream {
    let before = session.transcript
    if shiftsContext {
      // A quarter of the context is room enough for most answers, and leaves a conversation to answer from.
      let quarter = max(1, model.contextLength / 4)
      let (messages, dropped) = try model.shifted(
        before + [ChatMessage(role: "user", content: question)],
        reserve: min(options.maximumResponseTokens ?? quarter, quarter))
      session.transcript = messages.dropLast()
      if dropped > 0 {
        let turns = before.filter { $0.role == "user" }.count - messages.filter { $0.role == "user" }.count + 1
        say("(the oldest \(turns == 1 ? "turn was" : "\(turns) turns were") dropped to make room)")
      }
    }
    do {
      return try session.begin(question, options, reading: showReading)
    } catch {
      session.transcript = before
      throw error
    }
  }

  private func explain(_ error: any Error) -> String {
    guard case GenerationError.exceededContextWindowSize(let tokens, let length) = error else { return "\(error)" }
    let trained = model.decoder.configuration.contextLength
    let larger = length < trained ? ", --context \(trained) would be the most" : ""
    let excess = "\(Output.number(tokens)) tokens do not fit into the context of \(Output.number(length)): "
    if continuesText || shiftsContext || session.transcript.count == instructions.count {
      return excess + "the line is too long" + larger
    }
    return excess + "/clear forgets the conversation, --context-shift drops its oldest turns" + larger
  }

  // MARK: - Looks

  private static let hasColours = ProcessInfo.processInfo.environment["NO_COLOR"]?.isEmpty ?? true

  /// Says something that is not the model's.
  private func say(_ text: String) {
    Output.note(Self.hasColours && isatty(2) == 1 ? "\u{1B}[2m\(text)\u{1B}[0m" : text)
  }

  private func prompt(_ text: String) -> String {
    guard Self.hasColours, isatty(LineEditor.output) == 1 else { return text }
    return "\u{1}\u{1B}[1m\u{2}\(text)\u{1}\u{1B}[0m\u{2}"
  }
}

extension String {
  /// A model's text could otherwise steer the terminal.
  fileprivate var withoutControls: String {
    String(String.UnicodeScalarView(unicodeScalars.filter {
      $0 == "\n" || $0 == "\t" || $0.properties.generalCategory != .control
    }))
  }
}
