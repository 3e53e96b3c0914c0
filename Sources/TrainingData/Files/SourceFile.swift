// From what a person names (files, folders, patterns) to the files that are read, always in the same order.
import Foundation

/// A file of text or of records.
public struct SourceFile: Sendable, Equatable {
  /// How a file is read.
  public enum Kind: Sendable, Equatable {
    case text
    /// JSON Lines: a record per line.
    case lines
    /// One JSON array of records.
    case array
  }

  /// Absolute.
  public var path: String
  public var kind: Kind
  /// As it lies on the disk, perhaps compressed.
  public var byteCount: Int

  private static let extensions: [(suffix: String, kind: Kind)] = [
    (".txt", .text), (".text", .text), (".md", .text), (".jsonl", .lines), (".ndjson", .lines), (".json", .array),
  ]

  /// The kind that a name tells, with or without `.gz`; nil for one that tells nothing.
  static func kind(of name: String) -> Kind? {
    let name = name.lowercased()
    let plain = name.hasSuffix(".gz") ? String(name.dropLast(3)) : name
    return extensions.first { plain.hasSuffix($0.suffix) }?.kind
  }

  /// - Throws: ``TrainingDataError`` for what is no file or cannot be read.
  public init(path: String) throws(TrainingDataError) {
    var status = stat()
    guard stat(path, &status) == 0, access(path, R_OK) == 0 else {
      throw .system(path, "cannot be read", code: errno)
    }
    guard status.st_mode & S_IFMT == S_IFREG else { throw TrainingDataError(path: path, message: "is not a file") }
    self.path = URL(fileURLWithPath: path).standardizedFileURL.path
    kind = Self.kind(of: path) ?? .text
    byteCount = Int(status.st_size)
  }

  /// The files that `names` stand for: files of any name; folders with all files below them whose names are known
  /// (text: `.txt`, `.text`, `.md`; JSON Lines: `.jsonl`, `.ndjson`; a JSON array: `.json`; each also with `.gz`),
  /// hidden ones left out; patterns with `*`, `?` and `[…]`.
  ///
  /// Names keep their order, what one stands for is sorted by path, and a file is read once.
  /// - Parameter kinds: which files are taken from folders.
  /// - Throws: ``TrainingDataError`` for a name that stands for nothing.
  public static func find(
    _ names: [String], kinds: [Kind] = [.text, .lines, .array]
  ) throws(TrainingDataError) -> [SourceFile] {
    guard !names.isEmpty else { throw TrainingDataError(message: "no files were named") }
    var files: [SourceFile] = [], seen: Set<String> = []
    for name in names {
      for path in try paths(of: name, kinds) {
        let file = try SourceFile(path: path)
        if seen.insert(file.path).inserted { files.append(file) }
      }
    }
    return files
  }

  private static func paths(of name: String, _ kinds: [Kind]) throws(TrainingDataError) -> [String] {
    var isFolder: ObjCBool = false
    if FileManager.default.fileExists(atPath: name, isDirectory: &isFolder) {
      return isFolder.boolValue ? try files(in: name, kinds) : [name]
    }
    guard name.contains(where: { "*?[".contains($0) }) else {
      throw TrainingDataError(path: name, message: "there is no such file or folder")
    }
    var result = glob_t()
    defer { globfree(&result) }
    guard glob(name, 0, nil, &result) == 0, let found = result.gl_pathv else {
      throw TrainingDataError(path: name, message: "no file has a name of this pattern")
    }
    var paths: [String] = []
    for path in (0..<Int(result.gl_pathc)).compactMap({ found[$0].map { String(cString: $0) } }) {
      _ = FileManager.default.fileExists(atPath: path, isDirectory: &isFolder)
      paths += isFolder.boolValue ? try files(in: path, kinds) : [path]
    }
    return paths
  }

  private static func files(in folder: String, _ kinds: [Kind]) throws(TrainingDataError) -> [String] {
    let names = FileManager.default.enumerator(atPath: folder)?.compactMap { $0 as? String } ?? []
    let found = names.filter { name in
      kind(of: name).map(kinds.contains) == true && !name.split(separator: "/").contains { $0.hasPrefix(".") }
    }.map { folder + "/" + $0 }.filter { path in
      var isFolder: ObjCBool = false
      return FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) && !isFolder.boolValue
    }
    guard !found.isEmpty else {
      let known = extensions.filter { kinds.contains($0.kind) }.map(\.suffix).joined(separator: ", ")
      throw TrainingDataError(
        path: folder, message: "holds no file whose name ends in \(known), or in one of these and .gz")
    }
    return found.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
  }
}
