// status.json: how a run stands, small enough to be rewritten every few seconds.
import Foundation
import JSON
import OrderedCollections

/// How a run stands.
public enum RunStatus: String, Sendable, CaseIterable {
  case running, finished, interrupted, failed
}

/// What status.json says about a run.
public struct RunState: Sendable, Equatable {
  /// The name as it was given; the folder's name may have only some of its characters.
  public var name: String
  public var status: RunStatus
  /// Why it ended.
  public var message: String?
  /// The process that writes it, or wrote it last.
  public var process: Int
  public var started: Date
  public var updated: Date
  public var ended: Date?
  public var step = 0
  public var tokens = 0
  /// Seconds of work.
  public var seconds = 0.0
  /// The steps at which it was resumed.
  public var resumedAt: [Int] = []
  /// The last value of every metric.
  public var metrics: OrderedDictionary<String, Double> = [:]

  init(name: String, started: Date, process: Int) {
    self.name = name
    self.process = process
    self.started = started
    updated = started
    status = .running
  }

  init(_ field: JSONField) throws(JSONError) {
    func date(_ key: String) throws(JSONError) -> Date {
      let text = try field.required(key).string()
      guard let date = try? Date(text, strategy: .iso8601) else {
        throw JSONError(field: key, message: "expected a time such as 2026-01-31T12:00:00Z, found \"\(text)\"")
      }
      return date
    }
    name = try field.required("name").string()
    let word = try field.required("status").string()
    guard let status = RunStatus(rawValue: word) else {
      let all = RunStatus.allCases.map(\.rawValue).joined(separator: ", ")
      throw JSONError(field: "status", message: "expected one of \(all), found \"\(word)\"")
    }
    self.status = status
    message = try field["message"]?.string()
    process = try field.required("process").int(in: 1 ... Int(Int32.max))
    started = try date("started")
    updated = try date("updated")
    ended = field["ended"] == nil ? nil : try date("ended")
    step = try field.required("step").int(in: 0 ... .max)
    tokens = try field.required("tokens").int(in: 0 ... .max)
    seconds = try field.required("seconds").double()
    resumedAt = try field.required("resumedAt").array().map { (step) throws(JSONError) in try step.int(in: 0 ... .max) }
    for (name, value) in try field.required("metrics").object() {
      guard metrics.count < Metrics.greatestCount else { break }
      metrics[name] = try JSONField(value, path: "metrics." + name).number()
    }
  }

  var json: JSONValue {
    [
      "name": .string(name), "status": .string(status.rawValue), "message": message.map { .string($0) } ?? .null,
      "process": .int(process), "started": .string(started.formatted(.iso8601)),
      "updated": .string(updated.formatted(.iso8601)), "ended": ended.map { .string($0.formatted(.iso8601)) } ?? .null,
      "step": .int(step), "tokens": .int(tokens), "seconds": .number(seconds),
      "resumedAt": .array(resumedAt.map { .int($0) }), "metrics": .object(metrics.mapValues { .number($0) }),
    ]
  }
}
