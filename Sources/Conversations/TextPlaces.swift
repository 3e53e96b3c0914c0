// Where the texts of messages lie in what a template made of them: nothing but the template knows, so it is asked again
// with stand-ins for the texts.
import ChatTemplates
import Tokenization

/// The places of texts in a rendered conversation.
struct TextPlaces {
  struct Place {
    var message: Int
    /// In UTF-8.
    var range: Range<Int>
  }

  /// In the order of the rendered text.
  let places: [Place]
  private let count: Int

  /// - Parameters:
  ///   - rendered: what the template made of `messages`.
  ///   - isWanted: whether the place of this text of this message is asked for.
  /// - Returns: nil where the template does with a text what cannot be seen through.
  init?(
    _ messages: [ChatMessage], in rendered: String, where isWanted: (Int, String) -> Bool,
    render: ([ChatMessage]) throws -> String
  ) throws {
    var originals: [(message: Int, text: String)] = []
    let marked = messages.enumerated().map { number, message in
      message.mapTexts { text in
        guard !text.isEmpty, isWanted(number, text) else { return text }
        originals.append((number, text))
        return Self.open + "\(originals.count - 1)" + Self.close
      }
    }
    count = rendered.utf8.count
    guard !originals.isEmpty else {
      places = []
      return
    }
    guard let places = Self.find(originals, in: Array(rendered.utf8), Self.parts(of: try render(marked))) else {
      return nil
    }
    self.places = places
  }

  /// Special tokens count in the template's own text alone.
  var specialTokens: SpecialTokenParsing {
    guard !places.isEmpty else { return .all }
    var own: [Range<Int>] = [], from = 0
    for place in places {
      own.append(from..<place.range.lowerBound)
      from = place.range.upperBound
    }
    return .within((own + [from..<count]).filter { !$0.isEmpty })
  }

  // Characters for private use, which no template looks for.
  private static let open = "\u{F8F0}"
  private static let close = "\u{F8F1}"

  private enum Part {
    case own([UInt8])
    case standIn(Int)
  }

  private static func parts(of marked: String) -> [Part] {
    var parts: [Part] = [], own: [UInt8] = [], rest = marked.unicodeScalars[...]
    while let scalar = rest.popFirst() {
      let digits = rest.prefix { ("0"..."9").contains($0) }
      let isStandIn = String(scalar) == open && rest[digits.endIndex...].first == close.unicodeScalars.first
      if isStandIn, let index = Int(String(digits)) {
        parts += [.own(own), .standIn(index)]
        own = []
        rest = rest[digits.endIndex...].dropFirst()
      } else {
        own += String(scalar).utf8
      }
    }
    return parts + [.own(own)]
  }

  /// Lays the parts along the rendered text. They take turns, own text first and last.
  private static func find(
    _ originals: [(message: Int, text: String)], in rendered: [UInt8], _ parts: [Part]
  ) -> [Place]? {
    var places: [Place] = [], position = 0
    for (number, part) in parts.enumerated() {
      switch part {
      case .own(let text):
        guard rendered[position...].starts(with: text) else { return nil }
        position += text.count
      case .standIn(let index):
        guard originals.indices.contains(index), case .own(let next) = parts[number + 1] else { return nil }
        let isLast = number + 2 == parts.count
        let length = spellings(of: originals[index].text).first { spelling in
          let end = position + spelling.count
          guard rendered[position...].starts(with: spelling), rendered[end...].starts(with: next) else { return false }
          return !isLast || end + next.count == rendered.count
        }?.count
        guard let length else { return nil }
        places.append(Place(message: originals[index].message, range: position..<position + length))
        position += length
      }
    }
    return position == rendered.count ? places : nil
  }

  /// Templates put a text as it is, or without white space at its ends, or at one of them.
  private static func spellings(of text: String) -> [ArraySlice<UInt8>] {
    let scalars = text.unicodeScalars
    let head = scalars.prefix { $0.properties.isWhitespace }.reduce(0) { $0 + UTF8.width($1) }
    let tail = scalars.reversed().prefix { $0.properties.isWhitespace }.reduce(0) { $0 + UTF8.width($1) }
    let bytes = Array(text.utf8)
    let end = max(head, bytes.count - tail)
    return [bytes[...], bytes[head..<end], bytes[head...], bytes[..<(bytes.count - tail)]]
  }
}
