// Where tests find real models and books, if the machine has them.
import Foundation

public enum TestModels {
  public static let ggufNames = ["SmolLM2-135M-Instruct.Q4_1.gguf", "gemma-3-270m-q4_k_m.gguf"]
  public static let bookNames = ["kjv.txt", "faq-ko.txt"]

  /// Whether all of them are there.
  public static let areComplete = (ggufNames + bookNames).allSatisfy { path($0) != nil }

  /// The path of `name` in the folder that the environment variable MALMOI_TEST_MODELS names, if it is there.
  public static func path(_ name: String) -> String? {
    guard let folder = ProcessInfo.processInfo.environment["MALMOI_TEST_MODELS"] else { return nil }
    let path = URL(fileURLWithPath: folder).appendingPathComponent(name).path
    return FileManager.default.fileExists(atPath: path) ? path : nil
  }
}
