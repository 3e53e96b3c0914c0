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
    let (text, isStopped) = release(decoder.finish())
    defer { held = [] }
    return isStopped ? text : text + String(decoding: held, as: UTF8.self)
  }

  private mutating func release(_ text: String) -> (String, Bool) {
    guard !stops.isEmpty else { return (text, false) }
    held += text.utf8
    for start in held.indices {
      // The earliest place counts, whichever stop string it is.
      for stop in stops {
        let rest = held[start...]
        if rest.starts(with: stop) {
          let before = String(decoding: held[..<start], as: UTF8.self)
          held = []
          return (before, true)
        }
        if rest.count < stop.count, stop.starts(with: rest) {
          let certain = String(decoding: held[..<start], as: UTF8.self)
          held.removeSubrange(..<start)
          return (certain, false)
        }
      }
    }
    defer { held = [] }
    return (String(decoding: held, as: UTF8.self), false)
  }
}
