// Examples in memory: sets for fine-tuning are small, and each is looked at in another order every epoch.
import Foundation
import JSON
import Randomness

/// What examples are batches of: one alone is a batch of one.
public protocol ExampleBatch: Sendable, Equatable {
  init()
  /// Tokens to be computed.
  var tokenCount: Int { get }
  mutating func add(_ other: Self)
}

extension TrainingBatch: ExampleBatch {
  public init() { self.init(tokens: []) }

  public var tokenCount: Int { tokens.count + (source?.tokens.count ?? 0) }

  public mutating func add(_ other: TrainingBatch) { append(other) }
}

extension PreferenceBatch: ExampleBatch {
  public init() { self.init(chosen: TrainingBatch(), rejected: TrainingBatch()) }

  public var tokenCount: Int { chosen.tokenCount + rejected.tokenCount }

  public mutating func add(_ other: PreferenceBatch) {
    chosen.append(other.chosen)
    rejected.append(other.rejected)
  }
}

/// How records are read.
public struct RecordOptions: Sendable, Equatable {
  /// nil for the format that the fields of the first record show.
  public var format: RecordFormat?
  /// Leaves out and counts records that cannot be used, instead of refusing them.
  public var skipsBad = false
  /// The labels in the order of their numbers; nil for those that are found, sorted.
  public var labels: [String]?
  /// How many threads tokenize. The examples do not depend on it.
  public var threads = 1

  public init() {}
}

/// Examples made of records.
public struct ExampleSet<Example: ExampleBatch>: Sendable {
  /// What became of the records.
  public struct Report: Sendable, Equatable {
    /// Records that were read.
    public var records = 0
    /// Examples that were longer than the most tokens and lost their end.
    public var truncated = 0
    /// Examples left out because nothing to be learnt was left of them.
    public var dropped = 0
    public var skipped = SkippedData()
  }

  public let examples: [Example]
  /// The labels, by number; empty where there are none.
  public let labels: [String]
  public let report: Report

  /// Examples that a program made itself.
  /// - Parameter labels: by number, for texts that are classified.
  public init(_ examples: [Example], labels: [String] = []) {
    self.init(examples: examples, labels: labels, report: Report())
  }

  private init(examples: [Example], labels: [String], report: Report) {
    self.examples = examples
    self.labels = labels
    self.report = report
  }

  /// The set in two, divided by chance.
  /// - Parameter validationFraction: 0 ..< 1; of two examples or more, each part gets at least one unless this is 0.
  /// - Throws: ``TrainingDataError`` for another fraction, and for a single example that cannot be divided.
  public func split(
    validationFraction: Double, seed: UInt64
  ) throws(TrainingDataError) -> (training: ExampleSet, validation: ExampleSet) {
    guard 0..<1 ~= validationFraction else {
      throw TrainingDataError(message: "the share for validation is \(validationFraction); expected 0 ..< 1")
    }
    guard validationFraction == 0 || examples.count > 1 else {
      throw TrainingDataError(message: "\(examples.count) examples cannot be divided for validation")
    }
    var order = Array(examples.indices)
    var random = SeededGenerator(seed: seed, stream: RandomStream.split, index: 0)
    random.shuffle(&order)
    let wanted = Int((Double(examples.count) * validationFraction).rounded())
    let count = validationFraction == 0 ? 0 : min(max(wanted, 1), examples.count - 1)
    func part(_ indices: ArraySlice<Int>) -> ExampleSet {
      ExampleSet(examples: indices.sorted().map { examples[$0] }, labels: labels, report: report)
    }
    return (part(order[count...]), part(order[..<count]))
  }
}

extension ExampleSet<TrainingBatch> {
  /// The examples of files.
  /// - Throws: ``TrainingDataError`` that names the file, the line and the field of a record that cannot be used, and
  ///   what was expected there.
  public init(_ files: [SourceFile], encoder: ExampleEncoder, options: RecordOptions = RecordOptions()) throws {
    var names: [String] = [], records: [(example: TrainingBatch, label: Int)] = [], numbers: [String: Int] = [:]
    if let labels = options.labels {
      names = labels
      for (number, label) in labels.enumerated() { numbers[label] = number }
    }
    let report = try Report(files, encoder, options) { record in
      let encoded = try encoder.example(of: record)
      guard case .labelled(_, _, let label) = record else { return (encoded, nil as String?) }
      if let labels = options.labels, !labels.contains(label) {
        throw JSONError(field: "label", message: "expected one of \(labels.prefix(20)), found \"\(label.prefix(80))\"")
      }
      return (encoded, label)
    } add: { output, report in
      if output.0.isTruncated { report.truncated += 1 }
      guard output.0.isUseful else {
        report.dropped += 1
        return
      }
      guard let label = output.1, !output.0.example.labels.isEmpty else {
        records.append((output.0.example, 0))
        return
      }
      let number = numbers[label] ?? names.count
      if number == names.count {
        numbers[label] = number
        names.append(label)
      }
      records.append((output.0.example, number))
    }
    let sorted = options.labels ?? Self.sorted(names)
    let final = Dictionary(zip(sorted, 0...).map { ($0, Int32($1)) }) { first, _ in first }
    examples = records.map { record in
      var example = record.example
      if !example.labels.isEmpty { example.labels = [final[names[record.label]] ?? 0] }
      return example
    }
    labels = sorted
    self.report = report
    try Self.check(examples, files)
  }

  /// Integers by size, other labels by their bytes.
  private static func sorted(_ labels: [String]) -> [String] {
    let integers = labels.compactMap { Int($0) }
    return integers.count == labels.count
      ? labels.sorted { (Int($0) ?? 0, $0) < (Int($1) ?? 0, $1) }
      : labels.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
  }
}

extension ExampleSet<PreferenceBatch> {
  /// The pairs of files.
  /// - Throws: ``TrainingDataError`` that names the file, the line and the field of a record that cannot be used, and
  ///   what was expected there.
  public init(_ files: [SourceFile], encoder: ExampleEncoder, options: RecordOptions = RecordOptions()) throws {
    var pairs: [PreferenceBatch] = []
    report = try Report(files, encoder, options) { record in
      try encoder.pair(of: record)
    } add: { pair, report in
      if pair.chosen.isTruncated || pair.rejected.isTruncated { report.truncated += 1 }
      guard pair.chosen.isUseful, pair.rejected.isUseful else {
        report.dropped += 1
        return
      }
      pairs.append(PreferenceBatch(chosen: pair.chosen.example, rejected: pair.rejected.example))
    }
    examples = pairs
    labels = []
    try Self.check(examples, files)
  }
}

extension ExampleSet {
  fileprivate static func check(_ examples: [Example], _ files: [SourceFile]) throws(TrainingDataError) {
    guard examples.isEmpty else { return }
    throw TrainingDataError(path: files.first?.path, message: "no example is left of the records")
  }
}

extension ExampleSet.Report {
  /// Reads all records, each worked on by some thread and added in order.
  fileprivate init<Output: Sendable>(
    _ files: [SourceFile], _ encoder: ExampleEncoder, _ options: RecordOptions,
    work: @escaping @Sendable (TrainingRecord) throws -> Output,
    add: @escaping (Output, inout Self) throws -> Void
  ) throws {
    guard 1...1024 ~= options.threads else {
      throw TrainingDataError(message: "\(options.threads) threads; expected 1 ... 1024")
    }
    let source = RecordSource(files: files, skipsBad: options.skipsBad)
    let format = try options.format ?? source.recognizedFormat()
    var report = Self()
    try source.read(threads: options.threads) { field in
      try work(TrainingRecord(field, format: format))
    } add: { outputs, skipped in
      report.records += outputs.count + skipped.lines
      report.skipped.lines += skipped.lines
      report.skipped.first = report.skipped.first ?? skipped.first
      for output in outputs { try add(output, &report) }
    }
    self = report
  }
}
