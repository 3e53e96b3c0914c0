// A model that is on this machine, and the note that the store keeps about it.
import Foundation

/// A model that can be opened now.
public struct LocalModel: Sendable, Equatable {
  /// What there is to open.
  public enum Kind: String, Sendable {
    case gguf, folder
  }

  /// Who keeps the files.
  public enum Keeper: String, Sendable {
    /// The model store; only these models are listed and can be removed.
    case store
    /// The cache of Hugging Face's tools.
    case huggingFaceCache
    /// Whoever gave the path.
    case user
  }

  /// The name under which it was asked for or is kept.
  public let name: String
  public let kind: Kind
  /// The GGUF file, or the folder.
  public let url: URL
  /// Every file that belongs to the model; empty for a folder that the user gave.
  public let files: [URL]
  public let keeper: Keeper
  /// For a model of the store.
  public let manifest: Manifest?

  /// ``url`` as a path.
  public var path: String { url.path }
}

/// What the store notes about a model: a JSON file per model.
public struct Manifest: Codable, Sendable, Equatable {
  /// The version of this form of note.
  public let format: Int
  public let name: String
  /// Where the files came from: `hf:owner/repository@revision` or `pip:package==version`.
  public let source: String
  /// For the hub, the commit that the revision stood for; nil where it is unknown.
  public let commit: String?
  public let summary: String?
  /// Nil where the source does not tell.
  public let license: String?
  /// The file to open; nil where it is the folder.
  public let main: String?
  public let files: [Catalog.File]
  /// When the model was complete.
  public let date: Date

  /// All files together, in bytes.
  public var size: Int64 { files.reduce(0) { $0.addingReportingOverflow($1.size).partialValue } }

  static let currentFormat = 1

  static func read(_ url: URL) throws -> Manifest {
    let data: Data
    do { data = try Data(contentsOf: url) } catch {
      throw HubError.storage(path: url.path, reason: "cannot be read")
    }
    do {
      let decoder = JSONDecoder()
      decoder.dateDecodingStrategy = .iso8601
      let manifest = try decoder.decode(Manifest.self, from: data)
      if let reason = manifest.fault { throw HubError.invalidManifest(path: url.path, reason: reason) }
      return manifest
    } catch let error as DecodingError {
      throw HubError.invalidManifest(path: url.path, reason: error.summary)
    }
  }

  func encoded() throws -> Data {
    let encoder = JSONEncoder()
    encoder.dateEncodingStrategy = .iso8601
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    return try encoder.encode(self) + Data("\n".utf8)
  }

  private var fault: String? {
    if format != Self.currentFormat { return "format \(format), expected \(Self.currentFormat)" }
    if files.isEmpty { return "“files” is empty" }
    for file in files {
      if let reason = RelativePath.fault(of: file.path) { return "a path in “files” \(reason)" }
      if file.size < 0 { return "the size of \(file.path) is negative" }
    }
    if let main, !files.contains(where: { $0.path == main }) { return "“main” is not among “files”" }
    return nil
  }
}

extension DecodingError {
  /// The field that was wrong and why, on one line.
  var summary: String {
    func place(_ context: Context, _ key: (any CodingKey)? = nil) -> String {
      (context.codingPath + (key.map { [$0] } ?? [])).map(\.stringValue).joined(separator: ".")
    }
    return switch self {
    case .keyNotFound(let key, let context): "“\(place(context, key))” is missing"
    case .typeMismatch(let type, let context): "“\(place(context))” is no \(type)"
    case .valueNotFound(_, let context): "“\(place(context))” is null"
    case .dataCorrupted(let context): context.codingPath.isEmpty ? "no JSON" : "“\(place(context))” cannot be read"
    @unknown default: "cannot be read"
    }
  }
}
