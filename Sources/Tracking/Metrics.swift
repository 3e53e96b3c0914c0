// What a run measured: a line per logged step in metrics.jsonl, and columns by name for whoever reads it.
import Foundation
import JSON
import OrderedCollections

/// A named number at a step.
public struct MetricPoint: Sendable, Equatable {
  public let step: Int
  /// Seconds of work until then; pauses between an interruption and its resumption do not count.
  public let seconds: Double
  /// Tokens trained on until then.
  public let tokens: Int
  /// Not a number, or infinite, where the run computed that.
  public let value: Double

  public init(step: Int, seconds: Double, tokens: Int, value: Double) {
    self.step = step
    self.seconds = seconds
    self.tokens = tokens
    self.value = value
  }
}

/// All that a run measured, by name in the order of first appearance.
public struct Metrics: Sendable, Equatable {
  /// The most names that are kept apart.
  public static let greatestCount = 1000

  public private(set) var columns: OrderedDictionary<String, [MetricPoint]> = [:]
  /// The last logged step; nil if nothing was logged.
  public private(set) var lastStep: Int?
  public private(set) var lastTokens = 0
  public private(set) var lastSeconds = 0.0

  /// The names in the order of first appearance.
  public var names: [String] { Array(columns.keys) }

  /// The course of a metric; empty if there is none of this name.
  public subscript(name: String) -> [MetricPoint] { columns[name] ?? [] }

  /// The last value of every metric.
  public var last: OrderedDictionary<String, Double> {
    OrderedDictionary(uniqueKeysWithValues: columns.compactMap { name, points in points.last.map { (name, $0.value) } })
  }

  mutating func append(_ line: MetricLine) throws(JSONError) {
    for (name, value) in line.values {
      guard columns[name] != nil || columns.count < Self.greatestCount else {
        throw JSONError(field: name, message: "more than \(Self.greatestCount) different names")
      }
      columns[name, default: []].append(
        MetricPoint(step: line.step, seconds: line.seconds, tokens: line.tokens, value: value))
    }
    lastStep = line.step
    lastTokens = line.tokens
    lastSeconds = line.seconds
  }
}

/// A line of metrics.jsonl: `{"step":10,"seconds":1.25,"tokens":81920,"loss":3.25,"gradientNorm":"NaN"}`.
struct MetricLine {
  var step: Int
  var seconds: Double
  var tokens: Int
  var values: [(String, Double)]

  static let reserved = ["step", "seconds", "tokens"]

  init(step: Int, seconds: Double, tokens: Int, values: [(String, Double)]) {
    self.step = step
    self.seconds = seconds
    self.tokens = tokens
    self.values = values
  }

  init(_ line: FileLine) throws(JSONError) {
    let object = try line.object()
    step = try object.required("step").int(in: 0 ... .max)
    seconds = try object.required("seconds").double()
    tokens = try object.required("tokens").int(in: 0 ... .max)
    values = []
    for (name, value) in try object.object() where !Self.reserved.contains(name) {
      values.append((name, try JSONField(value, path: name).number()))
    }
  }

  var json: JSONValue {
    var entries: OrderedDictionary<String, JSONValue> = [
      "step": .int(step), "seconds": .number((seconds * 1000).rounded() / 1000), "tokens": .int(tokens),
    ]
    for (name, value) in values { entries[name] = .number(value) }
    return .object(entries)
  }
}

extension JSONValue {
  /// A number; what JSON has no number for becomes the string `NaN`, `Infinity` or `-Infinity`.
  static func number(_ value: Double) -> JSONValue {
    if value.isFinite { return .double(value) }
    return .string(value.isNaN ? "NaN" : value > 0 ? "Infinity" : "-Infinity")
  }
}

extension JSONField {
  /// A number as `JSONValue.number(_:)` writes it.
  func number() throws(JSONError) -> Double {
    switch value {
    case .string("NaN"): return .nan
    case .string("Infinity"): return .infinity
    case .string("-Infinity"): return -.infinity
    default: return try double()
    }
  }
}
