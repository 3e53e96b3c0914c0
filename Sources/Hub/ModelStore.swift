// The folder of models: their files, a manifest each, a lock each, and room for unfinished work.
import Foundation

/// The layout of the store, and all that changes it.
///
/// ```
/// models/<folder>/…        a model's files; those being fetched end in .partial
/// manifests/<folder>.json  written when the model is complete
/// locks/<folder>.lock      held by whoever fetches or removes it
/// staging/<folder>/        where packages are unpacked
/// ```
struct ModelStore: Sendable {
  let root: URL

  func modelFolder(_ name: String) -> URL { place("models", name) }
  func stagingFolder(_ name: String) -> URL { place("staging", name) }
  func manifestFile(_ name: String) -> URL { place("manifests", name).appendingPathExtension("json") }
  func lockFile(_ name: String) -> URL { place("locks", name).appendingPathExtension("lock") }

  private func place(_ kind: String, _ name: String) -> URL {
    root.appendingPathComponent(kind).appendingPathComponent(Self.folderName(name))
  }

  /// A name as one part of a path, distinct for distinct names: `:` becomes `+` and `/` becomes `,`, anything else
  /// that is not a letter, digit, `.`, `_`, `-` or `@` its bytes in hexadecimal.
  static func folderName(_ name: String) -> String {
    name.utf8.map { byte in
      switch byte {
      case UInt8(ascii: ":"): "+"
      case UInt8(ascii: "/"): ","
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-"),
        UInt8(ascii: "@"):
        String(UnicodeScalar(byte))
      default: "%" + (byte < 16 ? "0" : "") + String(byte, radix: 16, uppercase: true)
      }
    }.joined()
  }

  /// The complete models, by name.
  func models() throws -> [LocalModel] {
    let folder = root.appendingPathComponent("manifests")
    let names = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
    return try names.filter { $0.hasSuffix(".json") }
      .map { try Manifest.read(folder.appendingPathComponent($0)) }
      .compactMap(model).sorted { $0.name < $1.name }
  }

  /// The model of this name, if it is complete.
  func model(_ name: String) throws -> LocalModel? {
    let file = manifestFile(name)
    guard FileManager.default.fileExists(atPath: file.path) else { return nil }
    return model(try Manifest.read(file))
  }

  /// Nil where a file is missing or has another size than it should: then the model has to be fetched again.
  private func model(_ manifest: Manifest) -> LocalModel? {
    let folder = modelFolder(manifest.name)
    let isWhole = manifest.files.allSatisfy { fileSize(folder.appendingPathComponent($0.path)) == $0.size }
    guard isWhole else { return nil }
    return LocalModel(
      name: manifest.name, kind: manifest.main == nil ? .folder : .gguf,
      url: manifest.main.map(folder.appendingPathComponent) ?? folder,
      files: manifest.files.map { folder.appendingPathComponent($0.path) }, keeper: .store, manifest: manifest)
  }

  /// Notes that every file of the model is in place.
  func complete(_ manifest: Manifest) throws -> LocalModel {
    let file = manifestFile(manifest.name)
    try makeFolder(file.deletingLastPathComponent())
    let partial = try PartialFile(at: file.appendingPathExtension("partial"), keeping: false)
    try partial.append(manifest.encoded())
    try partial.finish(as: file)
    guard let model = model(try Manifest.read(file)) else {
      throw HubError.storage(path: modelFolder(manifest.name).path, reason: "files vanished while they were fetched")
    }
    return model
  }

  /// Removes the model's files, whether complete or not, and its manifest.
  /// - Throws: ``HubError/notInStore(_:)``, or ``HubError/busy(_:)`` where another process works on it.
  func remove(_ name: String) throws {
    let files = FileManager.default
    let places = [manifestFile(name), modelFolder(name), stagingFolder(name)]
    guard places.contains(where: { files.fileExists(atPath: $0.path) }) else { throw HubError.notInStore(name) }
    guard let lock = try FileLock(at: lockFile(name)) else { throw HubError.busy(name) }
    defer { lock.release() }
    // The manifest goes first: without it the rest is only leftovers.
    for place in places where files.fileExists(atPath: place.path) { try removeTree(place) }
  }
}

/// The size of a regular file, or nil where there is none.
func fileSize(_ url: URL) -> Int64? {
  var status = stat()
  guard stat(url.path, &status) == 0, status.st_mode & S_IFMT == S_IFREG else { return nil }
  return Int64(status.st_size)
}

/// Makes a folder and those above it, as far as they are missing.
func makeFolder(_ url: URL) throws {
  if mkdir(url.path, 0o755) == 0 { return }
  var code = errno
  let parent = url.deletingLastPathComponent()
  if code == ENOENT, parent.path != url.path {
    try makeFolder(parent)
    if mkdir(url.path, 0o755) == 0 { return }
    code = errno
  }
  var isFolder: ObjCBool = false
  if code == EEXIST, FileManager.default.fileExists(atPath: url.path, isDirectory: &isFolder), isFolder.boolValue {
    return
  }
  throw HubError.system(url.path, doing: "the folder cannot be made", code: code)
}

func removeTree(_ url: URL) throws {
  do { try FileManager.default.removeItem(at: url) } catch {
    throw HubError.storage(path: url.path, reason: "cannot be removed: \(error.localizedDescription)")
  }
}
