// Small random models of every family, with the logits that transformers gives for the same text.
import Foundation

/// A model and its reference, made by ModelsTests/Fixtures/tiny_models.py.
public struct ReferenceModel: Sendable, CustomStringConvertible {
  public static let all = [
    "llama", "llama-grouped", "llama-linear", "llama-yarn", "llama-yarn-betas", "llama-3", "gemma3", "gemma3-linear",
  ].map { ReferenceModel(name: $0) }

  /// Tokens of the vocabulary.
  public static let vocabulary = 50

  /// The text that the references were made of.
  public static let tokens = (0..<80).map { Int32(($0 * $0 * 7 + $0 * 3 + 5) % vocabulary) }

  public let name: String

  public var description: String { name }

  /// The path of the GGUF file.
  public var path: String { Self.url("\(name).bin").path }

  /// The logits of every token of ``tokens``, `[tokens, vocabulary]`.
  public func logits() throws -> [Float] {
    try Data(contentsOf: Self.url("\(name).logits")).withUnsafeBytes { bytes in
      (0..<bytes.count / 4).map {
        Float(bitPattern: UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: $0 * 4, as: UInt32.self)))
      }
    }
  }

  private static func url(_ file: String) -> URL {
    URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .appendingPathComponent("ModelsTests/Fixtures/tiny").appendingPathComponent(file)
  }
}

/// How far `values` are from `reference`: the length of the difference over the reference's length.
public func relativeError(_ values: some Collection<Float>, _ reference: some Collection<Float>) -> Double {
  guard values.count == reference.count else { return .infinity }
  var difference = 0.0, length = 0.0
  for (value, expected) in zip(values, reference) {
    difference += (Double(value) - Double(expected)) * (Double(value) - Double(expected))
    length += Double(expected) * Double(expected)
  }
  return (difference / length).squareRoot()
}
