// Python's string algorithms over UTF-8: lengths and positions count Unicode scalars, never graphemes.

/// The strings of Python's `str`, worked on as bytes where UTF-8 allows it.
enum Text {
  /// Python's `str.isspace` for one scalar, which is also what `strip()` strips and `\s` matches.
  static func isSpace(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.value {
    case 0x09...0x0D, 0x1C...0x20, 0x85, 0xA0, 0x1680, 0x2000...0x200A, 0x2028, 0x2029, 0x202F, 0x205F, 0x3000: true
    default: false
    }
  }

  static func strip(_ text: String, leading: Bool, trailing: Bool, where drops: (Unicode.Scalar) -> Bool) -> String {
    let scalars = text.unicodeScalars
    var start = scalars.startIndex
    var end = scalars.endIndex
    if leading { while start < end, drops(scalars[start]) { start = scalars.index(after: start) } }
    if trailing {
      while start < end {
        let before = scalars.index(before: end)
        guard drops(scalars[before]) else { break }
        end = before
      }
    }
    return start == scalars.startIndex && end == scalars.endIndex ? text : String(scalars[start..<end])
  }

  static func strip(_ text: String) -> String { strip(text, leading: true, trailing: true, where: isSpace) }

  /// Byte offsets of the non-overlapping places of `needle`, at most `limit` of them, by Knuth, Morris and Pratt:
  /// linear time, because both strings may come from a stranger.
  static func places(of needle: [UInt8], in haystack: [UInt8], limit: Int = .max, from start: Int = 0) -> [Int] {
    guard !needle.isEmpty, needle.count <= haystack.count, limit > 0 else { return [] }
    var borders = [Int](repeating: 0, count: needle.count)
    var matched = 0
    for index in 1..<max(1, needle.count) {
      while matched > 0, needle[index] != needle[matched] { matched = borders[matched - 1] }
      if needle[index] == needle[matched] { matched += 1 }
      borders[index] = matched
    }
    var places: [Int] = []
    matched = 0
    var index = start
    while index < haystack.count {
      while matched > 0, haystack[index] != needle[matched] { matched = borders[matched - 1] }
      if haystack[index] == needle[matched] { matched += 1 }
      index += 1
      if matched == needle.count {
        places.append(index - matched)
        if places.count == limit { break }
        matched = 0
      }
    }
    return places
  }

  static func contains(_ haystack: String, _ needle: String) -> Bool {
    needle.isEmpty || !places(of: Array(needle.utf8), in: Array(haystack.utf8), limit: 1).isEmpty
  }

  /// `str.replace`; an empty `old` matches between all scalars, as in Python.
  static func replace(_ text: String, _ old: String, with new: String, limit: Int, _ runtime: Runtime) throws
    -> String
  {
    try runtime.step(text.utf8.count / 16)
    if old.isEmpty {
      let count = min(limit, text.unicodeScalars.count + 1)
      try runtime.allocate(saturating(count, times: new.utf8.count) &+ text.utf8.count)
      var result = ""
      var done = 0
      for scalar in text.unicodeScalars {
        if done < count {
          result += new
          done += 1
        }
        result.unicodeScalars.append(scalar)
      }
      if done < count { result += new }
      return result
    }
    let bytes = Array(text.utf8)
    let needle = Array(old.utf8)
    let places = places(of: needle, in: bytes, limit: limit)
    if places.isEmpty { return text }
    let replacement = Array(new.utf8)
    try runtime.allocate(saturating(places.count, times: replacement.count) &+ bytes.count)
    var result: [UInt8] = []
    var start = 0
    for place in places {
      result += bytes[start..<place]
      result += replacement
      start = place + needle.count
    }
    result += bytes[start...]
    return String(decoding: result, as: UTF8.self)
  }

  /// `str.split` and `str.rsplit` with a separator, which must not be empty.
  static func split(_ text: String, by separator: String, limit: Int, fromEnd: Bool, _ runtime: Runtime) throws
    -> [String]
  {
    try runtime.allocate(text.utf8.count)
    let bytes = Array(text.utf8)
    let needle = Array(separator.utf8)
    var places: [Int]
    if fromEnd {
      places = Self.places(of: needle.reversed(), in: bytes.reversed(), limit: limit)
      places = places.reversed().map { bytes.count - $0 - needle.count }
    } else {
      places = Self.places(of: needle, in: bytes, limit: limit)
    }
    try runtime.allocateItems(places.count + 1)
    var parts: [String] = []
    var start = 0
    for place in places {
      parts.append(String(decoding: bytes[start..<place], as: UTF8.self))
      start = place + needle.count
    }
    parts.append(String(decoding: bytes[start...], as: UTF8.self))
    return parts
  }

  /// `str.split()` without a separator: at runs of white space, which are dropped at the ends too.
  static func words(_ text: String, limit: Int, fromEnd: Bool, _ runtime: Runtime) throws -> [String] {
    try runtime.allocate(text.utf8.count)
    var scalars = Array(text.unicodeScalars)
    if fromEnd { scalars.reverse() }
    var words: [[Unicode.Scalar]] = []
    var index = 0
    while true {
      while index < scalars.count, isSpace(scalars[index]) { index += 1 }
      if index == scalars.count { break }
      try runtime.allocateItems(1)
      let start = index
      if words.count == limit {
        words.append(Array(scalars[start...]))
        break
      }
      while index < scalars.count, !isSpace(scalars[index]) { index += 1 }
      words.append(Array(scalars[start..<index]))
    }
    if fromEnd { words = words.reversed().map { $0.reversed() } }
    return words.map(string)
  }

  /// `str.splitlines`.
  static func lines(_ text: String, keepEnds: Bool = false) -> [String] {
    var lines: [String] = []
    var line = String.UnicodeScalarView()
    var open = false
    var scalars = Array(text.unicodeScalars)[...]
    while let scalar = scalars.popFirst() {
      open = true
      switch scalar.value {
      case 0x0A...0x0D, 0x1C...0x1E, 0x85, 0x2028, 0x2029:
        if keepEnds { line.append(scalar) }
        if scalar == "\r", scalars.first == "\n", let second = scalars.popFirst(), keepEnds { line.append(second) }
        lines.append(String(line))
        line = String.UnicodeScalarView()
        open = false
      default: line.append(scalar)
      }
    }
    if open { lines.append(String(line)) }
    return lines
  }

  static func string(_ scalars: some Sequence<Unicode.Scalar>) -> String {
    var view = String.UnicodeScalarView()
    view.append(contentsOf: scalars)
    return String(view)
  }

  /// `str.capitalize`.
  static func capitalize(_ text: String) -> String {
    guard let first = text.unicodeScalars.first else { return text }
    return first.properties.titlecaseMapping + String(text.unicodeScalars.dropFirst()).lowercased()
  }

  /// `str.title`: a letter after a letter is lower, any other letter is upper.
  static func title(_ text: String) -> String {
    var result = ""
    var inWord = false
    for scalar in text.unicodeScalars {
      result += inWord ? scalar.properties.lowercaseMapping : scalar.properties.titlecaseMapping
      inWord = scalar.properties.isCased
    }
    return result
  }

  /// Jinja's `title` filter: words begin after white space, hyphens and opening brackets only.
  static func titleWords(_ text: String) -> String {
    var result = ""
    var word = String.UnicodeScalarView()
    func finish() {
      if let first = word.first { result += String(first).uppercased() + String(word.dropFirst()).lowercased() }
      word = String.UnicodeScalarView()
    }
    for scalar in text.unicodeScalars {
      if isSpace(scalar) || "-({[<".unicodeScalars.contains(scalar) {
        finish()
        result.unicodeScalars.append(scalar)
      } else {
        word.append(scalar)
      }
    }
    finish()
    return result
  }

  /// HTML escaping as `markupsafe` does it.
  static func escape(_ text: String) -> String {
    guard text.utf8.contains(where: { "&<>'\"".utf8.contains($0) }) else { return text }
    var result = ""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "&": result += "&amp;"
      case "<": result += "&lt;"
      case ">": result += "&gt;"
      case "'": result += "&#39;"
      case "\"": result += "&#34;"
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result
  }

  /// Pads to `width` scalars; centring puts the odd one where Python puts it.
  static func pad(
    _ text: String, to width: Int, with fill: Unicode.Scalar = " ", _ side: Side, _ runtime: Runtime
  ) throws -> String {
    let missing = width.subtractingReportingOverflow(text.unicodeScalars.count)
    guard !missing.overflow, missing.partialValue > 0 else { return text }
    try runtime.allocate(saturating(missing.partialValue, times: 4) &+ text.utf8.count)
    let left: Int
    switch side {
    case .left: left = missing.partialValue
    case .right: left = 0
    case .both: left = missing.partialValue / 2 + (missing.partialValue & width & 1)
    }
    let run = String(fill)
    return String(repeating: run, count: left) + text + String(repeating: run, count: missing.partialValue - left)
  }

  /// Where padding goes.
  enum Side { case left, right, both }

  /// The product, or the largest number half of which still can be added to.
  static func saturating(_ a: Int, times b: Int) -> Int {
    let (product, overflow) = a.multipliedReportingOverflow(by: b)
    return overflow || product > Int.max / 2 ? Int.max / 2 : product
  }
}
