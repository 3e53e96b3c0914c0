// Every way in which naming, fetching or storing a model can fail, each as one line that says what to do.
import Foundation

/// Why a model could not be named, found, fetched, stored or removed.
public enum HubError: Error, Equatable, Sendable {
  /// The text cannot be read as a model's name.
  case invalidReference(String, reason: String)
  /// No such name in the catalog; `nearest` holds the known names that look most alike.
  case unknownModel(String, nearest: [String])
  /// A path that leads nowhere.
  case noSuchPath(String)
  /// A path that leads to something other than a model.
  case notAModel(path: String, reason: String)
  /// Several files of a repository would do.
  case ambiguousFile(repository: String, choices: [String])
  /// A repository without any file that can be used.
  case noUsableFile(repository: String)
  /// The hub does not have this file.
  case fileNotFound(file: String, repository: String, revision: String)
  /// The hub does not have this repository or revision.
  case repositoryNotFound(String, revision: String)
  /// The hub answered 401 or 403.
  case accessDenied(repository: String, status: Int, tokenWasSent: Bool)
  /// The model is not here, and the network may not be used.
  case offline(String)
  /// No connection could be made.
  case unreachable(host: String, reason: String)
  /// A connection broke, or went silent, and every retry did too.
  case connectionLost(url: String, reason: String)
  /// An answer other than the expected ones.
  case unexpectedStatus(Int, url: String)
  /// The server asks for a longer pause than we are willing to make.
  case mustWait(seconds: Int, url: String)
  /// An answer that does not say what it should.
  case malformedResponse(url: String, reason: String)
  /// The bytes are not those that were promised.
  case checksumMismatch(file: String, expected: String, actual: String)
  /// The number of bytes is not the one that was promised.
  case sizeMismatch(file: String, expected: Int64, actual: Int64)
  /// The disk, the quota or the permitted file size is used up.
  case diskFull(path: String, reason: String)
  /// A file or folder of the store cannot be read or written.
  case storage(path: String, reason: String)
  /// A manifest of the store cannot be understood.
  case invalidManifest(path: String, reason: String)
  /// An environment variable or setting cannot be used.
  case invalidSetting(String, reason: String)
  /// Python or its package installer is missing or failed.
  case python(String)
  /// Every place that the catalog names failed.
  case everyPlaceFailed(model: String, failures: [PlaceFailure])
  /// The store has no such model.
  case notInStore(String)
  /// The model is in use by another process that is fetching or removing it.
  case busy(String)

  /// One place that was tried, and why it did not work.
  public struct PlaceFailure: Equatable, Sendable {
    public let place: String
    public let reason: String
  }
}

extension HubError: CustomStringConvertible, LocalizedError {
  public var errorDescription: String? { description }

  public var description: String {
    switch self {
    case .invalidReference(let text, let reason):
      "cannot read “\(text)” as a model: \(reason)"
    case .unknownModel(let name, let nearest):
      "no model is called “\(name)”; "
        + (nearest.isEmpty ? "the catalog is empty" : "did you mean \(nearest.joined(separator: ", "))?")
        + " (a file: ./\(name), the Hugging Face hub: hf:owner/repository)"
    case .noSuchPath(let path): "\(path): no such file or folder"
    case .notAModel(let path, let reason): "\(path): not a model: \(reason)"
    case .ambiguousFile(let repository, let choices):
      "\(repository) has several files that would do; name one, as in hf:\(repository):FILE: "
        + choices.joined(separator: ", ")
    case .noUsableFile(let repository):
      "\(repository) has no GGUF file, nor safetensors with a config.json"
    case .fileNotFound(let file, let repository, let revision):
      "there is no file \(file) in the repository \(repository) at revision \(revision)"
    case .repositoryNotFound(let repository, let revision):
      "there is no repository \(repository) with a revision \(revision) on the hub"
    case .accessDenied(let repository, let status, let tokenWasSent):
      accessAdvice(repository: repository, status: status, tokenWasSent: tokenWasSent)
    case .offline(let name): "\(name) is not on this machine, and the network may not be used (offline)"
    case .unreachable(let host, let reason): "cannot reach \(host): \(reason)"
    case .connectionLost(let url, let reason): "the connection was lost while reading \(url): \(reason)"
    case .unexpectedStatus(let status, let url): "\(url) answered with status \(status)"
    case .mustWait(let seconds, let url): "\(url) asks to wait \(seconds) s before the next try; try again later"
    case .malformedResponse(let url, let reason): "\(url) gave an answer that cannot be used: \(reason)"
    case .checksumMismatch(let file, let expected, let actual):
      "\(file): the SHA-256 is \(actual), expected \(expected); the file was thrown away"
    case .sizeMismatch(let file, let expected, let actual): "\(file): \(actual) bytes, expected \(expected)"
    case .diskFull(let path, let reason): "\(path): no room: \(reason)"
    case .storage(let path, let reason): "\(path): \(reason)"
    case .invalidManifest(let path, let reason): "\(path): not a manifest of the model store: \(reason)"
    case .invalidSetting(let name, let reason): "\(name): \(reason)"
    case .python(let reason): reason
    case .everyPlaceFailed(let model, let failures):
      "\(model) could not be fetched from any place:"
        + failures.map { "\n  \($0.place): \($0.reason)" }.joined()
    case .notInStore(let name): "\(name) is not in the model store"
    case .busy(let name): "\(name) is being fetched or removed by another process"
    }
  }

  private func accessAdvice(repository: String, status: Int, tokenWasSent: Bool) -> String {
    let advice =
      tokenWasSent
      ? "accept the licence of \(repository) on the hub's page of that model, or use a token that may read it"
      : "set HF_TOKEN to a token of yours, and accept the licence on the hub's page of that model if it has one"
    return "access to \(repository) was denied (status \(status)): \(advice)"
  }
}

extension HubError {
  /// The error for a system call that failed on `path`; must be made before anything else can change `errno`.
  static func system(_ path: String, doing action: String, code: Int32 = errno) -> HubError {
    let reason = "\(action): \(String(cString: strerror(code)))"
    return switch code {
    case ENOSPC, EDQUOT, EFBIG: .diskFull(path: path, reason: reason)
    default: .storage(path: path, reason: reason)
    }
  }

  /// True where trying another place would meet the same obstacle.
  var concernsThisMachine: Bool {
    switch self {
    case .diskFull, .storage, .invalidManifest, .invalidSetting, .busy: true
    default: false
    }
  }
}
