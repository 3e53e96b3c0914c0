// Everything that a Hub takes from its surroundings, gathered so that a program or a test can replace it.
import Foundation

/// Where models are kept, where they come from, and how patiently they are fetched.
public struct HubConfiguration: Sendable {
  /// The folder of the model store.
  public var store: URL
  /// The cache that Hugging Face's own tools fill; its files are used in place and never changed.
  public var huggingFaceCache: URL
  /// The hub's address.
  public var endpoint: URL
  /// The access token; sent to the endpoint and nowhere else.
  public var token: String?
  /// Never touch the network.
  public var isOffline: Bool
  /// What `python3 -m pip` sees as its environment.
  public var environment: [String: String]
  /// More arguments for `pip install`, such as `--no-index --find-links FOLDER`.
  public var pipArguments: [String] = []
  /// The pauses before each new try after a passing failure; their number is the number of new tries.
  public var retryDelays: [Duration] = [.seconds(1), .seconds(2), .seconds(4), .seconds(8), .seconds(16)]
  /// The longest pause that a server may ask for with `Retry-After`.
  public var longestPause: Duration = .seconds(120)
  /// How long a connection may take to begin its answer.
  public var responseTimeout: Duration = .seconds(15)
  /// How long an answer that has begun may be silent.
  public var idleTimeout: Duration = .seconds(30)
  /// The names that are known.
  public var catalog: Catalog = .standard

  /// Reads the variables of the process, or of `environment`:
  ///
  /// - `MALMOI_HOME`, else `$XDG_DATA_HOME/malmoi`, else `~/.local/share/malmoi`, on macOS too: the store;
  /// - `HF_HUB_CACHE`, else `$HF_HOME/hub`, else `~/.cache/huggingface/hub`: the cache;
  /// - `HF_ENDPOINT`; `HF_TOKEN`, else the file `HF_TOKEN_PATH` or `$HF_HOME/token`; `HF_HUB_OFFLINE`.
  ///
  /// - Throws: ``HubError/invalidSetting(_:reason:)`` for an endpoint that is no web address.
  public init(environment: [String: String] = ProcessInfo.processInfo.environment) throws {
    func value(_ name: String) -> String? {
      environment[name].flatMap { $0.isEmpty ? nil : $0 }
    }
    func folder(_ path: String) -> URL { URL(fileURLWithPath: path, isDirectory: true) }
    let home = folder(value("HOME") ?? NSHomeDirectory())
    /// The XDG specification asks to ignore a relative path.
    func baseFolder(_ name: String, else place: String) -> URL {
      value(name).flatMap { $0.hasPrefix("/") ? folder($0) : nil } ?? home.appendingPathComponent(place)
    }

    self.environment = environment
    store =
      value("MALMOI_HOME").map(folder)
      ?? baseFolder("XDG_DATA_HOME", else: ".local/share").appendingPathComponent("malmoi")
    let huggingFaceHome =
      value("HF_HOME").map(folder)
      ?? baseFolder("XDG_CACHE_HOME", else: ".cache").appendingPathComponent("huggingface")
    huggingFaceCache = value("HF_HUB_CACHE").map(folder) ?? huggingFaceHome.appendingPathComponent("hub")
    endpoint = try Self.endpoint(value("HF_ENDPOINT") ?? "https://huggingface.co")
    let tokenFile = value("HF_TOKEN_PATH") ?? huggingFaceHome.appendingPathComponent("token").path
    token = try Self.token(value("HF_TOKEN") ?? (try? String(contentsOfFile: tokenFile, encoding: .utf8)))
    isOffline = value("HF_HUB_OFFLINE").map { ["1", "ON", "YES", "TRUE"].contains($0.uppercased()) } ?? false
  }

  private static func endpoint(_ text: String) throws -> URL {
    guard let url = URL(string: text), url.scheme == "https" || url.scheme == "http", url.host?.isEmpty == false,
      url.user == nil, url.query == nil, url.fragment == nil
    else { throw HubError.invalidSetting("HF_ENDPOINT", reason: "“\(text)” is no web address such as https://host") }
    return url
  }

  /// A token is one line; anything that could begin another header is refused.
  private static func token(_ text: String?) throws -> String? {
    guard let token = text?.trimmingCharacters(in: .whitespacesAndNewlines), !token.isEmpty else { return nil }
    guard token.utf8.allSatisfy({ $0 > 32 && $0 < 127 }) else {
      throw HubError.invalidSetting("HF_TOKEN", reason: "a token has only ASCII letters, digits and signs")
    }
    return token
  }
}
