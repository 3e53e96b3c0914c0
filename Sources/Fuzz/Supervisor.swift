// The process that lives: it starts workers, notices how they end, and keeps the inputs that ended them.
import Foundation

/// Runs a campaign in other processes.
final class Supervisor {
  private let options: FuzzCommand
  private let campaign: Campaign
  private let folder: URL
  private var shares: [Share] = []
  private var findings = 0
  private let start = ContinuousClock.now

  /// How long one input may take.
  private static let patience = Duration.seconds(5)

  /// One of the processes that work side by side, and those that follow it when it dies.
  private final class Share {
    let number: Int
    let board: Board
    let log: URL
    var process: Process?
    var lastRun = -1
    var lastChange = ContinuousClock.now
    var isHanging = false

    init(number: Int, board: Board, log: URL) {
      self.number = number
      self.board = board
      self.log = log
    }
  }

  init(_ options: FuzzCommand) throws {
    self.options = options
    campaign = try Campaign(options.target.name, seed: options.seed)
    folder = URL(fileURLWithPath: options.findings, isDirectory: true)
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
  }

  /// - Returns: the number of findings.
  func run() throws -> Int {
    for number in 0..<options.workers {
      let name = ".worker-\(ProcessInfo.processInfo.processIdentifier)-\(number)"
      let board = try Board(folder.appendingPathComponent(name), creating: true)
      let share = Share(number: number, board: board, log: folder.appendingPathComponent(name + ".log"))
      shares.append(share)
      try begin(share, at: options.first + number)
    }
    defer {
      for share in shares {
        share.process?.terminate()
        for url in [share.board.url, share.log] { try? FileManager.default.removeItem(at: url) }
      }
    }
    var lastReport = ContinuousClock.now
    while shares.contains(where: { $0.process != nil }) {
      Thread.sleep(forTimeInterval: 0.05)
      for share in shares { try look(at: share) }
      if let seconds = options.seconds, ContinuousClock.now - start > .seconds(seconds) { break }
      if ContinuousClock.now - lastReport > .seconds(5) {
        lastReport = .now
        report()
      }
    }
    report()
    summarize()
    return findings
  }

  private func begin(_ share: Share, at run: Int) throws {
    share.process = nil
    guard run < end, findings < options.mostFindings else { return }
    let process = Process()
    process.executableURL = Bundle.main.executableURL
    process.arguments = [
      options.target.rawValue, "--seed", "\(options.seed)", "--first", "\(run)", "--runs", "\(end - run)",
      "--workers", "\(options.workers)", "--board", share.board.url.path,
    ] + (options.unlimited ? ["--unlimited"] : [])
    _ = FileManager.default.createFile(atPath: share.log.path, contents: nil)
    process.standardError = try FileHandle(forWritingTo: share.log)
    process.standardOutput = FileHandle.nullDevice
    share.board[.run] = run
    share.lastRun = -1
    share.lastChange = .now
    share.isHanging = false
    try process.run()
    share.process = process
  }

  private var end: Int { options.first + options.runs }

  private func look(at share: Share) throws {
    guard let process = share.process else { return }
    let run = share.board[.run]
    if process.isRunning {
      if run != share.lastRun {
        share.lastRun = run
        share.lastChange = .now
      } else if ContinuousClock.now - share.lastChange > Self.patience, !share.isHanging {
        share.isHanging = true
        kill(process.processIdentifier, SIGKILL)
      }
      return
    }
    guard share.board[.run] < end else { return share.process = nil }
    findings += 1
    try keep(share, run: share.board[.run], process)
    try begin(share, at: share.board[.run] + options.workers)
  }

  private func keep(_ share: Share, run: Int, _ process: Process) throws {
    let (target, input) = campaign.input(run: run)
    let file = folder.appendingPathComponent("\(target.rawValue)-\(options.seed)-\(run).input")
    try Data(input).write(to: file)
    let log = (try? String(contentsOf: share.log, encoding: .utf8)) ?? ""
    try log.write(to: file.appendingPathExtension("log"), atomically: true, encoding: .utf8)
    let reason = share.isHanging
      ? "hangs" : "ends the process with \(process.terminationReason == .uncaughtSignal ? "signal" : "status") "
        + "\(process.terminationStatus)"
    let line = log.split(separator: "\n").first { $0.contains("rror: ") || $0.contains("romise") } ?? ""
    note("FOUND \(target.rawValue) --seed \(options.seed) --first \(run) --runs 1: \(reason); \(file.path)\n  \(line)")
  }

  private var done: Int { shares.reduce(0) { $0 + $1.board[.done] } }

  private func report() {
    let spent = (ContinuousClock.now - start) / .seconds(1), rate = Double(done) / max(spent, 0.001)
    let left = rate > 0 ? Int(Double(options.runs - done) / rate) : 0
    note("\(done) of \(options.runs) runs, \(Int(rate)) per second, \(left) s left, \(findings) findings")
  }

  private func summarize() {
    for target in TargetName.allCases {
      let accepted = shares.reduce(0) { $0 + $1.board.outcomes(target, accepted: true) }
      let refused = shares.reduce(0) { $0 + $1.board.outcomes(target, accepted: false) }
      if accepted + refused > 0 { print("\(target.rawValue): \(accepted) inputs accepted, \(refused) refused") }
    }
    print("\(done) runs, \(findings) findings")
  }

  private func note(_ text: String) {
    try? FileHandle.standardError.write(contentsOf: Data((text + "\n").utf8))
  }
}
