// The front door: from a model's name to files on this machine.
import Foundation

/// Finds, fetches, lists and removes models.
///
/// Any number of processes may use the same store at once: whoever fetches or removes a model locks it, and a model
/// appears only when it is complete and verified.
public struct Hub: Sendable {
  public let configuration: HubConfiguration
  private let store: ModelStore
  private let cache: HuggingFaceCache

  public init(configuration: HubConfiguration) {
    self.configuration = configuration
    store = ModelStore(root: configuration.store)
    cache = HuggingFaceCache(root: configuration.huggingFaceCache)
  }

  /// Reads what a user wrote for a model, with the names of this hub's catalog.
  /// - Throws: see ``ModelReference/init(_:catalog:)``.
  public func reference(_ text: String) throws -> ModelReference {
    try ModelReference(text, catalog: configuration.catalog)
  }

  /// The model if it is on this machine, without touching the network; nil where it has to be pulled.
  ///
  /// - Throws: ``HubError/noSuchPath(_:)``, ``HubError/notAModel(path:reason:)`` for a path;
  ///   ``HubError/invalidManifest(path:reason:)`` where the store is damaged.
  public func resolve(_ reference: ModelReference) throws -> LocalModel? {
    switch reference {
    case .path(let path): return try userModel(path)
    case .catalog(let name):
      return try store.model(name) ?? configuration.catalog[name].flatMap(cache.model(for:))
    case .hub(let reference):
      return try store.model(reference.description) ?? storedFile(reference) ?? cache.model(for: reference)
    }
  }

  /// The model's GGUF file or folder if it is on this machine.
  /// - Throws: what ``resolve(_:)`` throws.
  public func path(of reference: ModelReference) throws -> String? { try resolve(reference)?.path }

  /// The complete models of the store, by name.
  public func list() throws -> [LocalModel] { try store.models() }

  /// What the store notes about a model of its own.
  /// - Throws: ``HubError/notInStore(_:)``
  public func show(_ reference: ModelReference) throws -> Manifest {
    guard let manifest = try resolve(reference)?.manifest else { throw HubError.notInStore(reference.description) }
    return manifest
  }

  /// The bytes of all models in the store.
  public func totalSize() throws -> Int64 {
    try list().reduce(0) { $0 + ($1.manifest?.size ?? 0) }
  }

  /// Removes a model from the store, and what a broken-off pull of it left. Nothing outside the store is ever removed.
  /// - Throws: ``HubError/notInStore(_:)``, ``HubError/busy(_:)``, ``HubError/storage(path:reason:)``
  public func remove(_ reference: ModelReference) throws {
    guard case .path(let path) = reference else { return try store.remove(reference.description) }
    throw HubError.notInStore(path)
  }

  /// The model, fetched where it is not on this machine yet.
  ///
  /// A pull that fails or is cancelled leaves what it has; the next one goes on from there.
  /// - Parameter progress: called on any thread, no more than ten times a second but for changes of phase.
  /// - Throws: ``HubError``, or `CancellationError`.
  public func pull(
    _ reference: ModelReference, progress: @escaping @Sendable (PullProgress) -> Void = { _ in }
  ) async throws -> LocalModel {
    if let model = try resolve(reference) { return model }
    let name = reference.description
    guard !configuration.isOffline else { throw HubError.offline(name) }
    let meter = PullMeter(report: progress)
    let lock = try await FileLock.wait(for: store.lockFile(name)) { meter.enter(.waitingForOtherProcess) }
    defer { lock.release() }
    // Whoever had the lock may have fetched it.
    if let model = try resolve(reference) { return model }
    switch reference {
    case .catalog(let name):
      guard let entry = configuration.catalog[name] else {
        throw HubError.unknownModel(name, nearest: configuration.catalog.nearest(to: name))
      }
      return try await pull(entry, meter: meter)
    case .hub(let reference): return try await pull(reference, meter: meter)
    case .path(let path): throw HubError.noSuchPath(path)
    }
  }

  private func pull(_ entry: Catalog.Entry, meter: PullMeter) async throws -> LocalModel {
    var failures: [HubError.PlaceFailure] = []
    for place in entry.places {
      meter.begin(place: place.description, total: entry.size)
      do {
        try await fetch(entry, from: place, meter: meter)
        return try store.complete(
          Manifest(
            format: Manifest.currentFormat, name: entry.name, source: place.description, commit: nil,
            summary: entry.summary, license: entry.license, main: entry.main, files: entry.files, date: Date()))
      } catch let error as HubError where !error.concernsThisMachine {
        meter.enter(.placeFailed(reason: error.description))
        failures.append(.init(place: place.description, reason: error.description))
      }
    }
    throw HubError.everyPlaceFailed(model: entry.name, failures: failures)
  }

  private func fetch(_ entry: Catalog.Entry, from place: Catalog.Place, meter: PullMeter) async throws {
    let folder = store.modelFolder(entry.name)
    switch place {
    case .hub(let repository, let revision):
      let requests = HubRequests(configuration: configuration, meter: meter)
      for file in entry.files {
        let remote = RemoteFile(
          repository: repository, revision: revision, path: file.path, size: file.size, sha256: file.sha256)
        _ = try await requests.download(remote, to: folder.appendingPathComponent(file.path))
      }
    case .python(let requirements, let contents):
      try await PythonPackages(configuration: configuration, staging: store.stagingFolder(entry.name))
        .fetch(requirements, files: entry.files, contents: contents, into: folder, meter: meter)
    }
  }

  private func pull(_ reference: HubReference, meter: PullMeter) async throws -> LocalModel {
    let source = reference.source
    meter.begin(place: source, total: nil)
    let requests = HubRequests(configuration: configuration, meter: meter)
    let listing = try await requests.listing(repository: reference.repository, revision: reference.revision)
    let choice = try FileChoice(
      from: listing.files.map(\.path), wanted: reference.file, repository: reference.repository,
      revision: reference.revision)
    let wanted = listing.files.filter { choice.paths.contains($0.path) }
    let sizes = wanted.compactMap(\.size)
    let total = sizes.reduce(Int64(0)) { $0.addingReportingOverflow($1).partialValue }
    meter.begin(place: source, total: sizes.count == wanted.count ? total : nil)
    let folder = store.modelFolder(reference.description)
    var files: [Catalog.File] = []
    for file in wanted {
      let remote = RemoteFile(
        repository: reference.repository, revision: listing.commit ?? reference.revision, path: file.path,
        size: file.size, sha256: file.sha256)
      files.append(try await requests.download(remote, to: folder.appendingPathComponent(file.path)))
    }
    return try store.complete(
      Manifest(
        format: Manifest.currentFormat, name: reference.description, source: source, commit: listing.commit,
        summary: nil, license: listing.license, main: choice.main, files: files, date: Date()))
  }

  /// A model of the store from the same repository and revision whose main file is the wanted one.
  private func storedFile(_ reference: HubReference) throws -> LocalModel? {
    guard let file = reference.file else { return nil }
    return try store.models().first {
      $0.manifest?.source == reference.source && $0.manifest?.main == file
    }
  }

  /// The GGUF file of a folder, of a split one the first part; nil where there is none.
  /// - Throws: ``HubError/notAModel(path:reason:)`` where there are several models.
  private func onlyGGUF(in folder: String) throws -> String? {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
    let models = names.filter { name in
      name.hasSuffix(".gguf") && (name.contains("-00001-of-") || !name.contains(/-\d{5}-of-\d{5}\.gguf$/))
    }
    guard models.count > 1 else { return models.first }
    throw HubError.notAModel(
      path: folder, reason: "the folder has several models, name one: " + models.sorted().joined(separator: ", "))
  }

  private func userModel(_ path: String) throws -> LocalModel {
    let url = URL(fileURLWithPath: path)
    var isFolder: ObjCBool = false
    guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) else {
      throw HubError.noSuchPath(path)
    }
    if isFolder.boolValue {
      if let file = try onlyGGUF(in: path) { return try userModel(url.appendingPathComponent(file).path) }
      guard fileSize(url.appendingPathComponent("config.json")) != nil else {
        throw HubError.notAModel(path: path, reason: "the folder has neither a GGUF file nor a config.json")
      }
      return LocalModel(name: path, kind: .folder, url: url, files: [], keeper: .user, manifest: nil)
    }
    guard fileSize(url) != nil else { throw HubError.notAModel(path: path, reason: "not a regular file") }
    guard let handle = FileHandle(forReadingAtPath: path) else {
      throw HubError.storage(path: path, reason: "cannot be read")
    }
    defer { try? handle.close() }
    guard (try? handle.read(upToCount: 4)) == Data("GGUF".utf8) else {
      throw HubError.notAModel(path: path, reason: "the file does not begin with “GGUF”")
    }
    return LocalModel(name: path, kind: .gguf, url: url, files: [url], keeper: .user, manifest: nil)
  }
}

extension HubReference {
  /// The repository and revision without the file, as a manifest notes it.
  fileprivate var source: String {
    HubReference(repository: repository, file: nil, revision: revision).description
  }
}
