// Code that builds a model asks for keys by name and type; what is missing or of another type is an error that says so.
import Tokenization

/// The key–value pairs of a GGUF file, in the file's order.
///
/// Each accessor gives nil for a key that is absent and throws for one that holds another type; its `required` form
/// throws for an absent key too. The errors name the key and what was expected.
public struct GGUFMetadata: Sendable {
  /// The file, for error messages.
  public let path: String
  public private(set) var keys: [String] = []
  private var values: [String: GGUFValue] = [:]

  public init(path: String) {
    self.path = path
  }

  public subscript(key: String) -> GGUFValue? { values[key] }

  /// Adds a pair, or replaces the value of a key that is there; it keeps its place.
  public mutating func set(_ key: String, _ value: GGUFValue) {
    if values.updateValue(value, forKey: key) == nil { keys.append(key) }
  }

  public func string(_ key: String) throws(CheckpointError) -> String? {
    try value(key, "a string", \.string)
  }

  /// An integer of any width.
  /// - Parameter range: where it must lie
  public func int(_ key: String, in range: ClosedRange<Int> = .min ... .max) throws(CheckpointError) -> Int? {
    guard let integer = try value(key, "an integer", \.integer) else { return nil }
    guard range.contains(integer) else {
      throw error(key, "expected an integer from \(range.lowerBound) to \(range.upperBound), found \(integer)")
    }
    return integer
  }

  public func float(_ key: String) throws(CheckpointError) -> Double? {
    try value(key, "a number", \.float)
  }

  public func bool(_ key: String) throws(CheckpointError) -> Bool? {
    try value(key, "a bool", \.bool)
  }

  public func strings(_ key: String) throws(CheckpointError) -> PackedStrings? {
    try value(key, "an array of strings", \.array?.strings)
  }

  public func ints(_ key: String) throws(CheckpointError) -> [Int]? {
    try value(key, "an array of integers", \.array?.integers)
  }

  public func floats(_ key: String) throws(CheckpointError) -> [Float]? {
    try value(key, "an array of numbers", \.array?.floats)
  }

  public func bools(_ key: String) throws(CheckpointError) -> [Bool]? {
    try value(key, "an array of bools", \.array?.bools)
  }

  /// One integer for each of `count` layers; a file may state a single one that stands for all.
  public func ints(_ key: String, perLayer count: Int) throws(CheckpointError) -> [Int]? {
    if let same = self[key]?.integer { return Array(repeating: same, count: count) }
    guard let integers = try ints(key) else { return nil }
    guard integers.count == count else {
      throw error(key, "expected an integer or an array of \(count), found \(integers.count) elements")
    }
    return integers
  }

  public func string(required key: String) throws(CheckpointError) -> String {
    try present(string(key), key, "a string")
  }

  public func int(required key: String, in range: ClosedRange<Int> = .min ... .max) throws(CheckpointError) -> Int {
    try present(int(key, in: range), key, "an integer")
  }

  public func float(required key: String) throws(CheckpointError) -> Double {
    try present(float(key), key, "a number")
  }

  public func bool(required key: String) throws(CheckpointError) -> Bool {
    try present(bool(key), key, "a bool")
  }

  public func strings(required key: String) throws(CheckpointError) -> PackedStrings {
    try present(strings(key), key, "an array of strings")
  }

  public func ints(required key: String) throws(CheckpointError) -> [Int] {
    try present(ints(key), key, "an array of integers")
  }

  public func floats(required key: String) throws(CheckpointError) -> [Float] {
    try present(floats(key), key, "an array of numbers")
  }

  /// Which layers see a window: a flag for each, or a period in which one sees all, the last one if not the first.
  package func windowPattern(
    architecture: String, layers: Int, default otherwise: Int? = nil, fullFirst: Bool = false
  ) throws(CheckpointError) -> [Bool]? {
    let key = "\(architecture).attention.sliding_window_pattern"
    if self[key]?.array != nil {
      guard let flags = try bools(key), flags.count == layers else {
        throw error(key, "expected a flag for each of \(layers) layers")
      }
      return flags
    }
    guard let period = try int(key, in: 1...1 << 12) ?? otherwise else { return nil }
    return (0..<layers).map { ($0 + (fullFirst ? 0 : 1)) % period != 0 }
  }

  /// An error about the value of `key`, for what only the caller can judge.
  public func error(_ key: String, _ message: String) -> CheckpointError {
    CheckpointError(path: path, field: "key \(key)", message: message)
  }

  private func value<T>(
    _ key: String, _ expected: String, _ convert: (GGUFValue) -> T?
  ) throws(CheckpointError) -> T? {
    guard let value = values[key] else { return nil }
    guard let converted = convert(value) else { throw error(key, "expected \(expected), found \(value.typeName)") }
    return converted
  }

  private func present<T>(_ value: T?, _ key: String, _ expected: String) throws(CheckpointError) -> T {
    guard let value else { throw error(key, "missing; expected \(expected)") }
    return value
  }
}
