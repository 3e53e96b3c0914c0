// What a user may write where a model is asked for, read without touching the network.
import Foundation

/// A model as a user names it: from the catalog, from the Hugging Face hub, or a path.
public enum ModelReference: Hashable, Sendable {
  /// A model of the catalog, by its full name such as `smollm2:135m`.
  case catalog(String)
  /// A repository of the hub, or one file of it.
  case hub(HubReference)
  /// A GGUF file or a model's folder, used where it lies.
  case path(String)
}

/// `hf:owner/repository[:file][@revision]`.
public struct HubReference: Hashable, Sendable {
  /// `owner/repository`.
  public let repository: String
  /// A file's path in the repository, or the label of a quantization such as `Q4_K_M`; nil leaves the choice open.
  public let file: String?
  /// A branch, a tag or a commit.
  public let revision: String

  public static let defaultRevision = "main"
}

extension ModelReference: CustomStringConvertible {
  /// Reads `text`. A catalog name wins over a file of the same name in the current folder, which `./name` reaches.
  ///
  /// - Throws: ``HubError/invalidReference(_:reason:)``, ``HubError/unknownModel(_:nearest:)`` with the nearest names,
  ///   or ``HubError/noSuchPath(_:)`` where the text can only be a path.
  public init(_ text: String, catalog: Catalog = .standard) throws {
    guard !text.isEmpty else { throw HubError.invalidReference(text, reason: "it is empty") }
    guard !text.contains("\0") else { throw HubError.invalidReference(text, reason: "it has a NUL character") }
    if text.hasPrefix("hf:") {
      self = .hub(try HubReference(text))
    } else if let entry = catalog[text] {
      self = .catalog(entry.name)
    } else if text.contains("://") {
      throw HubError.invalidReference(text, reason: "addresses are not read; write hf:owner/repository[:file]")
    } else {
      let path = text == "~" || text.hasPrefix("~/") ? NSHomeDirectory() + text.dropFirst() : text
      if FileManager.default.fileExists(atPath: path) {
        self = .path(path)
      } else if text.hasSuffix(".gguf") || text.hasPrefix(".") || text.hasPrefix("~") || text.hasPrefix("/") {
        throw HubError.noSuchPath(path)
      } else if HubReference.isRepository(text) {
        throw HubError.invalidReference(text, reason: "no such path; for the Hugging Face hub write hf:\(text)")
      } else {
        throw text.contains("/")
          ? HubError.noSuchPath(path) : HubError.unknownModel(text, nearest: catalog.nearest(to: text))
      }
    }
  }

  /// The reference as it can be written again.
  public var description: String {
    switch self {
    case .catalog(let name): name
    case .hub(let reference): reference.description
    case .path(let path): path
    }
  }
}

extension HubReference: CustomStringConvertible {
  /// Reads `hf:owner/repository`, with `:file` and `@revision` where given.
  ///
  /// - Throws: ``HubError/invalidReference(_:reason:)`` that says which part is wrong.
  public init(_ text: String) throws {
    guard text.hasPrefix("hf:") else { throw HubError.invalidReference(text, reason: "it does not begin with hf:") }
    var rest = text.dropFirst(3)
    var revision: Substring?
    if let at = rest.lastIndex(of: "@") {
      revision = rest[rest.index(after: at)...]
      rest = rest[..<at]
    }
    let parts = rest.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
    guard let repository = parts.first.map(String.init), Self.isRepository(repository) else {
      throw HubError.invalidReference(text, reason: "expected hf:owner/repository[:file][@revision]")
    }
    let file = parts.count == 2 ? String(parts[1]) : nil
    if let file, let reason = RelativePath.fault(of: file) {
      throw HubError.invalidReference(text, reason: "the file's name \(reason)")
    }
    if let revision, !Self.isRevision(String(revision)) {
      throw HubError.invalidReference(text, reason: "“\(revision)” is no branch, tag or commit")
    }
    self.init(repository: repository, file: file, revision: revision.map(String.init) ?? Self.defaultRevision)
  }

  public var description: String {
    "hf:" + repository + (file.map { ":" + $0 } ?? "")
      + (revision == Self.defaultRevision ? "" : "@" + revision)
  }

  /// True for `owner/repository` as the hub allows it.
  static func isRepository(_ text: String) -> Bool {
    let parts = text.split(separator: "/", omittingEmptySubsequences: false)
    return parts.count == 2 && text.utf8.count <= 200
      && parts.allSatisfy { part in
        guard let first = part.first, first != ".", first != "-" else { return false }
        return part.allSatisfy(isPlain) && !part.contains("..") && !part.contains("--")
      }
  }

  static func isRevision(_ text: String) -> Bool {
    !text.isEmpty && text.utf8.count <= 200 && !text.contains("..") && !text.hasPrefix("/") && !text.hasPrefix("-")
      && text.allSatisfy { isPlain($0) || $0 == "/" }
  }

  private static func isPlain(_ character: Character) -> Bool {
    character.isASCII && (character.isLetter || character.isNumber || "._-".contains(character))
  }
}

/// Paths that strangers name are followed only downwards.
enum RelativePath {
  /// What is wrong with `path` as a file's place below a folder, or nil.
  static func fault(of path: String) -> String? {
    if path.isEmpty { return "is empty" }
    if path.utf8.count > 1000 { return "is longer than 1000 bytes" }
    if path.hasPrefix("/") { return "begins with a slash" }
    if path.unicodeScalars.contains(where: { $0.value < 32 || $0.value == 127 || $0 == "\\" }) {
      return "has a control character or backslash"
    }
    let parts = path.split(separator: "/", omittingEmptySubsequences: false)
    if parts.contains(where: { $0.isEmpty || $0 == "." || $0 == ".." }) { return "has an empty, “.” or “..” part" }
    return nil
  }
}
