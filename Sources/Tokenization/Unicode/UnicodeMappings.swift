// The generated character data in the form that loops over text can use: pages of 256 code points, most of them shared.

/// A value for each code point; equal pages are stored once.
struct CodePointTable<Value: BitwiseCopyable & Equatable>: Sendable {
  private let pages: FlatTable<UInt16>
  private let values: FlatTable<Value>

  init(default none: Value, _ entries: some Sequence<(code: UInt32, value: Value)>) {
    var pages = [UInt16](repeating: 0, count: 0x1100)
    var values = [Value](repeating: none, count: 256)
    for (code, value) in entries where code < 0x110000 && value != none {
      let page = Int(code >> 8)
      if pages[page] == 0 {
        pages[page] = UInt16(values.count >> 8)
        values.append(contentsOf: repeatElement(none, count: 256))
      }
      values[Int(pages[page]) << 8 | Int(code & 0xFF)] = value
    }
    self.pages = FlatTable(repeating: 0, count: pages.count)
    self.values = FlatTable(repeating: none, count: values.count)
    for (index, page) in pages.enumerated() { self.pages.start[index] = page }
    for (index, value) in values.enumerated() { self.values.start[index] = value }
  }

  /// The value of `code`, which must be below 0x110000.
  @inline(__always)
  subscript(code: UInt32) -> Value {
    values.start[Int(pages.start[Int(code >> 8)]) << 8 | Int(code & 0xFF)]
  }
}

/// Code points that become one or more others.
struct ScalarMapping: Sendable {
  /// Offset << 8 | length into `scalars`; 0 for code points that stay as they are.
  private let places: CodePointTable<UInt32>
  private let scalars: [UInt32]
  /// The code points that change.
  let keys: [UInt32]

  init(_ tables: [MappingData.Entry]...) {
    var scalars: [UInt32] = []
    var places: [(code: UInt32, value: UInt32)] = []
    for table in tables {
      for entry in table {
        places.append((entry.key[0], UInt32(scalars.count) << 8 | UInt32(entry.values.count)))
        scalars += entry.values
      }
    }
    self.scalars = scalars
    keys = places.map(\.code)
    self.places = CodePointTable(default: 0, places)
  }

  @inline(__always)
  func changes(_ code: UInt32) -> Bool { places[code] != 0 }

  /// What `code` becomes; nil if it stays as it is.
  @inline(__always)
  func callAsFunction(_ code: UInt32) -> ArraySlice<UInt32>? {
    let place = places[code]
    return place == 0 ? nil : scalars[Int(place >> 8)..<Int(place >> 8) + Int(place & 0xFF)]
  }
}

/// Reads the text of `UnicodeMappingData`.
enum MappingData {
  struct Entry {
    /// The code points before the equals sign.
    var key: [UInt32]
    /// The numbers after it.
    var values: [UInt32]
  }

  static func entries(_ data: StaticString) -> [Entry] {
    data.withUTF8Buffer { bytes in
      bytes.split(separator: UInt8(ascii: " ")).map { word in
        let sides = word.split(separator: UInt8(ascii: "="), omittingEmptySubsequences: false)
        return Entry(key: numbers(sides.first), values: numbers(sides.dropFirst().first))
      }
    }
  }

  private static func numbers(_ text: UnsafeBufferPointer<UInt8>.SubSequence?) -> [UInt32] {
    guard let text, !text.isEmpty else { return [] }
    return text.split(separator: UInt8(ascii: ".")).map { digits in
      digits.reduce(0) { $0 << 4 | UInt32($1 < 0x3A ? $1 - 0x30 : $1 - 0x37) }
    }
  }

  /// Runs of code points with one value, as code points.
  static func codes(ofRuns data: StaticString) -> some Sequence<(code: UInt32, value: UInt8)> {
    let runs = entries(data)
    return runs.indices.lazy.flatMap { index in
      let end = index + 1 < runs.count ? runs[index + 1].key[0] : 0x110000
      let value = UInt8(truncatingIfNeeded: runs[index].values[0])
      return (value == 0 ? 0..<0 : runs[index].key[0]..<end).lazy.map { (code: $0, value: value) }
    }
  }
}

/// What normalizers and pre-tokenizers of Hugging Face's library ask about a character. It answers as that library
/// does, whose parts follow different versions of Unicode.
struct TextClasses: OptionSet, Sendable, BitwiseCopyable {
  let rawValue: UInt8

  /// What BERT's cleaning removes: controls, format characters, unassigned ones.
  static let removed = TextClasses(rawValue: 1)
  static let nonspacingMark = TextClasses(rawValue: 2)
  static let combiningMark = TextClasses(rawValue: 4)
  static let punctuation = TextClasses(rawValue: 8)
  static let numeric = TextClasses(rawValue: 16)
  static let whiteSpace = TextClasses(rawValue: 32)
  /// `\w`.
  static let word = TextClasses(rawValue: 64)

  private static let table = CodePointTable<UInt8>(
    default: 0, MappingData.codes(ofRuns: UnicodeMappingData.textClasses))

  @inline(__always)
  init(rawValue: UInt8) { self.rawValue = rawValue }

  @inline(__always)
  init(of code: UInt32) { rawValue = Self.table[code] }
}

extension ScalarMapping {
  /// The full lowercase mapping without regard to context.
  static let lowercase = ScalarMapping(MappingData.entries(UnicodeMappingData.lowercaseMappings))
}

/// Writing systems as numbers; Chinese characters and kana count as one.
enum UnicodeScript {
  /// The number of characters that belong to any script or none.
  static let any: UInt8 = 0

  private static let table = CodePointTable<UInt8>(
    default: any, MappingData.codes(ofRuns: UnicodeMappingData.scripts))

  static func identifier(of code: UInt32) -> UInt8 { table[code] }
}
