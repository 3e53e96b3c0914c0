// The date that templates print, and Python's `strftime`.
import Foundation

/// The moment and the place a template's `strftime_now` reports.
public struct TemplateClock: Sendable {
  public var now: Date
  public var timeZone: TimeZone

  /// - Parameters:
  ///   - now: the moment; the current one by default.
  ///   - timeZone: where dates are counted; the machine's by default.
  public init(now: Date = Date(), timeZone: TimeZone = .current) {
    self.now = now
    self.timeZone = timeZone
  }

  private static let days = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"]
  private static let months = [
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
  ]

  /// Python's `datetime.now().strftime(format)` in the C locale.
  ///
  /// - Throws: a failure that names a directive it does not know.
  func format(_ format: String) throws -> String {
    var calendar = Calendar(identifier: .gregorian)
    calendar.timeZone = timeZone
    let parts = calendar.dateComponents(
      [.year, .month, .day, .hour, .minute, .second, .nanosecond, .weekday, .dayOfYear], from: now)
    var result = ""
    var scalars = Array(format.unicodeScalars)[...]
    while let scalar = scalars.popFirst() {
      guard scalar == "%", var directive = scalars.popFirst() else {
        result.unicodeScalars.append(scalar)
        continue
      }
      var padding: Unicode.Scalar? = "0"
      if directive == "-" || directive == "_", let next = scalars.popFirst() {
        padding = directive == "-" ? nil : " "
        directive = next
      }
      result += try Self.directive(directive, parts, padding)
    }
    return result
  }

  private static func directive(_ directive: Unicode.Scalar, _ parts: DateComponents, _ padding: Unicode.Scalar?) throws
    -> String
  {
    func padded(_ value: Int?, _ width: Int, _ fill: Unicode.Scalar? = nil) -> String {
      let digits = String(value ?? 0)
      guard let padding else { return digits }
      let run = String(padding == "0" ? fill ?? padding : padding)
      return String(repeating: run, count: max(0, width - digits.utf8.count)) + digits
    }
    func all(_ directives: String, _ separator: String) throws -> String {
      try directives.unicodeScalars.map { try Self.directive($0, parts, "0") }.joined(separator: separator)
    }
    let hour = parts.hour ?? 0
    let weekday = (parts.weekday ?? 1) - 1
    let month = (parts.month ?? 1) - 1
    let dayOfYear = (parts.dayOfYear ?? 1) - 1
    switch directive {
    case "Y": return String(parts.year ?? 0)
    case "y": return padded((parts.year ?? 0) % 100, 2)
    case "C": return padded((parts.year ?? 0) / 100, 2)
    case "m": return padded(parts.month, 2)
    case "B": return months.indices.contains(month) ? months[month] : ""
    case "b", "h": return months.indices.contains(month) ? String(months[month].prefix(3)) : ""
    case "d": return padded(parts.day, 2)
    case "e": return padded(parts.day, 2, " ")
    case "A": return days.indices.contains(weekday) ? days[weekday] : ""
    case "a": return days.indices.contains(weekday) ? String(days[weekday].prefix(3)) : ""
    case "w": return String(weekday)
    case "u": return String(weekday == 0 ? 7 : weekday)
    case "j": return padded(parts.dayOfYear, 3)
    case "U": return padded((dayOfYear + 7 - weekday) / 7, 2)
    case "W": return padded((dayOfYear + 7 - (weekday + 6) % 7) / 7, 2)
    case "H": return padded(hour, 2)
    case "I": return padded((hour + 11) % 12 + 1, 2)
    case "k": return padded(hour, 2, " ")
    case "l": return padded((hour + 11) % 12 + 1, 2, " ")
    case "M": return padded(parts.minute, 2)
    case "S": return padded(parts.second, 2)
    case "f": return padded((parts.nanosecond ?? 0) / 1000, 6)
    case "p": return hour < 12 ? "AM" : "PM"
    case "P": return hour < 12 ? "am" : "pm"
    case "F": return try all("Ymd", "-")
    case "D", "x": return try all("mdy", "/")
    case "T", "X": return try all("HMS", ":")
    case "R": return try all("HM", ":")
    case "c": return try all("abeTY", " ")
    case "r": return try all("IMS", ":") + " " + Self.directive("p", parts, "0")
    // A time without a zone, as Python's, has neither of these.
    case "Z", "z": return ""
    case "%": return "%"
    case "n": return "\n"
    case "t": return "\t"
    default: throw Failure(.unsupported("strftime_now with the directive %\(directive)"))
    }
  }
}
