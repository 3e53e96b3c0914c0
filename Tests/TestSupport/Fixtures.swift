// Where tests find their stored references.
import Foundation

/// The bytes of `Fixtures/<name>` beside the test file that asks.
public func fixture(_ name: String, beside file: String = #filePath) throws -> Data {
  try Data(contentsOf: fixtureURL(name, beside: file))
}

/// The place of `Fixtures/<name>` beside the test file that asks.
public func fixtureURL(_ name: String, beside file: String = #filePath) -> URL {
  URL(fileURLWithPath: file).deletingLastPathComponent().appendingPathComponent("Fixtures").appendingPathComponent(name)
}
