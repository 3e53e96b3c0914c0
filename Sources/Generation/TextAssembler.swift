// From tokens to text that can be shown at once: whole characters, and nothing that may still become a stop string.
import Tokenization

/// Turns a sequence's tokens into text and notices stop strings, also those that span tokens.
package struct TextAssembler: Sendable {
  private var decoder: StreamingDecoder
  private let stops: [[UInt8]]
  private var held: [UInt8] = []

  /// - Parameter continuesText: whether the sequence goes on with text, rather than answering it.
  package init(_ tokenizer: Tokenizer, stopStrings: [String], continuesText: Bool) {
    decoder = StreamingDecoder(tokenizer, continuesText: continuesText)
    stops = stopStrings.filter { !$0.isEmpty }.map { Array($0.utf8) }
  }

  /// The text that is certain with this token, and whether a stop string has ended it.
  package mutating func append(_ token: Int32) -> (text: String, isStopped: Bool) {
    release(decoder.append(token))
  }

  /// What was held back, once no more tokens come.
  package mutating func finish() -> String {
    let text = release(decoder.finish(), isLast: true).text
    held = []
    return text
  }

  /// - Parameter isLast: whether nothing follows that could complete the beginning of a stop string.
  private mutating func release(_ text: String, isLast: Bool = false) -> (text: String, isStopped: Bool) {
    guard !stops.isEmpty else { return (text, false) }
    held += text.utf8
    // The earliest place counts, whichever stop string it is.
    for start in held.indices {
      let rest = held[start...]
      let isStopped = stops.contains { rest.starts(with: $0) }
      guard isStopped || (!isLast && stops.contains { $0.starts(with: rest) }) else { continue }
      let before = String(decoding: held[..<start], as: UTF8.self)
      held = isStopped ? [] : Array(rest)
      return (before, isStopped)
    }
    defer { held = [] }
    return (String(decoding: held, as: UTF8.self), false)
  }
}
