// The command is tested as users meet it: a process with arguments, input, output and an exit status.
import Foundation

/// What a run of `malmoi` said.
struct CommandResult {
  let status: Int32
  let output: Data
  let errors: String

  /// What standard error has besides progress.
  var complaints: [String] { errors.split(separator: "\n").map(String.init).filter { $0.hasPrefix("malmoi: ") } }
}

/// The command that was built with these tests.
struct Executable {
  let url: URL
  let folder: URL

  /// - Parameter folder: the home of the command's user: no model store, no cache.
  init(home folder: URL) {
    self.folder = folder
    let bundles = Bundle.allBundles.map(\.bundleURL).filter { $0.pathExtension == "xctest" }
    let beside = bundles + [
      URL(fileURLWithPath: CommandLine.arguments[0]), Bundle.main.bundleURL.appendingPathComponent("x"),
    ]
    let places = beside.map { $0.deletingLastPathComponent().appendingPathComponent("malmoi") }
    url = places.first { FileManager.default.isExecutableFile(atPath: $0.path) } ?? places[0]
  }

  /// - Parameters:
  ///   - input: what stands on standard input.
  ///   - shell: a line for `sh` instead, in which `"$@"` is the command with its arguments.
  func run(
    _ arguments: [String], input: Data = Data(), environment: [String: String] = [:], shell: String? = nil
  ) throws -> CommandResult {
    let places = ["input", "output", "errors"].map { folder.appendingPathComponent(".\($0)-\(UUID().uuidString)") }
    defer { for place in places { try? FileManager.default.removeItem(at: place) } }
    try input.write(to: places[0])
    for place in places.dropFirst() { try Data().write(to: place) }
    let process = Process()
    process.executableURL = shell == nil ? url : URL(fileURLWithPath: "/bin/sh")
    process.arguments = shell.map { ["-c", $0, "sh", url.path] + arguments } ?? arguments
    process.environment = [
      "HOME": folder.path, "PATH": "/usr/bin:/bin", "HF_HUB_OFFLINE": "1",
      "LD_LIBRARY_PATH": ProcessInfo.processInfo.environment["LD_LIBRARY_PATH"] ?? "",
    ].merging(environment) { $1 }
    process.standardInput = try FileHandle(forReadingFrom: places[0])
    process.standardOutput = try FileHandle(forWritingTo: places[1])
    process.standardError = try FileHandle(forWritingTo: places[2])
    try process.run()
    process.waitUntilExit()
    return CommandResult(
      status: process.terminationReason == .exit ? process.terminationStatus : 128 + process.terminationStatus,
      output: try Data(contentsOf: places[1]), errors: String(decoding: try Data(contentsOf: places[2]), as: UTF8.self))
  }
}
