// Adapters name the parts of a model by regular expressions too, which come from strangers as those of tokenizers do.

/// A regular expression that a whole name matches or does not.
package struct NamePattern: Sendable {
  private let pattern: Pattern

  /// Why an expression cannot be used.
  package struct Failure: Error, CustomStringConvertible {
    package let description: String
  }

  package init(_ text: String) throws(Failure) {
    do {
      pattern = try Pattern("\\A(?:\(text))\\z")
    } catch {
      throw Failure(description: error.message)
    }
  }

  /// Whether all of `name` matches; a pattern that takes far longer than the name is long does not.
  package func matches(_ name: String) -> Bool {
    var found = false
    Array(name.utf8).withUnsafeBufferPointer { bytes in
      pattern.forEachMatch(in: bytes, 0..<bytes.count) { start, end in
        found = found || start == 0 && end == bytes.count
      }
    }
    return found
  }
}
