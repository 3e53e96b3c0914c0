// What the hub says about a repository, and which of its files make a model.
import Foundation

/// A repository's files at one commit.
struct RepositoryListing: Sendable {
  struct File: Sendable {
    let path: String
    let size: Int64?
    let sha256: String?
  }

  let commit: String?
  let license: String?
  let files: [File]

  /// Reads the answer of `/api/models/<repository>?blobs=true`.
  init(json: Data, url: String) throws {
    struct Answer: Decodable {
      struct Sibling: Decodable {
        struct LargeFile: Decodable {
          let sha256: String?
        }
        let rfilename: String
        let size: Int64?
        let lfs: LargeFile?
      }
      let sha: String?
      let tags: [String]?
      let siblings: [Sibling]
    }
    do {
      let answer = try JSONDecoder().decode(Answer.self, from: json)
      commit = answer.sha.flatMap { $0.count == 40 && $0.allSatisfy(\.isHexDigit) ? $0 : nil }
      license = answer.tags?.first { $0.hasPrefix("license:") }.map { String($0.dropFirst("license:".count)) }
      // A file whose path leads out of its folder cannot be fetched, so it is no choice.
      files = answer.siblings.filter { RelativePath.fault(of: $0.rfilename) == nil }.map { sibling in
        File(
          path: sibling.rfilename, size: sibling.size.flatMap { $0 >= 0 ? $0 : nil },
          sha256: sibling.lfs?.sha256.flatMap { isSHA256($0) ? $0 : nil })
      }
    } catch let error as DecodingError {
      throw HubError.malformedResponse(url: url, reason: error.summary)
    }
  }
}

/// The files that make a model.
package struct FileChoice: Equatable {
  /// The file to open; nil for a folder.
  package let main: String?
  package let paths: [String]

  /// Quantizations from the most to the least welcome: small enough for an ordinary machine, good enough to use.
  static let preference = [
    "Q4_K_M", "Q4_1", "Q4_0", "Q8_0", "Q5_K_M", "Q6_K", "Q4_K_S", "Q5_K_S", "Q5_1", "Q5_0", "IQ4_NL", "IQ4_XS",
    "Q3_K_L", "Q3_K_M", "Q3_K_S", "IQ3_M", "Q2_K", "BF16", "F16", "F32",
  ]

  /// Chooses from a repository's paths.
  ///
  /// - Parameter wanted: a path, the label of a quantization, or nil for the best by ``preference``.
  /// - Throws: ``HubError/ambiguousFile(repository:choices:)``, ``HubError/noUsableFile(repository:)`` or
  ///   ``HubError/fileNotFound(file:repository:revision:)``.
  package init(from paths: [String], wanted: String?, repository: String, revision: String) throws {
    if let wanted, paths.contains(wanted) {
      self = FileChoice(wanted, with: paths)
      return
    }
    // A model in several parts is named by its first; a projector for images is no language model.
    let models = paths.filter {
      let name = $0.lowercased()
      return name.hasSuffix(".gguf") && !name.contains("mmproj") && (Part($0)?.index ?? 1) == 1
    }
    let candidates: [String]
    if let wanted {
      candidates = models.filter { Self.has(label: wanted.uppercased(), in: $0) }
      if candidates.isEmpty {
        throw HubError.fileNotFound(file: wanted, repository: repository, revision: revision)
      }
    } else if models.count > 1 {
      let best = Self.preference.lazy.map { label in models.filter { Self.has(label: label, in: $0) } }
        .first { !$0.isEmpty }
      candidates = best ?? models
    } else {
      candidates = models
    }
    if candidates.count > 1 {
      throw HubError.ambiguousFile(repository: repository, choices: candidates.sorted())
    }
    if let only = candidates.first {
      self = FileChoice(only, with: paths)
    } else {
      self = try FileChoice(folder: paths, repository: repository)
    }
  }

  private init(_ path: String, with paths: [String]) {
    main = path
    guard let part = Part(path) else {
      self.paths = [path]
      return
    }
    self.paths = paths.filter { Part($0)?.stem == part.stem && Part($0)?.count == part.count }.sorted()
  }

  /// Weights as safetensors with what is needed to read them.
  private init(folder paths: [String], repository: String) throws {
    let weights = paths.filter { $0.hasSuffix(".safetensors") && !$0.contains("/") }
    guard !weights.isEmpty, paths.contains("config.json") else { throw HubError.noUsableFile(repository: repository) }
    // A repository that offers both has the same weights twice: whole, and in the original program's form.
    let isNamedAsUsual = weights.contains { $0.hasPrefix("model") }
    let extras = paths.filter { path in
      let isModule = path.hasSuffix("/config.json") && path.split(separator: "/").count == 2
      return isModule || (!path.contains("/") && [".json", ".txt", ".model", ".jinja"].contains(where: path.hasSuffix))
    }
    main = nil
    self.paths = (weights.filter { !isNamedAsUsual || $0.hasPrefix("model") } + extras).sorted()
  }

  /// True where `label` stands alone in the file's name, so that `Q4_0` is not found in `IQ4_0` or `Q4_0_8`.
  private static func has(label: String, in path: String) -> Bool {
    let name = (path.split(separator: "/").last ?? "").uppercased()
    var rest = name[...]
    while let found = rest.range(of: label) {
      let before = name[..<found.lowerBound].last
      let after = name[found.upperBound...].first
      if before.map({ !$0.isLetter && !$0.isNumber }) ?? true, after == "." || after == "-" { return true }
      rest = rest[found.upperBound...]
    }
    return false
  }

  /// False where a model in several parts lacks one.
  var isComplete: Bool {
    paths.allSatisfy { path in
      guard let part = Part(path) else { return true }
      return paths.count { Part($0)?.stem == part.stem } == part.count
    }
  }

  /// `stem-00002-of-00005.gguf`
  private struct Part {
    let stem: Substring
    let index: Int
    let count: Int

    init?(_ path: String) {
      guard let ending = [".gguf", ".safetensors"].first(where: path.hasSuffix) else { return nil }
      let words = path.dropLast(ending.count).split(separator: "-", omittingEmptySubsequences: false)
      guard words.count >= 4, words[words.count - 2] == "of", let index = Int(words[words.count - 3]),
        let count = Int(words[words.count - 1])
      else { return nil }
      stem = path[..<words[words.count - 4].endIndex]
      self.index = index
      self.count = count
    }
  }
}
