// Models that Hugging Face's own tools have fetched already, used where they lie.
import Foundation

/// The cache of `huggingface_hub`: `models--owner--repository/snapshots/<commit>/<file>`, links into `blobs/` that are
/// named by their SHA-256 where the file is large; `refs/<branch>` holds the commit that a branch stood for.
/// (Format: the guide “Understand caching” of huggingface_hub.)
struct HuggingFaceCache {
  let root: URL

  /// The model that `reference` asks for, if all of it is here.
  func model(for reference: HubReference) -> LocalModel? {
    let folder = repositoryFolder(reference.repository)
    let noted = try? String(contentsOf: folder.appendingPathComponent("refs/" + reference.revision), encoding: .utf8)
    let commit = noted?.trimmingCharacters(in: .whitespacesAndNewlines) ?? reference.revision
    guard HubReference.isRevision(commit), !commit.contains("/") else { return nil }
    let snapshot = folder.appendingPathComponent("snapshots/" + commit)
    // A choice that cannot be made among the files here may be clear among those of the hub.
    guard
      let choice = try? FileChoice(
        from: files(in: snapshot), wanted: reference.file, repository: reference.repository,
        revision: reference.revision), choice.isComplete
    else { return nil }
    return model(reference.description, main: choice.main, paths: choice.paths, snapshot: snapshot)
  }

  /// The catalog's model, from any snapshot whose files have the sizes, and where links tell it the SHA-256, that the
  /// catalog gives.
  func model(for entry: Catalog.Entry) -> LocalModel? {
    for case .hub(let repository, _) in entry.places {
      let snapshots = repositoryFolder(repository).appendingPathComponent("snapshots")
      for commit in ((try? FileManager.default.contentsOfDirectory(atPath: snapshots.path)) ?? []).sorted() {
        let snapshot = snapshots.appendingPathComponent(commit)
        if entry.files.allSatisfy({ matches($0, at: snapshot.appendingPathComponent($0.path)) }) {
          return model(entry.name, main: entry.main, paths: entry.files.map(\.path), snapshot: snapshot)
        }
      }
    }
    return nil
  }

  private func repositoryFolder(_ repository: String) -> URL {
    root.appendingPathComponent("models--" + repository.replacingOccurrences(of: "/", with: "--"))
  }

  private func files(in folder: URL) -> [String] {
    guard let walk = FileManager.default.enumerator(atPath: folder.path) else { return [] }
    // The size follows links, so that a link whose blob is gone is no file.
    return walk.compactMap { $0 as? String }.filter { fileSize(folder.appendingPathComponent($0)) != nil }
  }

  private func matches(_ file: Catalog.File, at url: URL) -> Bool {
    guard fileSize(url) == file.size else { return false }
    let target = try? FileManager.default.destinationOfSymbolicLink(atPath: url.path)
    guard let blob = target?.split(separator: "/").last, isSHA256(String(blob)) else { return true }
    return blob == file.sha256
  }

  private func model(_ name: String, main: String?, paths: [String], snapshot: URL) -> LocalModel {
    LocalModel(
      name: name, kind: main == nil ? .folder : .gguf, url: main.map(snapshot.appendingPathComponent) ?? snapshot,
      files: paths.map(snapshot.appendingPathComponent), keeper: .huggingFaceCache, manifest: nil)
  }
}
