// The form of the catalog: a model, its files, and the places where they can be had.
import Foundation

/// The models that can be had by a short name.
public struct Catalog: Sendable {
  /// The models, in the order in which they are shown.
  public let entries: [Entry]
  /// The name of the model that is used where none is asked for.
  public let defaultName: String

  public init(entries: [Entry], defaultName: String) {
    self.entries = entries
    self.defaultName = defaultName
  }

  /// One model.
  public struct Entry: Sendable {
    /// The full name, `family:size`.
    public let name: String
    /// Other names for the same model.
    public let aliases: [String]
    /// One line about the model.
    public let summary: String
    /// An SPDX identifier, or the name of the licence.
    public let license: String
    /// The file that a program opens; nil where it opens the folder.
    public let main: String?
    public let files: [File]
    /// Where the files can be had, in the order in which the places are tried.
    public let places: [Place]

    public init(
      name: String, aliases: [String] = [], summary: String, license: String, main: String?, files: [File],
      places: [Place]
    ) {
      self.name = name
      self.aliases = aliases
      self.summary = summary
      self.license = license
      self.main = main
      self.files = files
      self.places = places
    }

    /// All files together, in bytes.
    public var size: Int64 { files.reduce(0) { $0 + $1.size } }
  }

  /// One file of a model.
  public struct File: Hashable, Sendable, Codable {
    /// The path below the model's folder.
    public let path: String
    /// In bytes.
    public let size: Int64
    /// 64 lowercase hexadecimal digits.
    public let sha256: String

    public init(path: String, size: Int64, sha256: String) {
      self.path = path
      self.size = size
      self.sha256 = sha256
    }
  }

  /// Somewhere that has every file of a model.
  public enum Place: Sendable, CustomStringConvertible {
    /// A repository of the Hugging Face hub that has the files under the same paths.
    case hub(repository: String, revision: String)
    /// Python packages that carry the files. `contents` gives, for each file, the installed files which laid end to
    /// end are that file.
    case python(requirements: [String], contents: [String: [String]])

    public var description: String {
      switch self {
      case .hub(let repository, let revision):
        HubReference(repository: repository, file: nil, revision: revision).description
      case .python(let requirements, _): "pip:" + requirements.joined(separator: ",")
      }
    }
  }

  /// The model with this name or alias.
  public subscript(name: String) -> Entry? {
    entries.first { $0.name == name || $0.aliases.contains(name) }
  }

  /// The three names, at most, that take the fewest changes of a letter to become from `name`.
  public func nearest(to name: String) -> [String] {
    let known = entries.flatMap { [$0.name] + $0.aliases }
    let ranked = known.map { (name: $0, distance: editDistance(name.lowercased(), $0)) }
      .sorted { ($0.distance, $0.name) < ($1.distance, $1.name) }
    return ranked.prefix(3).map(\.name)
  }
}

/// The least number of insertions, deletions and replacements of a character between two texts (Levenshtein, 1966).
package func editDistance(_ first: String, _ second: String) -> Int {
  let columns = Array(second.prefix(100))
  var row = Array(0...columns.count)
  for (index, character) in first.prefix(100).enumerated() {
    var diagonal = row[0]
    row[0] = index + 1
    for column in columns.indices {
      let replaced = diagonal + (columns[column] == character ? 0 : 1)
      diagonal = row[column + 1]
      row[column + 1] = min(replaced, diagonal + 1, row[column] + 1)
    }
  }
  return row[columns.count]
}
