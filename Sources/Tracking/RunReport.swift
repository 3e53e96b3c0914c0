// Runs as tables in a terminal: all of them, one, and several side by side.
import Foundation
import JSON
import OrderedCollections

public enum RunReport {
  /// A line per run: id, name, status, start, time, step, tokens, and the last losses.
  public static func list(_ runs: [RunRecord]) -> String {
    var rows = [["id", "name", "status", "started (UTC)", "time", "step", "tokens", "loss", "validation"]]
    for run in runs {
      guard let state = run.state else {
        rows.append([run.id.printable.fitted(to: 24), "–", "damaged"])
        continue
      }
      func last(_ name: String) -> String { state.metrics[name]?.brief ?? "–" }
      rows.append([
        run.id.printable.fitted(to: 24), state.name.printable.fitted(to: 32), state.status.rawValue,
        state.started.minute, duration(state.seconds), state.step.grouped, state.tokens.grouped, last("loss"),
        last("validationLoss"),
      ])
    }
    var text = table(rows, leftColumns: 4)
    for run in runs { for fault in run.faults { text += "\(fault)".printable + "\n" } }
    return runs.isEmpty ? "no runs yet\n" : text
  }

  /// All about one run: its status, metrics with the course of each, options, environment, data and the last sample.
  public static func show(_ run: RunRecord, width: Int = 100) -> String {
    var rows = [["run", run.folderName.printable]]
    if let state = run.state {
      rows.append(["name", state.name.printable])
      rows.append(["status", state.status.rawValue + (state.message.map { ": " + $0.printable } ?? "")])
      rows.append(["started", state.started.minute + " UTC, \(duration(state.seconds)) of work"])
      rows.append(["step", "\(state.step.grouped), \(state.tokens.grouped) tokens"])
      if !state.resumedAt.isEmpty {
        rows.append(["resumed", "after step " + state.resumedAt.map(\.grouped).joined(separator: "; ")])
      }
    }
    var text = table(rows, leftColumns: 2)
    if !run.metrics.names.isEmpty {
      var rows = [["metric", "last", "lowest", "at step", "highest", "at step", ""]]
      for name in run.metrics.names {
        let points = run.metrics[name]
        guard let last = points.last else { continue }
        let (lowest, highest) = extremes(points)
        rows.append([
          name.printable, last.value.brief, lowest?.value.brief ?? "–", lowest?.step.grouped ?? "–",
          highest?.value.brief ?? "–", highest?.step.grouped ?? "–", "  " + sparkline(points.map(\.value), width: 24),
        ])
      }
      text += "\n" + table(rows, leftColumns: 1)
    }
    for (title, part) in [("config", run.config), ("environment", run.environment), ("data", run.data)] {
      let leaves = part.leaves
      guard !leaves.isEmpty else { continue }
      let column = min(40, leaves.map { $0.0.printable.columns }.max() ?? 0)
      text += "\n\(title)\n"
      for (key, value) in leaves {
        text += "  " + key.printable.rightPadded(to: column) + "  "
          + value.plain.fitted(to: max(20, width - column - 4)) + "\n"
      }
    }
    if let sample = run.samples.last {
      text += "\nsample of step \(sample.step.grouped)\n"
      for line in ("> " + sample.prompt + "\n" + sample.text).split(separator: "\n").prefix(20) {
        text += "  " + String(line).printable.fitted(to: max(20, width - 2)) + "\n"
      }
    }
    for fault in run.faults { text += "\n" + "\(fault)".printable }
    return run.faults.isEmpty ? text : text + "\n"
  }

  /// Several runs side by side: the options in which they differ, and what came of it.
  public static func compare(_ runs: [RunRecord], width: Int = 100) -> String {
    let cell = max(12, min(28, (width - 30) / max(1, runs.count) - 2))
    func row(_ title: String, _ cells: [String]) -> [String] { [title] + cells.map { $0.fitted(to: cell) } }
    var rows = [row("", runs.map { $0.id.printable }), row("name", runs.map { $0.name.printable })]
    rows.append(row("status", runs.map { $0.state?.status.rawValue ?? "damaged" }))
    rows.append(row("time", runs.map { $0.state.map { duration($0.seconds) } ?? "–" }))
    rows.append(row("step", runs.map { $0.state?.step.grouped ?? "–" }))
    rows.append(row("tokens", runs.map { $0.state?.tokens.grouped ?? "–" }))
    rows.append([])
    let differences = differences(runs)
    rows.append([differences.isEmpty ? "config (no difference)" : "config (where it differs)"])
    for (key, values) in differences {
      rows.append(row("  " + key.printable, values.map { $0?.plain ?? "–" }))
    }
    rows.append([])
    rows.append(["metrics (last, lowest)"])
    for name in names(runs) {
      rows.append(
        row(
          "  " + name.printable,
          runs.map { run in
            let points = run.metrics[name]
            guard let last = points.last else { return "–" }
            return last.value.brief + (extremes(points).lowest.map { ", " + $0.value.brief } ?? "")
          }))
    }
    return table(rows, leftColumns: 1)
  }

  /// One run for a program; not-a-number and infinite are strings.
  public static func json(_ run: RunRecord) -> JSONValue {
    [
      "folder": .string(run.folder), "id": .string(run.id), "state": run.state?.json ?? .null, "config": run.config,
      "environment": run.environment, "data": run.data,
      "metrics": .object(
        OrderedDictionary(
          uniqueKeysWithValues: run.metrics.columns.map { name, points -> (String, JSONValue) in
            let (lowest, highest) = extremes(points)
            func json(_ point: MetricPoint?) -> JSONValue {
              point.map { ["step": .int($0.step), "value": .number($0.value)] } ?? .null
            }
            return (name, ["last": json(points.last), "lowest": json(lowest), "highest": json(highest)])
          })),
      "faults": .array(run.faults.map { .string($0.description) }),
    ]
  }

  /// The options in which runs differ; nil where a run does not have one.
  static func differences(_ runs: [RunRecord]) -> [(String, [JSONValue?])] {
    var values: OrderedDictionary<String, [JSONValue?]> = [:]
    for (index, run) in runs.enumerated() {
      for (key, value) in run.config.leaves {
        values[key, default: Array(repeating: nil, count: runs.count)][index] = value
      }
    }
    return values.elements.filter { _, values in values.contains { $0 != values[0] } }.map { ($0.key, $0.value) }
  }

  private static func names(_ runs: [RunRecord]) -> OrderedSet<String> { OrderedSet(runs.flatMap(\.metrics.names)) }

  /// The points of the lowest and the highest finite value, the first of equal ones.
  static func extremes(_ points: [MetricPoint]) -> (lowest: MetricPoint?, highest: MetricPoint?) {
    let finite = points.filter(\.value.isFinite)
    return (finite.min { $0.value < $1.value }, finite.max { $0.value < $1.value })
  }

  /// The course of values in one line of blocks; where nothing is finite, a space.
  public static func sparkline(_ values: [Double], width: Int) -> String {
    let count = min(width, values.count)
    guard count > 0 else { return "" }
    let means = (0..<count).map { column -> Double in
      let part = values[(column * values.count / count)..<((column + 1) * values.count / count)].filter(\.isFinite)
      return part.isEmpty ? .nan : part.reduce(0) { $0 + $1 / Double(part.count) }
    }
    let finite = means.filter(\.isFinite)
    guard let lowest = finite.min(), let highest = finite.max() else { return "" }
    // Halves, so that the difference of two finite numbers is finite.
    let span = highest / 2 - lowest / 2
    return String(
      means.map { mean in
        guard mean.isFinite else { return " " }
        // A mean of equal numbers may be off in its last digit.
        return Array("▁▂▃▄▅▆▇█")[span > highest.magnitude * 1e-12 ? Int((mean / 2 - lowest / 2) / span * 7.99) : 0]
      })
  }

  /// Rows of cells in columns, the first few from the left and the rest from the right.
  static func table(_ rows: [[String]], leftColumns: Int) -> String {
    // A line of a single cell is a title and may be as wide as it likes.
    let shown = rows.filter { $0.count > 1 }
    let widths = (0..<(rows.map(\.count).max() ?? 0)).map { column in
      shown.map { $0.count > column ? $0[column].columns : 0 }.max() ?? 0
    }
    return rows.map { row in
      var line = row.enumerated().map { column, cell in
        column < leftColumns ? cell.rightPadded(to: widths[column]) : cell.leftPadded(to: widths[column])
      }.joined(separator: "  ")
      while line.last == " " { line.removeLast() }
      return line + "\n"
    }.joined()
  }
}

extension Date {
  /// `2026-01-31 12:00`, UTC.
  fileprivate var minute: String {
    String(formatted(.iso8601).prefix(16)).replacingOccurrences(of: "T", with: " ")
  }
}
