// environment.json: where and how a run was computed, so that its figures can be understood and had again.
import Foundation
import JSON
import OrderedCollections

enum RunEnvironment {
  /// What can be known about this machine and process; neither its name nor its user's.
  static func current(at time: Date) -> OrderedDictionary<String, JSONValue> {
    let process = ProcessInfo.processInfo
    var entries: OrderedDictionary<String, JSONValue> = [
      "startTime": .string(time.formatted(.iso8601)),
      "commandLine": .array(CommandLine.arguments.map { .string($0) }),
      "operatingSystem": .string(operatingSystem), "processor": processor.map { .string($0) } ?? .null,
      "processors": .int(process.processorCount), "activeProcessors": .int(process.activeProcessorCount),
      "memory": .int(Int(clamping: process.physicalMemory)), "swiftCompiler": .string(compiler),
    ]
    entries["git"] = git() ?? .null
    return entries
  }

  private static var compiler: String {
    #if compiler(>=6.4)
    "6.4 or later"
    #elseif compiler(>=6.3)
    "6.3"
    #else
    "6.2"
    #endif
  }

  private static var operatingSystem: String {
    var names = utsname()
    guard uname(&names) == 0 else { return ProcessInfo.processInfo.operatingSystemVersionString }
    func text<T>(_ field: T) -> String {
      withUnsafeBytes(of: field) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
    }
    let kernel = "\(text(names.sysname)) \(text(names.release)) \(text(names.machine))"
    return "\(ProcessInfo.processInfo.operatingSystemVersionString) (\(kernel))"
  }

  private static var processor: String? {
    #if os(Linux)
    guard let text = try? String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8),
      let line = text.split(separator: "\n").first(where: { $0.hasPrefix("model name") }),
      let colon = line.firstIndex(of: ":")
    else { return nil }
    return line[line.index(after: colon)...].trimmingCharacters(in: .whitespaces)
    #else
    var size = 0
    guard sysctlbyname("machdep.cpu.brand_string", nil, &size, nil, 0) == 0 else { return nil }
    var bytes = [UInt8](repeating: 0, count: size)
    guard sysctlbyname("machdep.cpu.brand_string", &bytes, &size, nil, 0) == 0 else { return nil }
    return String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
    #endif
  }

  /// The commit of the working directory and whether files differ from it; nil outside of a repository.
  private static func git() -> JSONValue? {
    guard let commit = git("rev-parse", "--verify", "HEAD")?.trimmingCharacters(in: .whitespacesAndNewlines),
      let changes = git("status", "--porcelain", "--untracked-files=no")
    else { return nil }
    return ["commit": .string(commit), "dirty": .bool(!changes.isEmpty)]
  }

  /// What git says within five seconds. A repository's own settings start nothing, and nothing in it is written.
  private static func git(_ arguments: String...) -> String? {
    let process = Process(), output = Pipe()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = ["git", "-c", "core.fsmonitor=false"] + arguments
    process.environment = ProcessInfo.processInfo.environment.merging(
      ["GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0"]) { $1 }
    process.standardInput = FileHandle.nullDevice
    process.standardOutput = output
    process.standardError = FileHandle.nullDevice
    guard (try? process.run()) != nil else { return nil }
    let watch = DispatchWorkItem { process.terminate() }
    DispatchQueue.global().asyncAfter(deadline: .now() + 5, execute: watch)
    let data = output.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    watch.cancel()
    guard process.terminationReason == .exit, process.terminationStatus == 0 else { return nil }
    return String(decoding: data, as: UTF8.self)
  }
}
