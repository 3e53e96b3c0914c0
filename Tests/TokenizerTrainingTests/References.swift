// What Hugging Face's trainers learnt from the same texts; Fixtures/make_references.py made it.
import Foundation
import JSON
import TestSupport
import Testing
import TokenizerTraining

struct BytePairReference: Sendable, CustomTestStringConvertible {
  let file: String
  let preTokenizer: String
  let size: Int
  let minimum: Int
  let count: Int
  /// Pairs of ids, end to end.
  let merges: [Int]

  var testDescription: String { "\(file), \(preTokenizer), \(size)" }
}

struct WordPieceReference: Sendable, CustomTestStringConvertible {
  let file: String
  let lowercases: Bool
  let size: Int
  let vocabulary: [String]

  var testDescription: String { "\(file), \(lowercases ? "small letters" : "cased")" }
}

struct UnigramReference: Sendable, CustomTestStringConvertible {
  let file: String
  let size: Int
  /// The log-probability of the text's words, each cut in the likeliest way.
  let likelihood: Double
  /// The same of SentencePiece's vocabulary, without the line breaks.
  let sentencePiece: Double

  var testDescription: String { file }
}

enum References {
  static let bytePair: [BytePairReference] = entries("bpe").map {
    BytePairReference(
      file: $0.string("file"), preTokenizer: $0.string("preTokenizer"), size: $0.int("size"),
      minimum: $0.int("minimum"), count: $0.int("count"), merges: $0.array("merges").map(\.integer))
  }
  static let wordPiece: [WordPieceReference] = entries("wordPiece").map {
    WordPieceReference(
      file: $0.string("file"), lowercases: $0["lowercases"] == true, size: $0.int("size"),
      vocabulary: $0.array("vocabulary").map(\.text))
  }
  static let unigram: [UnigramReference] = entries("unigram").map {
    UnigramReference(
      file: $0.string("file"), size: $0.int("size"), likelihood: $0.double("likelihood"),
      sentencePiece: $0.double("sentencePiece"))
  }

  /// Empty where the file cannot be read, which leaves tests without arguments; one test asks that it is not.
  private static func entries(_ name: String) -> [JSONValue] {
    (try? JSONValue(parsing: fixture("references.json"))).map { $0.array(name) } ?? []
  }
}

extension JSONValue {
  subscript(_ key: String) -> JSONValue? {
    guard case .object(let entries) = self else { return nil }
    return entries[key]
  }

  func array(_ key: String) -> [JSONValue] {
    guard case .array(let values) = self[key] else { return [] }
    return values
  }

  func string(_ key: String) -> String { self[key]?.text ?? "" }
  func int(_ key: String) -> Int { self[key]?.integer ?? -1 }

  func double(_ key: String) -> Double {
    guard case .double(let value) = self[key] else { return .nan }
    return value
  }

  var integer: Int {
    guard case .int(let value) = self else { return -1 }
    return value
  }

  var text: String {
    guard case .string(let value) = self else { return "" }
    return value
  }
}

/// A file for as long as this object exists.
final class TemporaryFile {
  let path: String

  init(_ bytes: some Sequence<UInt8>) throws {
    path = FileManager.default.temporaryDirectory.appendingPathComponent("malmoi-\(UUID().uuidString)").path
    try Data(bytes).write(to: URL(fileURLWithPath: path))
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }
}

func train(
  _ algorithm: TokenizerTrainer.Algorithm, _ file: String, _ options: TrainingOptions
) throws -> TrainedTokenizer {
  try TokenizerTrainer(algorithm, options: options).train(files: [fixtureURL(file).path])
}
