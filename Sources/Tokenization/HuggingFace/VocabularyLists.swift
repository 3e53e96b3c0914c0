// The two long lists of a `tokenizer.json`. They are most of the file, and Swift's strings are no keys for pieces: two
// spellings of one character are different pieces but equal strings.
import JSON

/// Pieces with their ids, and merges, as they lie in a file.
struct VocabularyLists: Sendable {
  private(set) var pieces = PackedStrings()
  private(set) var ids: [Int32] = []
  /// Merges with a space between their parts.
  private(set) var merges = PackedStrings()
  /// Where that space is; nil if the merges are written as strings.
  private(set) var spaces: [Int32]?

  init() {}

  /// Reads a file that is nothing but an object of pieces and ids.
  init(vocabulary bytes: [UInt8]) throws(JSONError) {
    var reader = ListReader(bytes)
    try readPieces(&reader, path: "")
    try reader.end()
  }

  /// Takes `model.vocab` and `model.merges` out of a file.
  /// - Returns: the file with empty lists in their place, and the lists; a vocabulary that is a list of pairs stays.
  static func extracting(from bytes: [UInt8]) throws(JSONError) -> (rest: [UInt8], lists: VocabularyLists) {
    var lists = VocabularyLists()
    var reader = ListReader(bytes)
    var rest: [UInt8] = []
    var copied = 0
    func replace(_ range: Range<Int>, by text: String) {
      rest += bytes[copied..<range.lowerBound]
      rest += text.utf8
      copied = range.upperBound
    }
    try reader.forEachEntry { (reader, key) throws(JSONError) in
      guard key.elementsEqual("model".utf8), reader.next == UInt8(ascii: "{") else { return try reader.skip() }
      try reader.forEachEntry { (reader, key) throws(JSONError) in
        let start = reader.position
        if key.elementsEqual("vocab".utf8), reader.next == UInt8(ascii: "{") {
          lists.pieces = PackedStrings()
          lists.ids = []
          try lists.readPieces(&reader, path: "model.vocab")
          replace(start..<reader.position, by: "{}")
        } else if key.elementsEqual("merges".utf8), reader.next == UInt8(ascii: "[") {
          lists.merges = PackedStrings()
          lists.spaces = nil
          try lists.readMerges(&reader, path: "model.merges")
          replace(start..<reader.position, by: "[]")
        } else {
          try reader.skip()
        }
      }
    }
    rest += bytes[copied...]
    return (rest, lists)
  }

  private mutating func readPieces(_ reader: inout ListReader, path: String) throws(JSONError) {
    try reader.forEachEntry { (reader, piece) throws(JSONError) in
      let id = try reader.integer()
      guard id >= 0, id < ModelVocabulary.idLimit else {
        let name = String(decoding: piece, as: UTF8.self).printable
        throw JSONError(
          field: path.isEmpty ? name : "\(path).\(name)",
          message: "expected an id from 0 to \(ModelVocabulary.idLimit - 1), found \(id)")
      }
      pieces.append(piece)
      ids.append(Int32(id))
    }
  }

  private mutating func readMerges(_ reader: inout ListReader, path: String) throws(JSONError) {
    var spaces: [Int32] = []
    var merge: [UInt8] = []
    try reader.forEachElement { (reader) throws(JSONError) in
      if reader.next == UInt8(ascii: "[") {
        var count = 0
        merge.removeAll(keepingCapacity: true)
        try reader.forEachElement { (reader) throws(JSONError) in
          if count == 1 {
            spaces.append(Int32(clamping: merge.count))
            merge.append(0x20)
          }
          merge += try reader.string()
          count += 1
        }
        guard count == 2 else {
          throw JSONError(field: "\(path).\(merges.count)", message: "expected two pieces, found \(count)")
        }
        merges.append(merge)
      } else {
        merges.append(try reader.string())
      }
    }
    guard spaces.isEmpty || spaces.count == merges.count else {
      throw JSONError(field: path, message: "some are strings and others pairs")
    }
    self.spaces = spaces.isEmpty ? nil : spaces
  }
}

/// Walks through JSON text without making values of it. What it skips is checked by the parser later.
private struct ListReader {
  private let bytes: [UInt8]
  private(set) var position = 0
  /// The characters of the last string that had escapes.
  private var unescaped: [UInt8] = []

  init(_ bytes: [UInt8]) {
    self.bytes = bytes
    skipSpace()
  }

  var next: UInt8? { position < bytes.count ? bytes[position] : nil }

  private func expected(_ what: String) -> JSONError { JSONError(message: "expected \(what) at byte \(position)") }

  private mutating func skipSpace() {
    while let byte = next, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 { position += 1 }
  }

  private mutating func take(_ character: Unicode.Scalar) -> Bool {
    guard next == UInt8(ascii: character) else { return false }
    position += 1
    skipSpace()
    return true
  }

  func end() throws(JSONError) {
    guard position == bytes.count else { throw expected("the end of the text") }
  }

  /// Calls `body` at the value of each entry of an object; it must go past the value.
  mutating func forEachEntry(
    _ body: (inout ListReader, ArraySlice<UInt8>) throws(JSONError) -> Void
  ) throws(JSONError) {
    guard take("{") else { throw expected("an object") }
    if take("}") { return }
    repeat {
      let key = try string()
      guard take(":") else { throw expected("':'") }
      try body(&self, key)
      skipSpace()
    } while take(",")
    try close("}")
  }

  /// Calls `body` at each element of an array; it must go past the element.
  mutating func forEachElement(_ body: (inout ListReader) throws(JSONError) -> Void) throws(JSONError) {
    guard take("[") else { throw expected("an array") }
    if take("]") { return }
    repeat {
      try body(&self)
      skipSpace()
    } while take(",")
    try close("]")
  }

  /// Goes past a closing bracket but not past the space after it, so that a range ends with the value.
  private mutating func close(_ bracket: Unicode.Scalar) throws(JSONError) {
    guard next == UInt8(ascii: bracket) else { throw expected("',' or '\(bracket)'") }
    position += 1
    skipSpace()
  }

  mutating func integer() throws(JSONError) -> Int {
    let start = position
    if next == UInt8(ascii: "-") { position += 1 }
    while let byte = next, byte &- 0x30 < 10 { position += 1 }
    guard let value = Int(String(decoding: bytes[start..<position], as: UTF8.self)),
      next != UInt8(ascii: "."), next != UInt8(ascii: "e"), next != UInt8(ascii: "E")
    else {
      position = start
      throw expected("an integer")
    }
    skipSpace()
    return value
  }

  mutating func string() throws(JSONError) -> ArraySlice<UInt8> {
    let start = position
    guard let end = try stringEnd() else {
      // Few strings have escapes; the parser knows them all.
      guard case .string(let text) = try JSONValue(parsing: bytes[start..<position]) else {
        throw expected("a string")
      }
      skipSpace()
      unescaped = Array(text.utf8)
      return unescaped[...]
    }
    skipSpace()
    let plain = bytes[(start + 1)..<end]
    guard plain.withUnsafeBufferPointer(isWellFormed) else {
      unescaped = Array(String(decoding: plain, as: UTF8.self).utf8)
      return unescaped[...]
    }
    return plain
  }

  /// Goes past a string.
  /// - Returns: where its closing quote is; nil if it has escapes
  private mutating func stringEnd() throws(JSONError) -> Int? {
    guard next == UInt8(ascii: "\"") else { throw expected("a string") }
    position += 1
    var hasEscapes = false
    while let byte = next, byte != UInt8(ascii: "\"") {
      guard byte >= 0x20 else { throw expected("a character that is not a control character") }
      if byte == UInt8(ascii: "\\") {
        hasEscapes = true
        position += 1
      }
      position += 1
    }
    guard position < bytes.count else {
      position = bytes.count
      throw expected("'\"'")
    }
    position += 1
    return hasEscapes ? nil : position - 1
  }

  /// Goes past a value of any kind.
  mutating func skip() throws(JSONError) {
    var depth = 0
    repeat {
      guard let byte = next else { throw expected("a value") }
      switch byte {
      case UInt8(ascii: "\""): _ = try stringEnd()
      case UInt8(ascii: "{"), UInt8(ascii: "["):
        depth += 1
        position += 1
      case UInt8(ascii: "}"), UInt8(ascii: "]"):
        if depth == 0 { throw expected("a value") }
        depth -= 1
        position += 1
      default: position += 1
      }
      skipSpace()
    } while depth > 0 || !(next == nil || next == UInt8(ascii: ",") || next == UInt8(ascii: "}"))
  }
}
