// Texts and numbers as people read them in a terminal.
import Foundation
import JSON

extension String {
  /// On one line, with nothing that moves the cursor.
  var printable: String {
    guard !unicodeScalars.allSatisfy(\.isPrintable) else { return self }
    return unicodeScalars.map { $0.isPrintable ? String($0) : "\\u{\(String($0.value, radix: 16))}" }.joined()
  }

  /// How many columns of a terminal this takes.
  var columns: Int { reduce(0) { $0 + $1.columns } }

  func leftPadded(to width: Int) -> String { String(repeating: " ", count: max(0, width - columns)) + self }

  func rightPadded(to width: Int) -> String { self + String(repeating: " ", count: max(0, width - columns)) }

  /// Cut to a width, which an ellipsis shows.
  func fitted(to width: Int) -> String {
    guard columns > width else { return self }
    var used = 1
    return prefix { character in
      used += character.columns
      return used <= width
    } + "…"
  }
}

extension Character {
  fileprivate var columns: Int {
    guard let scalar = unicodeScalars.first else { return 0 }
    switch scalar.value {
    case 0x1100...0x115F, 0x2E80...0xA4CF, 0xAC00...0xD7A3, 0xF900...0xFAFF, 0xFE30...0xFE6F, 0xFF00...0xFF60,
      0xFFE0...0xFFE6, 0x1F300...0x1FAFF, 0x20000...0x3FFFD:
      return 2
    default: return 1
    }
  }
}

extension Unicode.Scalar {
  fileprivate var isPrintable: Bool {
    switch properties.generalCategory {
    case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate, .privateUse, .unassigned: false
    default: true
    }
  }
}

extension Double {
  /// Five digits that matter: `3.2451`, `0.00012346`, `5e-07`, `81920`.
  var brief: String {
    if isNaN { return "NaN" }
    if isInfinite { return self > 0 ? "∞" : "-∞" }
    let size = magnitude
    return String(format: size >= 10_000 && size < 1e9 ? "%.0f" : "%.5g", self)
  }
}

extension Int {
  /// `1234567` → `1,234,567`
  var grouped: String {
    var digits = String(magnitude), result = ""
    while digits.count > 3 {
      result = "," + digits.suffix(3) + result
      digits.removeLast(3)
    }
    return (self < 0 ? "-" : "") + digits + result
  }
}

/// `3725` → `1 h 2 min`
func duration(_ seconds: Double) -> String {
  guard seconds.isFinite, seconds >= 0, seconds < 1e12 else { return "?" }
  if seconds < 60 { return String(format: "%.1f s", seconds) }
  let minutes = Int(seconds / 60)
  if minutes < 60 { return "\(minutes) min \(Int(seconds) % 60) s" }
  return minutes < 1440 ? "\(minutes / 60) h \(minutes % 60) min" : "\(minutes / 1440) d \(minutes / 60 % 24) h"
}

extension JSONValue {
  /// The values that are no objects, with the paths to them: `optimizer.learningRate`.
  var leaves: [(String, JSONValue)] {
    guard case .object(let entries) = self else { return [] }
    return entries.flatMap { key, value -> [(String, JSONValue)] in
      if case .object(let inner) = value, !inner.isEmpty { return value.leaves.map { ("\(key).\($0)", $1) } }
      return [(key, value)]
    }
  }

  /// For a person: strings without quotes.
  var plain: String {
    switch self {
    case .string(let text): text.printable
    case .null: "–"
    default: text().printable
    }
  }
}
