// Answers go to standard output and nothing else does; all the rest goes to standard error.
import Foundation

enum Output {
  /// Writes text to standard output at once.
  static func text(_ text: String) {
    write(text, to: .standardOutput)
  }

  static func line(_ text: String) {
    write(text + "\n", to: .standardOutput)
  }

  /// Writes a line to standard error.
  static func note(_ text: String) {
    write(text + "\n", to: .standardError)
  }

  /// Replaces the last line of standard error when it is a terminal.
  static func status(_ text: String) {
    if isatty(2) == 1 { write("\r\u{1b}[K" + text, to: .standardError) }
  }

  private static func write(_ text: String, to handle: FileHandle) {
    do { try handle.write(contentsOf: Data(text.utf8)) } catch {
      if handle === FileHandle.standardOutput { note("malmoi: standard output cannot be written: \(reason(error))") }
      exit(1)
    }
  }

  /// The system's own words for a failure of reading or writing.
  static func reason(_ error: any Error) -> String {
    let cause = (error as NSError).userInfo[NSUnderlyingErrorKey] as? NSError ?? error as NSError
    guard cause.domain == NSPOSIXErrorDomain else { return error.localizedDescription }
    return String(cString: strerror(Int32(cause.code)))
  }

  static func json(_ value: some Encodable) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    encoder.nonConformingFloatEncodingStrategy = .convertToString(
      positiveInfinity: "Infinity", negativeInfinity: "-Infinity", nan: "NaN")
    encoder.dateEncodingStrategy = .iso8601
    line(String(decoding: try encoder.encode(value), as: UTF8.self))
  }

  /// 98362432 → `98.4 MB`
  static func bytes(_ count: some BinaryInteger) -> String {
    var value = Double(count), unit = 0
    let units = ["B", "kB", "MB", "GB", "TB"]
    while value >= 1000, unit < units.count - 1 {
      value /= 1000
      unit += 1
    }
    return unit == 0 ? "\(count) B" : String(format: value < 10 ? "%.2f %@" : "%.1f %@", value, units[unit])
  }

  /// 1234567 → `1,234,567`
  static func number(_ value: Int) -> String {
    var digits = String(abs(value)), result = ""
    while digits.count > 3 {
      result = "," + digits.suffix(3) + result
      digits.removeLast(3)
    }
    return (value < 0 ? "-" : "") + digits + result
  }

  static func fixed(_ value: Double, _ digits: Int = 1) -> String { String(format: "%.\(digits)f", value) }
}

/// A failure that the command itself found.
struct Failure: Error, CustomStringConvertible {
  let description: String

  init(_ description: String) {
    self.description = description
  }
}

/// Reads all of standard input as UTF-8.
func readStandardInput() throws -> String { try read(.standardInput, from: "standard input") }

/// Reads a file as UTF-8.
func readFile(_ path: String) throws -> String {
  let descriptor = open(path, O_RDONLY | O_CLOEXEC)
  guard descriptor >= 0 else { throw Failure("\(path): cannot be read: \(String(cString: strerror(errno)))") }
  return try read(FileHandle(fileDescriptor: descriptor, closeOnDealloc: true), from: path)
}

private func read(_ handle: FileHandle, from source: String) throws -> String {
  let data: Data?
  do { data = try handle.readToEnd() } catch {
    throw Failure("\(source): cannot be read: \(Output.reason(error))")
  }
  return try decoded(data ?? Data(), from: source)
}

/// - Throws: a ``Failure`` that names the first byte which is not UTF-8.
func decoded(_ data: Data, from source: String) throws -> String {
  if let text = String(validating: data, as: UTF8.self) { return text }
  var valid = 0
  var decoder = UTF8()
  var bytes = data.makeIterator()
  while case .scalarValue(let scalar) = decoder.decode(&bytes) { valid += UTF8.width(scalar) }
  throw Failure("\(source): not UTF-8 at byte \(valid)")
}
